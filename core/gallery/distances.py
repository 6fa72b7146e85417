"""L2, L1 and cosine distances in float64: what an index has to agree with, to the last bit.

A row's distance is worked out directly in float64 from its float32 numbers and the query's, so it
is the same whichever rows it is worked out with.
"""

from typing import Final

import numpy as np

from core.errors import InvalidValue
from core.gallery.records import Metric
from core.types import DoubleArray, FloatArray, Pixels

PIXEL_SIDE: Final = 32
"""Pixel space compares pictures of this size, stretched, RGB."""

PIXEL_DIM: Final = PIXEL_SIDE * PIXEL_SIDE * 3


def pixel_vector(pixels: Pixels) -> FloatArray:
    """(32, 32, 3) uint8 -> (3072,) float32 in 0..1, the point in pixel space."""
    return pixels.reshape(-1).astype(np.float32) / np.float32(255)


_BLOCK_NUMBERS = 1 << 17
"""Numbers worked on at once: as float64 they stay in a core's cache."""


def checked(vector: FloatArray, dim: int) -> FloatArray:
    """(D,) float32, contiguous: the vector, if it can be compared at all.

    Raises:
        InvalidValue: it has another shape than (dim,), or holds NaN or infinity.
    """
    array = np.ascontiguousarray(vector, dtype=np.float32)
    if array.shape != (dim,):
        shape = " x ".join(map(str, array.shape)) or "one number"
        raise InvalidValue("vector", shape, f"{dim} numbers, as the collection's vectors have")
    if not np.isfinite(array).all():
        raise InvalidValue("vector", "NaN or infinity", "finite numbers")
    return array


def distances(metric: Metric, query: FloatArray, rows: FloatArray) -> DoubleArray:
    """Distance of each row from the query.

    Args:
        metric: l2 = Euclidean, l1 = sum of absolute differences, cosine = 1 - cosine of the angle,
            1 where either vector is all zeros.
        query: (D,) float32.
        rows: (m, D) float32.

    Returns:
        (m,) float64, >= 0; exactly 0 for a row equal to the query.
    """
    found = np.empty(len(rows))
    wide = query.astype(np.float64)
    step = max(1, _BLOCK_NUMBERS // len(query))
    for start in range(0, len(rows), step):
        block = np.array(rows[start : start + step], dtype=np.float64, order="C")  # (b, D)
        found[start : start + step] = _BY_METRIC[metric](wide, block)
    return found


def _l2(query: DoubleArray, rows: DoubleArray) -> DoubleArray:
    rows -= query
    return np.asarray(np.sqrt(_row_sums(np.square(rows, out=rows))))


def _l1(query: DoubleArray, rows: DoubleArray) -> DoubleArray:
    rows -= query
    return _row_sums(np.abs(rows, out=rows))


def _cosine(query: DoubleArray, rows: DoubleArray) -> DoubleArray:
    # Half the squared distance of the two as unit vectors is 1 - cosine without its cancellation:
    # near duplicates keep their order, and equal ones are exactly 0 apart. Squares of float32
    # numbers neither overflow nor vanish in float64.
    own, theirs = _row_sums(np.square(query)[None]), _row_sums(np.square(rows))
    angled = (theirs > 0) & (own > 0)
    rows /= np.sqrt(np.where(angled, theirs, 1))[:, None]
    rows -= query / np.sqrt(np.where(own > 0, own, 1))
    return np.asarray(np.where(angled, _row_sums(np.square(rows, out=rows)) / 2, 1))


def _row_sums(rows: DoubleArray) -> DoubleArray:
    """(b, D) -> (b,): NumPy adds each contiguous row by itself, pairwise, always in one order."""
    return np.asarray(rows.sum(axis=1))


_BY_METRIC = {"l2": _l2, "l1": _l1, "cosine": _cosine}
