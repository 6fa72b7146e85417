"""Owns how much a point counts each neighbor, given a perplexity; refuses to know maps."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

_HALVINGS: Final = 100
_TOLERANCE: Final = 1e-8


def weights(distances: NDArray[np.floating], perplexity: float) -> NDArray[np.float64]:
    """Gaussian weights of neighbors, as wide as makes their entropy log(perplexity).

    Args:
        distances: (k,) of one point's neighbors, k >= 1.
        perplexity: the effective number of neighbors, >= 1; at k or above all count the same.

    Returns:
        (k,) float64, >= 0, of sum 1.

    Source: van der Maaten, Hinton 2008, section 2.
    """
    squares = distances.astype(np.float64) ** 2
    squares -= squares.min()
    spread = squares.mean()
    if spread == 0 or perplexity >= len(squares):
        return np.full(len(squares), 1 / len(squares))
    squares /= spread
    low, high, precision = 0.0, np.inf, 1.0
    for _ in range(_HALVINGS):
        found = _gaussian(squares, precision)
        excess = _entropy(found) - np.log(perplexity)
        if abs(excess) < _TOLERANCE:
            break
        low, high = (precision, high) if excess > 0 else (low, precision)
        precision = 2 * low if high == np.inf else (low + high) / 2
    return found


def _gaussian(squares: NDArray[np.float64], precision: float) -> NDArray[np.float64]:
    raw = np.exp(-precision * squares)
    normalised: NDArray[np.float64] = raw / raw.sum()
    return normalised


def _entropy(found: NDArray[np.float64]) -> float:
    some = found[found > 0]
    return float(-(some * np.log(some)).sum())
