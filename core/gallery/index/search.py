"""Search of one snapshot: the tail exactly, the base exactly or by lists."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from core.gallery.distances import distances
from core.gallery.gallery import Tick
from core.gallery.index.build import blocks_of
from core.gallery.index.lists import Lists, Setting
from core.gallery.index.nearest import NOTHING, Nearest, NearRows, VectorSource
from core.gallery.index.options import IndexOptions
from core.gallery.index.snapshot import Snapshot
from core.gallery.records import Metric, Numbers
from core.types import DoubleArray, FloatArray

_FETCH = 1024
"""Vectors asked of the source at a time."""


@dataclass(frozen=True, slots=True, eq=False)
class Hits:
    """The nearest rows, by (distance, number): k, more where several tie at the k-th distance.

    Attributes:
        numbers: (m,) int64.
        distances: (m,) float64.
        exact: whether no row can be nearer than those listed.
        recall: of approximate answers, the share of true neighbors found when it was measured,
            on searches as deep as this one without a label; None for exact ones.
    """

    numbers: Numbers
    distances: DoubleArray
    exact: bool
    recall: float | None


@dataclass(frozen=True, slots=True, eq=False)
class Question:
    """What is asked of a snapshot.

    Attributes:
        query: (D,) float32, finite.
        k: at least 1.
        allowed: (n,) rows that may be found, by position; None = all.
        exact: never approximate.
        tick: called between pieces of work; what it raises ends the search.
    """

    query: FloatArray
    k: int
    allowed: NDArray[np.bool_] | None
    exact: bool
    tick: Tick


class SnapshotSearch:
    """Base and tail together: the tail exactly, the base as it can be.

    Args:
        source: has the vectors of the base.
    """

    def __init__(self, metric: Metric, source: VectorSource, options: IndexOptions) -> None:
        self._metric: Metric = metric
        self._source = source
        self._threads = options.threads
        self._few_rows = options.few_rows

    def hits(self, now: Snapshot, asked: Question) -> Hits:
        """The nearest rows.

        Raises:
            What the question's tick raises.
        """
        if self._metric == "cosine" and not asked.query.any():
            return self._all_at_one(now, asked.allowed)
        found, recall = self._in_base(now, asked)
        found = (found + self._in_tail(now, asked)).cut(asked.k)
        return Hits(found.numbers, found.distances, recall is None, recall)

    def _all_at_one(self, now: Snapshot, allowed: NDArray[np.bool_] | None) -> Hits:
        """No angle: by definition every row is at distance 1."""
        numbers = now.numbers.values if allowed is None else now.numbers.values[allowed]
        return Hits(numbers.copy(), np.ones(len(numbers)), True, None)

    def _in_tail(self, now: Snapshot, asked: Question) -> NearRows:
        if not now.tail.count:
            return NOTHING
        there = None if asked.allowed is None else asked.allowed[now.start :]
        found = now.tail.nearest(asked.query, asked.k, there, self._threads)
        return NearRows(now.numbers.values[now.start + found.numbers], found.distances)

    def _in_base(self, now: Snapshot, asked: Question) -> tuple[NearRows, float | None]:
        """What is near among the rows before the tail, and the recall; None if none is missed."""
        if not now.start:
            return NOTHING, None
        there = None if asked.allowed is None else asked.allowed[: now.start]
        count = now.start if there is None else int(np.count_nonzero(there))
        if count <= self._few_rows:
            positions = np.arange(now.start) if there is None else np.flatnonzero(there)
            return self._fetched(asked, now.numbers.values[positions]).cut(asked.k), None
        if asked.exact or now.base is None:
            return self._scanned(now, asked, there), None
        setting = now.base.setting(asked.k, count / now.start)
        for lists in dict.fromkeys((setting.lists, now.base.nlist)):
            found = self._listed(now, now.base, asked, replace(setting, lists=lists), there)
            if len(found.numbers) >= min(asked.k, count):
                break
        return found.cut(asked.k), setting.recall

    def _listed(
        self,
        now: Snapshot,
        base: Lists,
        asked: Question,
        setting: Setting,
        there: NDArray[np.bool_] | None,
    ) -> NearRows:
        positions = base.candidates(asked.query, setting, there, self._threads)
        return self._fetched(asked, now.numbers.values[positions])

    def _fetched(self, asked: Question, numbers: Numbers) -> NearRows:
        """All of these that there are, in no order, by the vectors the source has."""
        found = NOTHING
        for start in range(0, len(numbers), _FETCH):
            asked.tick()
            got, rows = self._source.vectors_of(numbers[start : start + _FETCH])
            found = found + NearRows(got, distances(self._metric, asked.query, rows))
        return found

    def _scanned(self, now: Snapshot, asked: Question, there: NDArray[np.bool_] | None) -> NearRows:
        """The nearest of all, by reading every vector the source has."""
        numbers = now.numbers.values[: now.start]
        nearest = Nearest(self._metric, asked.query, asked.k)
        chosen = numbers if there is None else numbers[there]
        for found, rows in blocks_of(self._source, chosen, asked.tick):
            nearest.offer(found, rows)
        return nearest.found
