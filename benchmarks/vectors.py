"""Makes vectors that lie as a classifier's features do: in clusters, none below zero.

A cluster's center is half zeros; around it lies noise of a decaying spectrum (64 directions that
all clusters share, the n-th of strength n^-0.5) and a little of it in every direction; what falls
below zero is zero, as behind a ReLU. Seeded, block by block: a million never sit in memory twice.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.float32]

_DIRECTIONS = 64
_BLOCK = 8192


def clustered(
    count: int, dim: int, *, clusters: int = 2000, seed: int = 0, part: int = 0
) -> Iterator[Rows]:
    """(b, D) float32 blocks of `count` rows; another part is other rows of the same clusters."""
    shape = np.random.default_rng(seed)
    centers = np.maximum(0, shape.standard_normal((clusters, dim), dtype=np.float32))
    spread = shape.standard_normal((_DIRECTIONS, dim), dtype=np.float32)
    spread *= np.arange(1, _DIRECTIONS + 1, dtype=np.float32)[:, None] ** -0.5
    for start in range(0, count, _BLOCK):
        rng = np.random.default_rng([seed, part, start])
        size = min(_BLOCK, count - start)
        rows = rng.standard_normal((size, _DIRECTIONS), dtype=np.float32) @ spread
        rows *= 0.2
        rows += centers[rng.integers(0, clusters, size)]
        rows += 0.1 * rng.standard_normal((size, dim), dtype=np.float32)
        yield np.maximum(rows, 0, out=rows)
