"""What the rules of a gallery ask of a database inside one transaction; knows no SQL."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, Protocol, TypeVar

from core.gallery.changes import Change
from core.gallery.records import Collection, Item, NewItem

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class StoredItem:
    """An item and its ordinal, its place in every listing.

    Attributes:
        damage: why it cannot be read; the item then is what is left of it. Empty = it is sound.
    """

    ordinal: int
    item: Item
    damage: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Remembered:
    """What is kept of a request that may come again.

    Attributes:
        fingerprint: digest of all the request said.
        ordinal: of the item it stored.
        answer: the item as it was answered, JSON text.
        seq: the number of its change.
        created: whether the item was new.
    """

    fingerprint: str
    ordinal: int
    answer: str
    seq: int
    created: bool


@dataclass(frozen=True, slots=True, eq=False)
class Effect(Generic[T]):
    """What became of a write.

    Attributes:
        answer: what its future will hold.
        changes: what an index needs to know; empty where only metadata changed.
        counts: whether the transaction's `seq` is used up; not if nothing was written.
    """

    answer: T
    changes: tuple[Change, ...] = ()
    counts: bool = True


class Transaction(Protocol):
    """One write's view of the database: all that it does is kept, or nothing of it."""

    @property
    def seq(self) -> int:
        """The number of the change, if it becomes one."""

    @property
    def now(self) -> datetime:
        """In UTC."""

    def collection(self, name: str) -> Collection:
        """One collection.

        Raises:
            UnknownCollection: there is none of that name.
        """

    def find(self, collection: Collection, id: str) -> StoredItem | None:
        """The item of this id."""

    def at(self, ordinal: int) -> StoredItem | None:
        """The item at this place of the listing, if it is still there."""

    def oldest(self, collection: Collection, sha256: str) -> StoredItem | None:
        """The first stored of the items whose file has this digest."""

    def insert(self, collection: Collection, id: str, new: NewItem) -> StoredItem:
        """Store an item whose id is free, last in the listing."""

    def replace(self, collection: Collection, stored: StoredItem, new: NewItem) -> StoredItem:
        """Store another picture in an item's place: id, ordinal and `created_at` stay."""

    def change(
        self,
        collection: Collection,
        stored: StoredItem,
        label: str | None,
        metadata: Mapping[str, Any],
    ) -> StoredItem:
        """Give an item this label and metadata; the picture stays."""

    def delete(self, collection: Collection, stored: StoredItem) -> None:
        """Take an item out with all that hangs on it."""

    def remembered(self, collection: Collection, key: str, since: datetime) -> Remembered | None:
        """What was kept of the request with this idempotency key, unless it is older."""

    def remember(self, collection: Collection, key: str, request: Remembered) -> None:
        """Keep a request by its idempotency key."""

    def forget(self, until: datetime) -> None:
        """Drop what was remembered until then, in every collection."""
