"""Made-up vectors for the tests of maps."""

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]


def gaussian(n: int, features: int, seed: int = 0) -> FloatArray:
    """(n, features), wider along the first features than along the last."""
    random = np.random.default_rng(seed)
    widths = np.linspace(3, 0.5, features)
    return (random.standard_normal((n, features)) * widths + 5).astype(np.float32)


def blobs(
    each: int, features: int = 60, seed: int = 0, apart: float = 10
) -> tuple[FloatArray, NDArray[np.int64]]:
    """Three clouds far from one another, and which one each row is of."""
    random = np.random.default_rng(seed)
    centers = apart * np.eye(3, features)
    of = np.arange(3 * each) % 3
    rows = centers[of] + random.standard_normal((3 * each, features))
    return rows.astype(np.float32), of
