"""What a projection method is: a row that says all there is to know of it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Generic, Protocol, TypeVar

from core.errors import InvalidValue
from core.fields import Meaning, check_fields
from core.projection.vectors import MapMetric, ProgressCallback
from core.types import DoubleArray, FloatArray


@dataclass(frozen=True, slots=True)
class ProjectionParameters:
    """What every method is asked with; a method adds its own fields.

    Attributes:
        dims: 2 or 3.
        seed: of all that is drawn by lot.

    Raises:
        InvalidValue: a field is outside its allowed set.
    """

    dims: Annotated[int, Meaning("2 or 3; 2 if left out.", 2, among=(2, 3))] = 2
    seed: Annotated[int, Meaning("Of all that is drawn by lot.", 0, within=(0, 2**32 - 1))] = 0

    def __post_init__(self) -> None:
        check_fields(self)

    def check(self, n: int, features: int) -> None:
        """Whether `n` vectors of length `features` can be laid out so.

        Raises:
            InvalidValue: too few vectors, or too short ones.
        """
        if n <= self.dims:
            allowed = f"at least {self.dims + 1} for {self.dims} dimensions"
            raise InvalidValue("points", n, allowed)
        if features < self.dims:
            raise InvalidValue("dims", self.dims, f"at most {features}, the length of the vectors")


P = TypeVar("P", bound=ProjectionParameters)


class Placer(Protocol):
    """What places new vectors in a finished map, in which nothing moves."""

    @property
    def features(self) -> int:
        """Length of the vectors it places."""

    def place_one(self, vector: FloatArray) -> DoubleArray:
        """(D,) -> (dims,): the same whatever else is placed, bit for bit."""

    def arrays(self) -> dict[str, Any]:
        """All of it by name, to be kept."""


@dataclass(frozen=True, slots=True, eq=False)
class Projection:
    """Vectors laid out.

    Attributes:
        coordinates: (n, dims) float32, centered; row i is vector i.
        placer: what places new vectors; None where the method cannot.
        extras: what only this method answers, by the name clients see.
        metric: what made vectors neighbors, by which the map is judged.
    """

    coordinates: FloatArray
    placer: Placer | None = None
    extras: Mapping[str, Any] = field(default_factory=dict)
    metric: MapMetric = "euclidean"


def _as_they_are(_points: int, _cosine: bool) -> Mapping[str, Any]:
    return {}


@dataclass(frozen=True, slots=True, eq=False)
class ProjectionMethod(Generic[P]):
    """A row of the list of projection methods.

    Attributes:
        name: as in requests.
        title: as in a sentence.
        text: what it does, in Markdown.
        parameters: a frozen dataclass of described fields, each with a default.
        lay_out: lays (n, D) float32 vectors out that the parameters' `check` lets through; with so
            many threads, 0 = all cores; tells how far it is. The same twice on one machine.
        placer: makes what places new vectors of what its `arrays` gave, or raises KeyError or
            ValueError; None = no new vector can be placed.
        answers: a dataclass of described fields, numbers or tuples of them: what only this method
            answers.
        fitting: what parameters become that are left out, as it fits so many points, compared by
            cosine or not; those it does not name keep their defaults.
    """

    name: str
    title: str
    text: str
    parameters: type[P]
    lay_out: Callable[[P, FloatArray, int, ProgressCallback], Projection]
    placer: Callable[[Mapping[str, Any]], Placer] | None = None
    answers: type | None = None
    fitting: Callable[[int, bool], Mapping[str, Any]] = _as_they_are
