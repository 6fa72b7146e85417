"""`Request`: the method and the sample of a projection, as an object and as JSON."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

from core.errors import InvalidValue
from core.fields import described
from core.projection.method import ProjectionMethod, ProjectionParameters
from core.projection.methods import PROJECTION_METHODS, row_of

MAX_POINTS: Final = 200_000


def method_named(name: Any) -> ProjectionMethod[Any]:
    """The method that clients know by this name.

    Raises:
        InvalidValue: there is none.
    """
    if name not in PROJECTION_METHODS:
        raise InvalidValue("method", name, "one of " + ", ".join(PROJECTION_METHODS))
    return PROJECTION_METHODS[name]


@dataclass(frozen=True, slots=True)
class Request:
    """Which items are laid out, and how.

    Attributes:
        parameters: of one of the methods.
        sample: so many items at most, each label in proportion; None = all.
    """

    parameters: ProjectionParameters
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
        self.parameters.check(points, dim)

    def to_json(self) -> dict[str, Any]:
        """All of it by name."""
        return {
            "method": row_of(self.parameters).name,
            **asdict(self.parameters),
            "sample": self.sample,
        }

    @classmethod
    def of(cls, wanted: Mapping[str, Any]) -> "Request":
        """From JSON, whose missing fields are defaults.

        Raises:
            InvalidValue: there is no such method, or a field it does not have, or its value is not
                allowed.
        """
        given = {name: value for name, value in wanted.items() if value is not None}
        method = method_named(given.pop("method", None))
        sample = given.pop("sample", None)
        known = described(method.parameters)
        for name, value in given.items():
            if name not in known:
                raise InvalidValue(
                    name, value, f"{method.name} has only {', '.join(sorted(known))}"
                )
        return cls(method.parameters(**given), sample)
