"""`Request`: the method and the sample of a projection, as an object and as JSON."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Final

from core.errors import InvalidValue
from core.projection.methods import METHODS, Method, method_name

MAX_POINTS: Final = 200_000


@dataclass(frozen=True, slots=True)
class Request:
    """Which items are laid out, and how.

    Attributes:
        sample: so many items at most, each label in proportion; None = all.
    """

    method: Method
    sample: int | None = None

    def __post_init__(self) -> None:
        if self.sample is not None and not 3 <= self.sample <= MAX_POINTS:
            raise InvalidValue("sample", self.sample, f"3 to {MAX_POINTS}")

    def check(self, count: int, dim: int) -> None:
        """Whether a collection of `count` items can be laid out so.

        Raises:
            InvalidValue: too few items for the method, or more than MAX_POINTS.
        """
        points = count if self.sample is None else min(count, self.sample)
        if points > MAX_POINTS:
            raise InvalidValue("sample", None, f"3 to {MAX_POINTS}: there are {count} items")
        if points < 4:
            raise InvalidValue("points", points, "at least 4 items")
        self.method.check(points, dim)

    def parameters(self) -> dict[str, Any]:
        """All of it as JSON."""
        return {
            "method": method_name(self.method),
            **asdict(self.method),
            "sample": self.sample,
        }

    @classmethod
    def of(cls, parameters: Mapping[str, Any]) -> "Request":
        """From JSON, whose missing fields are defaults.

        Raises:
            InvalidValue: there is no such method, or a field it does not have, or its value is not
                allowed.
        """
        given = {name: value for name, value in parameters.items() if value is not None}
        name = given.pop("method", None)
        if name not in METHODS:
            raise InvalidValue("method", name, "one of " + ", ".join(METHODS))
        sample = given.pop("sample", None)
        known = {field.name for field in fields(METHODS[name])}
        for field, value in given.items():
            if field not in known:
                raise InvalidValue(field, value, f"{name} has only {', '.join(sorted(known))}")
        return cls(METHODS[name](**given), sample)
