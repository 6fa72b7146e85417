"""Rows of vectors: checked, made comparable, gone through in blocks that tell how far."""

from collections.abc import Callable, Iterator
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from core.types import FloatArray

MapMetric = Literal["euclidean", "cosine"]
"""What makes vectors neighbors."""


ProgressCallback = Callable[[float, str], None]
"""(fraction from 0 to 1, never falling; what is being done). What it raises ends the work."""


class Cancelled(Exception):
    """For a progress callback to raise: nobody wants the result any more."""


def ignored(fraction: float, text: str) -> None:
    """The progress of work that nobody watches."""


def part(progress: ProgressCallback, start: float, end: float) -> ProgressCallback:
    """The progress of a step that takes the whole from `start` to `end`."""

    def report(fraction: float, text: str) -> None:
        progress(start + (end - start) * min(1.0, max(0.0, fraction)), text)

    return report


def blocks(n: int, size: int, progress: ProgressCallback, text: str) -> Iterator[slice]:
    """Slices of `size` rows that cover `n`, telling after each how much is done."""
    for start in range(0, n, size):
        yield slice(start, min(n, start + size))
        progress(min(1.0, (start + size) / n), text)


def comparable(vectors: FloatArray, metric: MapMetric) -> FloatArray:
    """The vectors whose Euclidean distances rank as the metric does; a zero vector stays zero.

    Args:
        vectors: (n, D) finite.

    Returns:
        (n, D) float32, the same array where nothing changes.
    """
    if metric == "euclidean":
        return vectors
    lengths = np.sqrt(np.einsum("nd,nd->n", vectors, vectors, dtype=np.float64))[:, None]
    scaled: FloatArray = (vectors / np.where(lengths > 0, lengths, 1)).astype(np.float32)
    return scaled


def checked_vectors(vectors: NDArray[np.floating]) -> FloatArray:
    """The vectors as float32 rows.

    Raises:
        ValueError: not (n, D), or a value is NaN or infinite.
    """
    rows = np.ascontiguousarray(vectors, dtype=np.float32)
    if rows.ndim != 2:
        raise ValueError(f"vectors of shape {rows.shape}: expected (n, D)")
    if not np.isfinite(rows).all():
        raise ValueError("a vector holds NaN or infinity")
    return rows
