"""How many lists to probe and candidates to fetch for the target recall, by measuring.

Stored vectors are the queries, each as if nothing of its own list were stored: so it is for a new
picture that is like none of those stored, and such a one is hardest to search for. What is measured
is what a search delivers: candidates from the lists, put in order by their true distances.
"""

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import replace
from functools import cache

import faiss
import numpy as np
from numpy.typing import NDArray

from core.gallery.distances import distances
from core.gallery.index.lists import Lists, Setting, prepared
from core.gallery.index.nearest import VectorSource
from core.gallery.records import Metric, Numbers
from core.types import FloatArray

DEPTHS = ((10, 1), (30, 1), (100, 2), (1000, 5))
"""Neighbors asked for, and by how much fewer queries this is measured on."""

_TIMES = (2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128)
"""True distances worked out for each neighbor asked for."""

_MOST_FETCHED = 8000
_CODE_BYTES_PER_S = 3e9
_FETCH_S = 15e-6


class Truth:
    """The true neighbors of some stored vectors outside their own lists.

    Found from all vectors as they come by in blocks.

    Args:
        lists: trained.
        queries: (q, D) float32.
        depth: neighbors of each.
    """

    def __init__(self, lists: Lists, queries: FloatArray, depth: int) -> None:
        metric = lists.metric
        self.metric: Metric = metric
        self.queries = queries
        self.depth = depth
        self._ready = prepared(metric, queries)
        self.own = lists.lists_of(self._ready)
        self._kind = faiss.METRIC_L1 if metric == "l1" else faiss.METRIC_L2
        self._away = np.empty((len(queries), 0), dtype=np.float32)
        self._near = np.empty((len(queries), 0), dtype=np.int64)

    def offer(self, numbers: Numbers, rows: FloatArray, which: Numbers) -> None:
        """Look at some rows.

        By FAISS's matrix product: its last digits may change who is the last neighbor, by a
        distance that makes no difference to a recall.

        Args:
            numbers: (m,) theirs.
            rows: (m, D), as `prepared` gives them.
            which: (m,) the lists they are in.
        """
        away = faiss.pairwise_distances(self._ready, rows, self._kind)
        away[which == self.own[:, None]] = np.inf
        away = np.hstack([self._away, away])
        near = np.hstack([self._near, np.broadcast_to(numbers, (len(away), len(numbers)))])
        best = np.argpartition(away, min(self.depth, away.shape[1]) - 1, axis=1)[:, : self.depth]
        self._away = np.take_along_axis(away, best, axis=1)
        self._near = np.take_along_axis(near, best, axis=1)

    @property
    def wanted(self) -> Numbers:
        """(q,) how many neighbors there are of each, `depth` at most."""
        return np.asarray(np.isfinite(self._away).sum(axis=1))

    def radii(self, source: VectorSource) -> NDArray[np.float64]:
        """(q,) the true distance of each query's last neighbor."""
        found = np.empty(len(self.queries))
        for i, near in enumerate(self._near):
            rows = source.vectors_of(near[np.isfinite(self._away[i])])[1]
            found[i] = max(distances(self.metric, self.queries[i], rows), default=0.0)
        return found


def measured(
    lists: Lists, numbers: Numbers, truth: Truth, source: VectorSource, target: float
) -> Setting:
    """The cheapest setting that reaches the target, or the best there is.

    Args:
        lists: with all rows.
        numbers: (n,) of the rows, by position.
        truth: has seen all rows.
        target: recall to be reached.
    """
    trial = _Trial(lists, numbers, truth, source)
    promising = cache(trial.promising)
    rungs = list(_ladder(lists.nlist))
    first = bisect_left(rungs, target, key=lambda probed: promising(probed)[-1].recall)
    best: tuple[float, Setting] | None = None
    for probed in rungs[first:]:
        if best is not None and _cost_s(lists, probed, 0) > best[0]:
            break
        for setting in promising(probed):
            cost = _cost_s(lists, probed, setting.fetched)
            if setting.recall < target or (best is not None and cost >= best[0]):
                continue
            if (real := trial.recall(setting)) >= target:
                best = cost, replace(setting, recall=real)
    if best is not None:
        return best[1]
    most = promising(rungs[-1])[-1]
    return replace(most, recall=trial.recall(most))


def _ladder(top: int) -> Iterator[int]:
    """1, 2, 3, 4, 6, 8, 12, 16 ... up to all lists."""
    step = 1
    while step < top:
        yield step
        if step > 1 and step + step // 2 < top:
            yield step + step // 2
        step *= 2
    yield top


def _cost_s(lists: Lists, probed: int, fetched: int) -> float:
    scanned_bytes: float = probed / lists.nlist * lists.count * lists.template.code_size
    return scanned_bytes / _CODE_BYTES_PER_S + fetched * _FETCH_S


class _Trial:
    """Searches for what is known already."""

    def __init__(self, lists: Lists, numbers: Numbers, truth: Truth, source: VectorSource) -> None:
        self._lists = lists
        self._numbers = numbers
        self._truth = truth
        self._source = source
        self._radii = truth.radii(source) * (1 + 1e-6)
        none = np.empty(0, dtype=np.int64)
        self._seen: list[Numbers] = [none] * len(truth.queries)
        self._near: list[Numbers] = [none] * len(truth.queries)
        self._wanted = truth.wanted
        most = max(2 * truth.depth, _MOST_FETCHED)
        self._fetched = [t * truth.depth for t in _TIMES if t * truth.depth <= most]

    def recall(self, setting: Setting) -> float:
        """What searches with a setting find."""
        return self._recalls(setting, [setting.fetched])[0]

    def promising(self, probed: int) -> list[Setting]:
        """What the longest list of candidates holds, cut at different lengths.

        A little more than searches for shorter ones find: FAISS drops, by one bit, what it thinks
        has no chance to be on the list.
        """
        longest = Setting(self._truth.depth, probed, self._fetched[-1], 0.0)
        recalls = self._recalls(longest, self._fetched)
        return [
            Setting(longest.depth, probed, fetched, recall)
            for fetched, recall in zip(self._fetched, recalls, strict=True)
        ]

    def _recalls(self, setting: Setting, lengths: list[int]) -> list[float]:
        hits = np.zeros(len(lengths))
        for i in range(len(self._radii)):
            near = np.cumsum(self._judged(i, setting))
            ends = np.minimum(lengths, len(near)) - 1
            hits += np.minimum(near[ends], self._wanted[i]) if len(near) else 0
        wanted = int(self._wanted.sum())  # none where one list holds all there is
        return [float(share) for share in hits / wanted] if wanted else [1.0] * len(lengths)

    def _judged(self, i: int, setting: Setting) -> NDArray[np.bool_]:
        """Whether each candidate of a query is a true neighbor, most promising first."""
        own = int(self._truth.own[i])
        found = self._numbers[self._lists.candidates(self._truth.queries[i], setting, without=own)]
        fresh = np.setdiff1d(found, self._seen[i], assume_unique=True)
        if len(fresh):
            self._seen[i] = np.concatenate([self._seen[i], fresh])
            numbers, rows = self._source.vectors_of(fresh)
            away = distances(self._truth.metric, self._truth.queries[i], rows)
            near = numbers[away <= self._radii[i]]
            self._near[i] = np.concatenate([self._near[i], near])
        return np.isin(found, self._near[i], assume_unique=True)
