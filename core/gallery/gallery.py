"""`Gallery`: the protocol of a store, all that an engine needs of one. Knows no database.

Every method may be called from any thread. Reads answer at once; writes answer a future that is
done when the change is on disk and every later read and search sees it.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from core.gallery.limits import MAX_PAGE
from core.gallery.queries import Neighbors, Query
from core.gallery.records import (
    Collection,
    CollectionSpec,
    Fault,
    Item,
    Page,
    Reembedded,
    StoredProjection,
    Write,
    Written,
)
from core.types import FloatArray, ImageFile, Pixels

Tick = Callable[[], None]
"""Called between pieces of work that takes long; raises to end it."""


def go_on() -> None:
    """The tick of work that nothing ends early."""


class Gallery(Protocol):
    """Collections of pictures, their vectors, and the nearest of them."""

    @property
    def seq(self) -> int:
        """Number of the last change that every read and search sees."""

    def collections(self) -> list[Collection]:
        """Every collection, by name."""

    def collection(self, name: str) -> Collection:
        """One collection.

        Raises:
            UnknownCollection: there is none of that name.
        """

    def create(self, spec: CollectionSpec) -> "Future[Collection]":
        """Make an empty collection.

        Raises:
            Conflict: the name is taken.
            StorageFull: there is no space on the disk.
        """

    def drop(self, name: str) -> "Future[Collection]":
        """Take a collection away with all that is in it; answers what it was.

        Raises:
            UnknownCollection: there is none of that name.
        """

    def rebind(self, spec: CollectionSpec, anew: Iterator[Reembedded]) -> None:
        """Give a collection another network: new vectors for all its items, or nothing changes.

        Args:
            spec: with the collection's name; metric, pixel_space and keep_originals as they are.
            anew: what the network makes of each item.

        Raises:
            Conflict: an item was stored meanwhile, and has no new vector.
        """

    def write(self, write: Write) -> "Future[Written]":
        """Store, change or remove one item.

        Raises (from the future):
            UnknownCollection, UnknownItem: there is none of that name or id.
            Conflict: the id is taken, the bytes are here already, a reused idempotency key.
            VersionMismatch: the item has another version than `if_match`.
            InvalidValue: the vector's length is not the collection's.
            StorageFull: there is no space on the disk; nothing was changed.
            StorageUnusable: what is stored was taken away, replaced or made read-only.
        """

    def item(self, collection: str, id: str) -> Item:
        """One item.

        Raises:
            UnknownCollection, UnknownItem: there is none of that name or id.
        """

    def items(
        self,
        collection: str,
        *,
        label: str | None = None,
        text: str | None = None,
        cursor: str | None = None,
        limit: int = 50,
    ) -> Page:
        """Items in the order in which they were stored; any page costs as much as the first.

        Args:
            collection: its name.
            label: only items with this label.
            text: only items whose id, label or predicted label holds it, ignoring case.
            cursor: of the page before; None = the first page.
            limit: items on a page, at least 1.

        Raises:
            UnknownCollection: there is none of that name.
            InvalidValue: the cursor is not one of ours.
        """

    def labels(self, collection: str) -> list[tuple[str | None, int]]:
        """Every label and how many items have it, most frequent first."""

    def thumbnail(self, collection: str, id: str) -> bytes:
        """An item's thumbnail, a JPEG file."""

    def vector(self, collection: str, id: str) -> FloatArray:
        """(D,) float32, an item's vector."""

    def pixels(self, collection: str, id: str) -> Pixels | None:
        """(32, 32, 3) uint8, an item's pixels; None where the collection has no pixel space."""

    def original(self, collection: str, id: str) -> ImageFile | None:
        """An item's picture as it was sent; None where originals are not kept."""

    def vectors(
        self, collection: str, ids: Sequence[str] | None = None
    ) -> "Iterator[tuple[list[Item], NDArray[np.float32]]]":
        """Items and their vectors, (n, D) float32, in blocks; all where no ids are given."""

    def nearest(self, collection: str, query: Query, tick: Tick = go_on) -> Neighbors:
        """The nearest items to a vector.

        Args:
            collection: its name.
            query: what for.
            tick: called now and then, often where a search takes long; what it raises ends it.

        Raises:
            What `tick` raises.
            UnknownCollection: there is none of that name.
            InvalidValue: the vector has another length, or the collection has no pixel space.
            NotYetApplied, InvalidValue: `min_seq` lies in the future, or too far in it.
        """

    def projections(self, collection: str) -> list[StoredProjection]:
        """Every projection of a collection, newest first."""

    def projection(self, collection: str, id: str) -> StoredProjection:
        """One projection.

        Raises:
            UnknownCollection, UnknownProjection: there is none of that name or id.
        """

    def unfinished(self) -> list[StoredProjection]:
        """Projections of all collections that are queued or running."""

    def projected(self, collection: str, id: str) -> tuple[bytes | None, bytes | None]:
        """What was kept with a projection: its result, and what placing new points needs."""

    def keep_projection(
        self,
        projection: StoredProjection,
        result: bytes | None = None,
        placement: bytes | None = None,
    ) -> "Future[None]":
        """Store a projection, in place of what is known of that id; no change of any item.

        Raises:
            UnknownCollection: there is none of that name any more.
            StorageFull: there is no space on the disk.
        """

    def remove_projection(self, collection: str, id: str) -> "Future[None]":
        """Take a projection away.

        Raises:
            UnknownCollection, UnknownProjection: there is none of that name or id.
        """

    def require_writable(self) -> None:
        """Raise StorageUnusable if what is stored is not where it was, or cannot be written."""

    def backup(self, file: Path) -> None:
        """A copy of all that is stored, while everything goes on."""

    def verify(self, queries: int = 20) -> list[Fault]:
        """Compare store, index and brute force; an empty list means that all agree."""

    def close(self) -> None:
        """Finish what is being written, save what helps the next start, let go of the files."""


def every_item(gallery: Gallery, collection: str) -> Iterator[Item]:
    """All items in the order in which they were stored, read page by page.

    Raises:
        UnknownCollection: there is none of that name.
    """
    cursor = None
    while True:
        page = gallery.items(collection, cursor=cursor, limit=MAX_PAGE)
        yield from page.items
        cursor = page.next_cursor
        if cursor is None:
            return
