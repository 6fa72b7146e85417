"""`LocalGallery`: a folder with a SQLite database, the truth, and an index per space."""

import logging
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from tempfile import gettempdir
from typing import Final

import numpy as np
from numpy.typing import NDArray

from core.errors import GalleryUnusable, InvalidValue, NotYetApplied
from core.gallery.changes import (
    Added,
    Change,
    Created,
    Dropped,
    Rebound,
    Relabeled,
    Removed,
)
from core.gallery.distances import PIXEL_DIM, pixel_vector
from core.gallery.gallery import Tick, go_on
from core.gallery.index.index import IndexOptions, VectorIndex
from core.gallery.index.ranking import nearest
from core.gallery.limits import require_applied
from core.gallery.queries import Neighbors, Query
from core.gallery.records import Collection, CollectionSpec, Fault, Space
from core.gallery.sqlite.lock import FolderLock
from core.gallery.sqlite.store import Store
from core.gallery.sqlite.sweep import OnSwept, Sweep, nobody
from core.gallery.sqlite.verify import damages, verify
from core.scratch import clear
from core.types import FloatArray

_log = logging.getLogger("seethrough")

DATABASE: Final = "seethrough.db"
_INDEXES: Final = "index"
_RETRY_AFTER_S: Final = 1.0
_NO_POINTS: Final = np.empty((0, 0), dtype=np.float32)


