"""Checks that parameters of every kind share: one of a set, within a range."""

from collections.abc import Iterable
from typing import Any

from core.errors import InvalidValue


def require_choice(name: str, value: object, allowed: Iterable[str]) -> None:
    """Raise InvalidValue unless the value is one of those allowed."""
    choices = tuple(allowed)
    if value not in choices:
        raise InvalidValue(name, value, "one of " + ", ".join(choices))


def require_range(name: str, value: Any, low: float, high: float) -> None:
    """Raise InvalidValue unless low <= value <= high; NaN is never."""
    if not low <= value <= high:
        raise InvalidValue(name, value, f"{_shown(low)} to {_shown(high)}")


def _shown(bound: float) -> str:
    return f"{bound:g}" if isinstance(bound, float) else str(bound)
