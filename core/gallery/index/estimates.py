"""Fast float32 distances with a bound on their error.

FAISS's kernels for one query run at the speed of memory. They use the direct formulas (no matrix
product, which loses the order of near duplicates far from the origin), so their error is bounded
relative to the distance itself, whatever order they add in.
"""

from typing import Any

import faiss
import numpy as np

from core.gallery.records import Metric
from core.types import DoubleArray, FloatArray

_TINY = 2.0**-120
"""More than all squares that vanish in float32 add up to."""

_ORDINARY = (1e-15, 1e15)
"""Lengths of vectors whose products neither vanish nor overflow in float32."""


def scales_of(metric: Metric, rows: FloatArray) -> FloatArray:
    """(m,) float32: what a row's product with a query is divided by, for cosine; else ones.

    1 / length; 0 for a row of zeros; NaN, which no comparison leaves out, for extreme lengths.
    """
    if metric != "cosine":
        return np.ones(len(rows), dtype=np.float32)
    lengths = _lengths(rows)
    ordinary = (lengths > _ORDINARY[0]) & (lengths < _ORDINARY[1])
    scales = np.where(lengths == 0, 0.0, np.nan)
    np.divide(1, lengths, out=scales, where=ordinary)
    return scales.astype(np.float32)


def unit(rows: FloatArray) -> FloatArray:
    """(m, D) float32: the rows with length 1; rows of zeros as they are."""
    lengths = _lengths(rows)
    lengths[lengths == 0] = 1
    return np.asarray(np.divide(rows, lengths[:, None], dtype=np.float64), dtype=np.float32)


def _lengths(rows: FloatArray) -> DoubleArray:
    found = np.empty(len(rows))
    for start in range(0, len(rows), 256):
        block = rows[start : start + 256].astype(np.float64)
        found[start : start + 256] = np.sqrt(np.square(block, out=block).sum(axis=1))
    return found


class Estimate:
    """Distances from one query, roughly: squared for l2, the metric itself otherwise.

    Args:
        query: (D,) float32, finite.
    """

    def __init__(self, metric: Metric, query: FloatArray) -> None:
        self._metric = metric
        self._query = unit(query[None])[0] if metric == "cosine" else query
        # Twice the bound on adding D float32 numbers in any order.
        self._error = (len(query) + 16) * 2.0**-23

    def of(self, rows: FloatArray, scales: FloatArray) -> FloatArray:
        """(m,) float32 for (m, D) contiguous rows; NaN where nothing can be said."""
        if self._metric == "l1":
            return np.asarray(
                faiss.pairwise_distances(self._query[None], rows, metric=faiss.METRIC_L1)[0]
            )
        found = np.empty(len(rows), dtype=np.float32)
        kernels: Any = faiss  # its stubs do not list them
        l2 = self._metric == "l2"
        kernel = kernels.fvec_L2sqr_ny if l2 else kernels.fvec_inner_products_ny
        pointers = (faiss.swig_ptr(array) for array in (found, self._query, rows))
        kernel(*pointers, len(self._query), len(rows))
        if self._metric == "cosine":
            with np.errstate(all="ignore"):
                return np.asarray(1 - found * scales)
        return found

    def above(self, distance: float) -> np.float32:
        """No row at this distance or nearer is estimated above this."""
        return self._widened(distance**2 if self._metric == "l2" else distance, 1)

    def within(self, estimate: np.float32) -> np.float32:
        """No row as near as one estimated at this is estimated above what is returned."""
        return self._widened(float(estimate), 2)

    def _widened(self, value: float, errors: int) -> np.float32:
        with np.errstate(over="ignore"):
            if self._metric == "cosine":
                return np.float32(value + errors * self._error)
            return np.float32(value * (1 + self._error) ** errors / (1 - self._error) + _TINY)