class StoredVectors:
    """What an index asks of the store: the vectors of one collection in one space."""

    def __init__(self, store: Store, key: int, space: Space) -> None:
        self._store = store
        self._key = key
        self._space = space

    def vectors_of(
        self, numbers: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Those of these numbers that still exist, and their vectors."""
        return self._store.vectors_of(self._key, numbers, self._space)

    def scan(self) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float32]]]:
        """All of them in blocks, ascending, as they stand now."""
        return self._store.scan(self._key, self._space)


class LocalGallery(Store):
    """A `Gallery` in one folder of this machine: a store, and an index for each space of it.

    Args:
        folder: made if it is missing; one process at a time may have it.
        options: how indexes are built and saved.
        sweep_bytes_s: so much of what is stored is compared with its checksums in a second, while
            the gallery is open; 0 = nothing.
        on_swept: told of each piece of that.

    Raises:
        GalleryUnusable: another process has the folder, or what it holds is not a gallery.
    """

    def __init__(
        self,
        folder: Path,
        options: IndexOptions | None = None,
        *,
        sweep_bytes_s: int = 0,
        on_swept: OnSwept = nobody,
    ) -> None:
        self._folder = folder
        self._options = options or IndexOptions()
        self._indexes: dict[tuple[int, Space], VectorIndex] = {}
        self._specs: dict[tuple[int, Space], CollectionSpec] = {}
        self._closing = threading.Event()
        with ExitStack() as undone:
            self._lock = FolderLock(folder)
            undone.callback(self._lock.release)
            (folder / _INDEXES).mkdir(exist_ok=True)
            super().__init__(folder / DATABASE, self._apply)
            undone.callback(super().close)
            self._seq = super().seq
            for collection in self.collections():
                self._open(collection)
            self._remove_strays()
            for each in (folder, Path(gettempdir())):
                clear(each)
            undone.pop_all()
        self._saver = threading.Thread(
            target=self._save_now_and_then, name="seethrough-save", daemon=True
        )
        self._saver.start()
        self._sweep = Sweep(self, sweep_bytes_s, on_swept) if sweep_bytes_s else None

    @property
    def seq(self) -> int:
        """See `Gallery.seq`."""
        return self._seq

    def nearest(self, collection: str, query: Query, tick: Tick = go_on) -> Neighbors:
        """See `Gallery.nearest`."""
        require_applied(query.min_seq, self._seq, _RETRY_AFTER_S)
        found = self.collection(collection)
        if query.space == "pixels" and not found.spec.pixel_space:
            raise InvalidValue(
                "space", "pixels", f"features: the collection {collection!r} keeps no pixels"
            )
        index = self._index(found, query.space)
        return nearest(self, index, found, query, lambda: self._seq, tick)

    # ---- care ----

    def verify(self, queries: int = 20) -> list[Fault]:
        """See `Gallery.verify`."""
        faults = [Fault("", None, text) for text in self.check()]
        if faults:  # indexes cannot be compared with a file that is damaged itself
            with suppress(GalleryUnusable):
                rows = damages(self)
                faults += rows
                if not rows:  # then what follows from them may be what is wrong
                    self.index_anew()
            return faults
        faults = damages(self)
        for collection in self.collections():
            for space in _spaces(collection.spec):
                index = self._indexes[collection.key, space]
                faults += verify(self, index, collection, space, queries)
        return faults

    def close(self) -> None:
        """See `Gallery.close`."""
        self._closing.set()
        self._saver.join()
        if self._sweep is not None:
            self._sweep.close()
        for index in list(self._indexes.values()):
            index.close()  # what is built in the background reads from the store
        super().close()
        for index_key, index in self._indexes.items():
            self._save(index_key, index)
        self._lock.release()

    # ---- the indexes ----

    def _apply(self, changes: Sequence[Change], seq: int) -> None:
        """What the store's writer does after each commit, before anybody is told of it."""
        made = set()  # from what is stored, these changes among it
        for change in changes:
            match change:
                case Created(collection) | Rebound(collection):
                    self._open(collection, anew=True)
                    made.add(collection.key)
                case Dropped(key):
                    self._discard(key)
        touched = {
            change.key for change in changes if isinstance(change, Added | Removed | Relabeled)
        }
        for index_key in list(self._indexes):
            if index_key[0] in touched - made:
                self._feed(index_key, changes, seq)
        self._seq = seq

    def _feed(self, index_key: tuple[int, Space], changes: Sequence[Change], seq: int) -> None:
        try:
            _feed(self._indexes[index_key], index_key, changes, seq)
        except Exception:  # what is stored is stored: the index has to follow, whatever it takes
            key, space = index_key
            _log.exception("the index %d-%s did not take a change and is made anew", key, space)
            self._open(next(each for each in self.collections() if each.key == key), anew=True)

    def _open(self, collection: Collection, *, anew: bool = False) -> None:
        for space in _spaces(collection.spec):
            index_key = (collection.key, space)
            if anew:
                self._index_file(index_key).unlink(missing_ok=True)
            dim = collection.spec.dim if space == "features" else PIXEL_DIM
            index = VectorIndex.open(
                self._index_file(index_key),
                dim,
                collection.spec.metric,
                StoredVectors(self, collection.key, space),
                self.live(collection.key),
                self.seq,
                self._options,
            )
            if index.unsaved >= min(index.seq, index.count):
                # Its file was of no use, and changes to come could make it look right.
                self._index_file(index_key).unlink(missing_ok=True)
            before = self._indexes.get(index_key)
            self._indexes[index_key], self._specs[index_key] = index, collection.spec
            if before is not None:
                before.close()

    def _index(self, collection: Collection, space: Space) -> VectorIndex:
        """The index that knows a collection as the store does.

        Raises:
            NotYetApplied: it came, went or got another network just now.
        """
        index_key = (collection.key, space)
        if self._specs.get(index_key) != collection.spec:
            raise NotYetApplied(
                f"the index of {collection.spec.name!r} is being made", retry_after_s=_RETRY_AFTER_S
            )
        return self._indexes[index_key]

    def _discard(self, key: int) -> None:
        for index_key in [each for each in self._indexes if each[0] == key]:
            del self._specs[index_key]
            self._indexes.pop(index_key).close()
            self._index_file(index_key).unlink(missing_ok=True)

    def _index_file(self, index_key: tuple[int, Space]) -> Path:
        key, space = index_key
        return self._folder / _INDEXES / f"{key}-{space}.index"

    def _remove_strays(self) -> None:
        """Delete files of collections that were dropped just before the process ended."""
        expected = {self._index_file(index_key) for index_key in self._indexes}
        for file in (self._folder / _INDEXES).iterdir():
            if file not in expected and file.is_file():
                file.unlink()

    def _save_now_and_then(self) -> None:
        while not self._closing.wait(self._options.save_every_s):
            for index_key, index in list(self._indexes.items()):
                if self._options.is_due(index.unsaved, index.count):
                    self._save(index_key, index)

    def _save(self, index_key: tuple[int, Space], index: VectorIndex) -> None:
        if index_key not in self._indexes or not index.unsaved:
            return
        if not self._presence.is_same_database():  # the folder may be another gallery's now
            return
        try:
            index.save(self._index_file(index_key))
        except OSError as error:  # the index is a cache: without it the next start takes longer
            _log.warning("%s could not be saved: %s", self._index_file(index_key).name, error)


def _spaces(spec: CollectionSpec) -> tuple[Space, ...]:
    return ("features", "pixels") if spec.pixel_space else ("features",)


def _feed(
    index: VectorIndex, index_key: tuple[int, Space], changes: Sequence[Change], seq: int
) -> None:
    """Hand an index the changes of its collection."""
    key, space = index_key
    added = {each.number: each for each in changes if isinstance(each, Added) and each.key == key}
    removed = [each.number for each in changes if isinstance(each, Removed) and each.key == key]
    relabeled = [
        (each.number, each.label)
        for each in changes
        if isinstance(each, Relabeled) and each.key == key
    ]
    # Both within one group of writes: it never was.
    gone = [number for number in removed if added.pop(number, None) is None]
    if not (added or gone or relabeled):
        return
    points = [_point(each, space) for each in added.values()]
    index.apply(
        (
            np.array(list(added), dtype=np.int64),
            np.stack(points) if points else _NO_POINTS,
            [each.label for each in added.values()],
        ),
        np.array(gone, dtype=np.int64),
        [(number, label) for number, label in relabeled if number not in removed],
        seq,
    )


def _point(added: Added, space: Space) -> FloatArray:
    if space == "features":
        return added.vector
    assert added.pixels is not None  # the store refuses items without pixels here
    return pixel_vector(added.pixels)
