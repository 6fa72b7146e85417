"""Exact k nearest neighbors of all rows of one array."""

import os
from typing import Final

import faiss
import numpy as np
from numpy.typing import NDArray

from core.projection.vectors import ProgressCallback, blocks, ignored
from core.types import FloatArray

# Large enough for the matrix product to be fast, small enough to be cancelled within a second.
_BLOCK: Final = 1024


def nearest(
    rows: NDArray[np.floating], k: int, *, threads: int = 0, progress: ProgressCallback = ignored
) -> tuple[NDArray[np.int64], FloatArray]:
    """The k nearest other rows of each row, by exact search.

    Args:
        rows: (n, D) finite, n > k.
        k: at least 1.
        threads: of the search; 0 = all cores.
        progress: told after each block of rows.

    Returns:
        (n, k) indices and (n, k) Euclidean distances, nearest first; never the row itself, even
        where others equal it.
    """
    # Centered, because the search squares lengths, and a common offset would drown the differences.
    centered = np.ascontiguousarray(rows - rows.mean(axis=0, dtype=np.float64), dtype=np.float32)
    index = faiss.IndexFlatL2(centered.shape[1])
    index.add(centered)
    indices = np.empty((len(centered), k), dtype=np.int64)
    squares = np.empty((len(centered), k), dtype=np.float32)
    # OpenMP keeps this number for each calling thread: other threads' searches keep theirs.
    faiss.omp_set_num_threads(threads or os.cpu_count() or 1)
    for some in blocks(len(centered), _BLOCK, progress, "nearest neighbors"):
        found = index.search(centered[some], k + 1)
        squares[some], indices[some] = _without_self(*found, some.start)
    return indices, np.sqrt(np.maximum(squares, 0))


def _without_self(
    squares: FloatArray, indices: NDArray[np.int64], start: int
) -> tuple[FloatArray, NDArray[np.int64]]:
    """(b, k + 1) -> (b, k): the row itself left out, or the last where enough others equal it."""
    own = indices == np.arange(start, start + len(indices))[:, None]
    own[~own.any(axis=1), -1] = True
    shape = (len(indices), indices.shape[1] - 1)
    return squares[~own].reshape(shape), indices[~own].reshape(shape)
