"""The changes of a commit that indexes follow: added, removed, relabeled. Knows no index."""

from dataclasses import dataclass

from core.gallery.records import Collection
from core.types import FloatArray, Pixels


@dataclass(frozen=True, slots=True, eq=False)
class Added:
    """A vector came.

    Attributes:
        key: of its collection.
        number: its own, never given to another.
        vector: (D,) float32, finite.
        pixels: (32, 32, 3) uint8; None where the collection has no pixel space.
    """

    key: int
    number: int
    label: str | None
    vector: FloatArray
    pixels: Pixels | None


@dataclass(frozen=True, slots=True)
class Removed:
    """A vector went: its item was removed, or has another vector now."""

    key: int
    number: int


@dataclass(frozen=True, slots=True)
class Relabeled:
    """A vector stays, its item has another label."""

    key: int
    number: int
    label: str | None


@dataclass(frozen=True, slots=True)
class Created:
    """An empty collection came."""

    collection: Collection


@dataclass(frozen=True, slots=True)
class Dropped:
    """A collection went with all its vectors."""

    key: int


@dataclass(frozen=True, slots=True)
class Rebound:
    """Every vector of a collection has another number and other values."""

    collection: Collection


Change = Added | Removed | Relabeled | Created | Dropped | Rebound
