"""`VectorIndex`: nearest neighbors in one space of one collection. Knows neither items nor SQL.

Readers take one snapshot and never wait; the one writer puts a new one in its place. Few vectors
are searched one by one, exactly; many in lists, approximately, made by a background thread while
the old snapshot goes on serving. Everything here can be made again from the source.
"""

import logging
import threading
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from core.errors import InvalidValue
from core.gallery.distances import checked
from core.gallery.gallery import Tick, go_on
from core.gallery.index import file as index_file
from core.gallery.index.build import flat_of, lists_of, merge
from core.gallery.index.catch_up import caught_up
from core.gallery.index.file import FileUnusable, SavedIndex
from core.gallery.index.flat import Flat
from core.gallery.index.nearest import VectorSource
from core.gallery.index.options import IndexOptions
from core.gallery.index.search import Hits, Question, SnapshotSearch
from core.gallery.index.snapshot import Snapshot
from core.gallery.index.upkeep import Maintenance, Upkeep
from core.gallery.records import Metric, Numbers
from core.types import FloatArray

__all__ = ["Hits", "IndexOptions", "VectorIndex", "VectorSource"]

_log = logging.getLogger("seethrough")

_LEAST_LISTED = 256
"""Fewer rows than this are never put in lists, whatever their size."""


