"""`Store`: collections, items, vectors and pictures in SQLite, the truth. Knows no index."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from datetime import UTC, datetime
from pathlib import Path
from sqlite3 import Connection

import numpy as np
from numpy.typing import NDArray

from core.errors import GalleryUnusable
from core.gallery import rules
from core.gallery.records import (
    Collection,
    CollectionSpec,
    Item,
    Page,
    Put,
    Reembedded,
    Space,
    StoredProjection,
    Write,
    Written,
)
from core.gallery.sqlite import blobs, listing, matrices, projections, soundness
from core.gallery.sqlite import collections as binding
from core.gallery.sqlite.backup import back_up
from core.gallery.sqlite.database import BUSY_S, open_gallery
from core.gallery.sqlite.groups import WriteLimits, size_bytes_of
from core.gallery.sqlite.log import require_whole
from core.gallery.sqlite.presence import Presence
from core.gallery.sqlite.readers import Readers
from core.gallery.sqlite.reserve import Reserve
from core.gallery.sqlite.writer import OnCommit, Writer
from core.gallery.transaction import T
from core.types import FloatArray, ImageFile, Pixels


def _now() -> datetime:
    return datetime.now(UTC)


class Store:
    """Collections, items, vectors and pictures in one SQLite file.

    Every method may be called from any thread; reads see the last commit and wait for nobody.
    Only one process may write: another's changes would reach no index of this one.

    Args:
        file: of the database; made if it is not there, in a folder that is.
        on_commit: told of each commit's changes and last number, on the writer's thread, before
            the futures of its writes are done.
        clock: the time in UTC.
        limits: how many writes share a commit, and may wait for theirs.
        busy_s: so long another process may keep the file locked.

    Raises:
        GalleryUnusable: the file cannot be opened, is another program's or a newer version's.
    """

    def __init__(
        self,
        file: Path,
        on_commit: OnCommit,
        clock: Callable[[], datetime] = _now,
        *,
        limits: WriteLimits | None = None,
        busy_s: float = BUSY_S,
    ) -> None:
        self._file = file
        self._clock = clock
        self._lost = require_whole(Path(f"{file}-wal"))
        connection = open_gallery(file, busy_s)
        self._presence = Presence(file)
        self._writer = Writer(
            connection,
            file=file,
            presence=self._presence,
            reserve=Reserve(file.with_name(f"{file.name}-reserve")),
            on_commit=on_commit,
            clock=clock,
            limits=limits or WriteLimits(),
        )
        self._readers = Readers(file, self._presence)

    @property
    def seq(self) -> int:
        """Number of the last change that is on disk and that `on_commit` has been told of."""
        return self._writer.seq

    def collections(self) -> list[Collection]:
        """Every collection, by name."""
        with self._readers.snapshot() as connection:
            return listing.collections(connection)

    def collection(self, name: str) -> Collection:
        """One collection; see `Gallery.collection`."""
        with self._readers.snapshot() as connection:
            return listing.collection(connection, name)

    def item(self, collection: str, id: str) -> Item:
        """One item; see `Gallery.item`."""
        with self._readers.snapshot() as connection:
            return listing.item(connection, collection, id).item

    def items(
        self,
        collection: str,
        *,
        label: str | None = None,
        text: str | None = None,
        cursor: str | None = None,
        limit: int = 50,
    ) -> Page:
        """A page of items in the order in which they were stored; see `Gallery.items`."""
        with self._readers.snapshot() as connection:
            return listing.page(connection, collection, label, text, cursor, limit)

    def labels(self, collection: str) -> list[tuple[str | None, int]]:
        """Every label and how many items have it, most frequent first, ties by label."""
        with self._readers.snapshot() as connection:
            return listing.labels(connection, listing.collection(connection, collection).key)

    def thumbnail(self, collection: str, id: str) -> bytes:
        """An item's thumbnail, a JPEG file."""
        with self._readers.snapshot() as connection:
            return blobs.thumbnail(connection, collection, id)

    def original(self, collection: str, id: str) -> ImageFile | None:
        """An item's picture as it was sent; None where originals are not kept."""
        with self._readers.snapshot() as connection:
            return blobs.original(connection, collection, id)

    def vector(self, collection: str, id: str) -> FloatArray:
        """(D,) float32, an item's vector."""
        with self._readers.snapshot() as connection:
            return blobs.vector(connection, collection, id)

    def pixels(self, collection: str, id: str) -> Pixels | None:
        """(32, 32, 3) uint8, an item's pixels; None where the collection has no pixel space."""
        with self._readers.snapshot() as connection:
            return blobs.pixels(connection, collection, id)

    def live(self, key: int) -> tuple[NDArray[np.int64], list[str | None]]:
        """Every vector's number in a collection, ascending, and its item's label."""
        with self._readers.snapshot() as connection:
            return matrices.live(connection, key)

    def vectors_of(
        self, key: int, numbers: Sequence[int] | NDArray[np.int64], space: Space
    ) -> tuple[NDArray[np.int64], FloatArray]:
        """The vectors of those numbers that are still there.

        Returns:
            (m,) int64 ascending, and (m, D) float32; pixels (m, 3072) in 0..1.
        """
        with self._readers.snapshot() as connection:
            return matrices.vectors_of(connection, key, numbers, space)

    def scan(
        self, key: int, space: Space, block: int = 2048
    ) -> Iterator[tuple[NDArray[np.int64], FloatArray]]:
        """All vectors of a collection as of the first block, numbers ascending.

        Yields:
            (m,) int64 and (m, D) float32, m <= block; pixels (m, 3072) in 0..1.
        """
        with self._readers.snapshot() as connection:
            for each in matrices.scan(connection, key, space, block):
                yield each
                self._readers.check_open()

    def items_of(self, key: int, numbers: Sequence[int] | NDArray[np.int64]) -> list[Item | None]:
        """The items of these vectors, in the order given; None where one is no longer there."""
        with self._readers.snapshot() as connection:
            return matrices.items_of(connection, key, numbers)

    def vectors(
        self, collection: str, ids: Sequence[str] | None = None, block: int = 1024
    ) -> Iterator[tuple[list[Item], FloatArray]]:
        """Items and their vectors; see `Gallery.vectors`.

        Yields:
            m <= block items and (m, D) float32: of these ids in their order, or all in the
            listing's order, as of the first block.
        """
        with self._readers.snapshot() as connection:
            for each in matrices.blocks(connection, collection, ids, block):
                yield each
                self._readers.check_open()

    def write(self, write: Write) -> "Future[Written]":
        """Store, change or remove one item; see `Gallery.write`.

        Raises:
            QueueFull: too many writes wait.
            Draining: the gallery is closed.
        """
        return self._writer.submit(
            lambda tx: rules.write(tx, write),
            size_bytes=size_bytes_of(write),
            frees=not isinstance(write, Put),
        )

    def create(self, spec: CollectionSpec) -> "Future[Collection]":
        """Make an empty collection; see `Gallery.create`."""
        return self._writer.submit(lambda tx: binding.create(tx, spec))

    def drop(self, name: str) -> "Future[Collection]":
        """Take a collection away with all that is in it; see `Gallery.drop`."""
        return self._writer.submit(lambda tx: binding.drop(tx, name), frees=True)

    def rebind(self, spec: CollectionSpec, anew: Iterable[Reembedded]) -> None:
        """New vectors for all items of a collection, or nothing changes; see `Gallery.rebind`.

        Args:
            spec: with the collection's name; metric, pixel_space and keep_originals as they are.
            anew: what the network makes of each item. Taken on the writer's thread while every
                other write waits, so that no item can change meanwhile: it must not write.
        """
        self._writer.submit(lambda tx: binding.rebind(tx, spec, anew), alone=True).result()

    def projections(self, collection: str) -> list[StoredProjection]:
        """Every projection of a collection, newest first."""
        with self._readers.snapshot() as connection:
            return projections.of_collection(connection, listing.collection(connection, collection))

    def projection(self, collection: str, id: str) -> StoredProjection:
        """One projection; see `Gallery.projection`."""
        with self._readers.snapshot() as connection:
            return projections.one(connection, listing.collection(connection, collection), id)

    def unfinished(self) -> list[StoredProjection]:
        """Projections of all collections that are queued or running."""
        with self._readers.snapshot() as connection:
            return projections.unfinished(connection)

    def projected(self, collection: str, id: str) -> tuple[bytes | None, bytes | None]:
        """What was kept with a projection; see `Gallery.projected`."""
        with self._readers.snapshot() as connection:
            return projections.kept(connection, listing.collection(connection, collection), id)

    def keep_projection(
        self,
        projection: StoredProjection,
        result: bytes | None = None,
        placement: bytes | None = None,
    ) -> "Future[None]":
        """Store a projection; see `Gallery.keep_projection`."""
        return self._writer.submit(
            lambda tx: projections.keep(tx, projection, result, placement),
            size_bytes=len(result or b"") + len(placement or b""),
        )

    def remove_projection(self, collection: str, id: str) -> "Future[None]":
        """Take a projection away; see `Gallery.remove_projection`."""
        return self._writer.submit(lambda tx: projections.remove(tx, collection, id), frees=True)

    def backup(self, file: Path) -> None:
        """A copy of all that is committed, while everything goes on; see `back_up`."""
        self._readers.check_open()
        self._presence.require()
        back_up(self._file, file)

    def require_writable(self) -> None:
        """See `Gallery.require_writable`."""
        self._readers.check_open()
        self._presence.require_writable()

    def check(self) -> list[str]:
        """What SQLite finds wrong with the file, and we with its log when it was opened."""
        lost = [self._lost] if self._lost else []
        try:
            return lost + self.read(soundness.structure)
        except GalleryUnusable as error:
            return [*lost, str(error)]

    def examine(self, after: int, least_bytes: int) -> soundness.Examined:
        """Compare items with their checksums, and mark what is damaged; see `soundness.examine`."""
        with self._readers.snapshot() as connection:
            found = soundness.examine(connection, after, least_bytes)
        if found.damages or found.unsummed or found.collections:
            self._writer.submit(lambda tx: soundness.mark(tx, found)).result()
        return found

    def index_anew(self) -> None:
        """Make all indexes from the rows, SQLite's and ours; see `soundness.index_anew`."""
        self._writer.submit(soundness.index_anew, alone=True).result()

    def read(self, work: Callable[[Connection], T]) -> T:
        """What a function of `soundness` answers."""
        with self._readers.snapshot() as connection:
            return work(connection)

    def close(self) -> None:
        """Finish the writes that wait, let go of the file; every later call raises `Draining`."""
        self._writer.close()
        self._readers.close()
