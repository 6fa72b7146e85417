"""`Query` and `Neighbors`: the request and the result of a search."""

from dataclasses import KW_ONLY, dataclass, field

from core.gallery.records import Item, Metric, Space
from core.types import FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class Query:
    """A search for the nearest items.

    Attributes:
        vector: (D,) float32 in the space asked for; pixels as (3072,) in 0..1.
        k: how many neighbors, at most.
        label: only items with this label; None = any.
        max_per_label: no more neighbors of one label than this; None = any number.
        exclude: the id of an item that is no neighbor, such as the query itself.
        exact: never approximate, however long it takes.
        min_seq: answer only from a state that has this change.
    """

    vector: FloatArray
    _: KW_ONLY
    k: int = 10
    space: Space = "features"
    label: str | None = None
    max_per_label: int | None = None
    exclude: str | None = None
    exact: bool = False
    min_seq: int = 0


@dataclass(frozen=True, slots=True)
class Neighbor:
    """One of the nearest items.

    Attributes:
        distance: by the collection's metric, >= 0.
        similarity: 1 = the same, towards 0 the farther.
    """

    item: Item
    distance: float
    similarity: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Neighbors:
    """The nearest items, nearest first, ties by id.

    Attributes:
        exact: whether no item can be nearer than those listed.
        recall: of approximate answers, the share of true neighbors found, measured against exact
            ones when the index was built, on queries like nothing that is stored; None for exact
            ones.
        seq: the last change the answer has seen.
    """

    metric: Metric
    space: Space
    exact: bool
    recall: float | None
    seq: int
    found: tuple[Neighbor, ...] = field(default=())