class VectorIndex:
    """An index without rows; `open` makes one of what is stored.

    Args:
        dim: numbers in a vector, D.
        metric: how distance is measured.
        source: the vectors on disk.
        options: sizes and limits.
    """

    def __init__(
        self,
        dim: int,
        metric: Metric,
        source: VectorSource,
        options: IndexOptions = IndexOptions(),  # noqa: B008  frozen
    ) -> None:
        self._dim = dim
        self._metric: Metric = metric
        self._source = source
        self._options = options
        self._search = SnapshotSearch(metric, source, options)
        self._codes: dict[str | None, int] = {}
        self._writing = threading.Lock()
        self._saving = threading.Lock()
        self._upkeep = Upkeep(self._due, options.build_threads, options.retry_after_s)
        self._kept: tuple[int, object] = (0, None)
        self._snapshot = Snapshot.empty(metric, dim)

    @classmethod
    def open(
        cls,
        file: Path,
        dim: int,
        metric: Metric,
        source: VectorSource,
        live: tuple[Numbers, Sequence[str | None]],
        seq: int,
        options: IndexOptions = IndexOptions(),  # noqa: B008  frozen
    ) -> "VectorIndex":
        """An index of what is stored, from its file as far as that can be used.

        Otherwise it is made from the source, and the log says why: small ones at once, big ones
        in the background, searched exactly but slowly until they are ready.

        Args:
            file: what `save` wrote, maybe long ago.
            live: numbers of all stored rows and their labels.
            seq: the last change in `live`.
        """
        index = cls(dim, metric, source, options)
        order = np.argsort(live[0], kind="stable")
        numbers = np.asarray(live[0], dtype=np.int64)[order]
        codes = index._coded(live[1])[order]
        try:
            stored = index_file.read(file, metric, dim)
            index._snapshot = caught_up(stored, numbers, codes, seq, source, index._is_big)
            index._kept = (stored.seq, index._snapshot.template)
        except FileUnusable as error:
            if len(numbers) or file.exists():
                _log.info("the index %s is made from the stored vectors: %s", file, error)
            index._begin(numbers, codes, seq)
        index._upkeep.nudge()
        return index

    @property
    def count(self) -> int:
        """Living rows."""
        return self._snapshot.count

    @property
    def seq(self) -> int:
        """The last change that every search sees."""
        return self._snapshot.seq

    @property
    def approximate(self) -> bool:
        """Whether searches are approximate unless they ask otherwise."""
        return self._snapshot.base is not None

    @property
    def recall(self) -> float | None:
        """Share of the true 10 nearest found when it was built; None while exact."""
        base = self._snapshot.base
        return None if base is None else base.setting(1).recall

    @property
    def unsaved(self) -> int:
        """Changes since the file was right; all rows, if it holds other lists or none."""
        now, (seq, template) = self._snapshot, self._kept
        if now.template is not template or (now.start and now.base is None):
            return max(1, now.count)
        return now.seq - seq

    def numbers(self) -> Numbers:
        """(count,) int64, ascending: the living rows."""
        return self._snapshot.living

    def apply(
        self,
        added: tuple[Numbers, FloatArray, Sequence[str | None]],
        removed: Numbers,
        relabeled: Iterable[tuple[int, str | None]],
        seq: int,
    ) -> None:
        """Make one change; every search that begins after this returns sees it.

        Args:
            added: (m,) numbers, ascending and greater than every number before, (m, D) float32,
                and m labels.
            removed: numbers; those that are not here are no matter.
            relabeled: numbers and their new labels; those that are not here are no matter.
            seq: the number of the change.

        Raises:
            InvalidValue: the vectors' shape or values, or the numbers, are not as above; nothing
                is changed.
        """
        numbers, rows, codes = self._checked(*added)
        pairs = list(relabeled)
        with self._writing:
            now = self._snapshot
            if len(numbers):
                now = now.with_added(numbers, rows, codes)
            if pairs:
                moved = np.array([number for number, _ in pairs], dtype=np.int64)
                now = now.with_codes(moved, self._coded([label for _, label in pairs]))
            if len(removed):
                now = now.without(np.asarray(removed, dtype=np.int64))
            self._snapshot = replace(now, seq=seq)
        self._upkeep.nudge()

    def search(
        self,
        vector: FloatArray,
        k: int,
        *,
        label: str | None = None,
        any_label: bool = True,
        exact: bool = False,
        exclude: int | None = None,
        tick: Tick = go_on,
    ) -> Hits:
        """The nearest rows to a vector.

        Args:
            vector: (D,) float32.
            k: how many, at least 1.
            label: only rows with this label.
            any_label: False with label=None: only rows without a label.
            exact: never approximate, however long it takes.
            exclude: the number of a row that is not to be found.
            tick: called between pieces of work; what it raises ends the search.

        Raises:
            InvalidValue: the vector has another length or is not finite, or k < 1.
        """
        query = checked(vector, self._dim)
        if k < 1:
            raise InvalidValue("k", k, "at least 1")
        now = self._snapshot
        wanted = None if label is None and any_label else self._codes.get(label, -1)
        question = Question(query, k, now.allowed(wanted, exclude), exact, tick)
        return self._search.hits(now, question)

    def save(self, file: Path) -> None:
        """Put what is here in the file, at once or not at all.

        Raises:
            OSError: it could not be written; what was there stays.
        """
        now = self._snapshot
        if now.base is None and now.start:
            return  # the rows are in the source only: nothing to save yet
        with self._saving:
            stored = SavedIndex(now.seq, now.numbers.values, now.tail, now.base)
            index_file.write(file, stored)
            self._kept = (now.seq, now.template)

    def wait(self) -> None:
        """Until nothing is being done in the background."""
        self._upkeep.wait()

    def close(self) -> None:
        """Stop what is being done in the background; searches still work."""
        self._upkeep.close()

    # --- changing ---

    def _coded(self, labels: Sequence[str | None]) -> NDArray[np.int32]:
        codes = [self._codes.setdefault(label, len(self._codes)) for label in labels]
        return np.array(codes, dtype=np.int32)

    def _checked(
        self, numbers: Numbers, rows: FloatArray, labels: Sequence[str | None]
    ) -> tuple[Numbers, FloatArray, NDArray[np.int32]]:
        numbers = np.asarray(numbers, dtype=np.int64)
        if not len(numbers):
            return numbers, np.empty((0, self._dim), dtype=np.float32), self._coded([])
        rows = np.ascontiguousarray(rows, dtype=np.float32)
        if rows.shape != (len(numbers), self._dim) or len(labels) != len(numbers):
            allowed = f"{len(numbers)} vectors of {self._dim} numbers, and as many labels"
            raise InvalidValue("vectors", rows.shape, allowed)
        if not np.isfinite(rows).all():
            raise InvalidValue("vectors", "NaN or infinity", "finite numbers")
        return numbers, rows, self._coded(labels)

    def _begin(self, numbers: Numbers, codes: NDArray[np.int32], seq: int) -> None:
        """From the source: few rows at once, many when the background gets to it."""
        tail = Flat(self._metric, self._dim)
        if not self._is_big(len(numbers)):
            tail, kept = flat_of(self._metric, self._dim, self._source, numbers, go_on)
            codes, numbers = codes[np.searchsorted(numbers, kept)], kept
        self._snapshot = Snapshot.of(seq, numbers, np.ones(len(numbers), bool), codes, tail)

    def _is_big(self, count: int, share: float = 1.0) -> bool:
        limit_bytes = share * self._options.flat_limit_bytes
        return count > _LEAST_LISTED and count * self._dim * 4 > limit_bytes

    def _due(self) -> Maintenance | None:
        now, options = self._snapshot, self._options
        dead = now.numbers.count - now.count
        if dead > max(options.least_dead, options.dead_share * now.numbers.count):
            return self._rebuild
        if now.base is None:
            return self._rebuild if now.start or self._is_big(now.count) else None
        if now.count > 2 * now.base.built or not self._is_big(now.count, 0.25):
            return self._rebuild
        return self._merge if now.tail.count > options.tail_rows else None

    def _rebuild(self) -> None:
        """All rows anew from the source: in lists if they are many, one by one if not."""
        before = self._snapshot
        numbers, tick = before.living, self._upkeep.tick
        tail, base = Flat(self._metric, self._dim), None
        if self._is_big(len(numbers), 0.25 if before.base else 1.0):
            base, kept = lists_of(self._metric, self._source, numbers, self._options, tick)
        else:
            tail, kept = flat_of(self._metric, self._dim, self._source, numbers, tick)
        with self._writing:
            now = self._snapshot
            missed = now.missed(before, kept)
            left = self._source.vectors_of(missed)[0] if len(missed) else missed
            if len(left):  # what was not read must be gone: its removal is on its way here
                raise RuntimeError(f"a scan of the stored vectors missed {len(left)} of them")
            self._snapshot = now.rebuilt(before, kept, tail, base)

    def _merge(self) -> None:
        """The tail's rows into the lists; places stay as they are."""
        before = self._snapshot
        base = before.base
        if base is None:
            return
        merged = merge(base, before, self._upkeep.tick)
        with self._writing:
            now = self._snapshot
            self._snapshot = replace(now, base=merged, tail=now.tail.since(before.tail.count))
