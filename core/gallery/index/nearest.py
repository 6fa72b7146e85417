"""The exact k nearest of rows whose distances are estimated first, ties and all."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from core.gallery.distances import distances
from core.gallery.index.estimates import Estimate, scales_of
from core.gallery.records import Metric, Numbers
from core.types import DoubleArray, FloatArray


class VectorSource(Protocol):
    """The vectors on disk, the truth that an index is made from; any thread may ask.

    A change is here before the index is told of it.
    """

    def vectors_of(self, numbers: Numbers) -> tuple[Numbers, FloatArray]:
        """Those of the numbers that still exist, (m,), and their vectors, (m, D)."""

    def scan(self) -> Iterator[tuple[Numbers, FloatArray]]:
        """All of them in blocks, by ascending number, as of one moment."""


@dataclass(frozen=True, slots=True, eq=False)
class NearRows:
    """Rows and their distances, nearest first, equal ones by number.

    Attributes:
        numbers: (m,) int64.
        distances: (m,) float64.
    """

    numbers: Numbers
    distances: DoubleArray

    def cut(self, k: int) -> "NearRows":
        """The k nearest, and all that are as near as the k-th."""
        order = np.lexsort((self.numbers, self.distances))
        if len(order) > k:
            kth = self.distances[order[k - 1]]
            order = order[: np.searchsorted(self.distances[order], kth, side="right")]
        return NearRows(self.numbers[order], self.distances[order])

    def __add__(self, other: "NearRows") -> "NearRows":
        return NearRows(
            np.concatenate([self.numbers, other.numbers]),
            np.concatenate([self.distances, other.distances]),
        )


NOTHING = NearRows(np.empty(0, dtype=np.int64), np.empty(0))


def worth_a_look(estimate: Estimate, estimates: FloatArray, k: int) -> NDArray[np.intp]:
    """Indices of the estimates among which the k nearest must be, ties and all."""
    if len(estimates) <= k:
        return np.arange(len(estimates))
    kth = np.partition(estimates, k - 1)[k - 1]
    return np.flatnonzero(~(estimates > estimate.within(kth)))  # NaN: worth a look


class Nearest:
    """The k nearest of rows that come by in blocks; keeps no more than it needs.

    Args:
        query: (D,) float32, finite.
        k: at least 1.
    """

    def __init__(self, metric: Metric, query: FloatArray, k: int) -> None:
        self._metric: Metric = metric
        self._query = query
        self._k = k
        self._estimate = Estimate(metric, query)
        self.found = NOTHING

    def offer(self, numbers: Numbers, rows: FloatArray) -> None:
        """Look at (m,) numbers and their (m, D) rows, contiguous."""
        estimates = self._estimate.of(rows, scales_of(self._metric, rows))
        near = worth_a_look(self._estimate, estimates, self._k)
        if len(self.found.numbers) >= self._k:
            farthest = float(self.found.distances[-1])
            near = near[~(estimates[near] > self._estimate.above(farthest))]
        if len(near):
            exact = NearRows(numbers[near], distances(self._metric, self._query, rows[near]))
            self.found = (self.found + exact).cut(self._k)
