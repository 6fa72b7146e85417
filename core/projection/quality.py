"""Trustworthiness and neighborhood preservation of a map."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from core.projection.knn import nearest
from core.projection.vectors import (
    MapMetric,
    ProgressCallback,
    blocks,
    checked_vectors,
    comparable,
    ignored,
    part,
)
from core.types import FloatArray

TRUSTWORTHINESS_NEIGHBORS: Final = 5  # scikit-learn's default
PRESERVED_NEIGHBORS: Final = 10

_BLOCK: Final = 128  # rows of doubles as long as there are points: 70 MiB at 70 000


@dataclass(frozen=True, slots=True)
class Sample:
    """Of how many points trustworthiness is asked: it ranks all others for each of them.

    Attributes:
        above: of so many points or fewer, all are asked.
        size: of more, so many.
    """

    above: int = 20_000
    size: int = 5000


_SAMPLE: Final = Sample()


@dataclass(frozen=True, slots=True)
class Trust:
    """How few strangers are among a point's neighbors in the map.

    Attributes:
        value: 0 to 1, 1 is best; about 0.5 for points thrown at random.
        neighbors: how many of each point.
        asked: of how many points; each was ranked against all of them.
    """

    value: float
    neighbors: int
    asked: int


@dataclass(frozen=True, slots=True, eq=False)
class Preservation:
    """How many of a point's nearest neighbors are still among its nearest in the map.

    Attributes:
        mean: 0 to 1, over all points.
        neighbors: k.
        per_point: (n,) float32, 0 to 1.
    """

    mean: float
    neighbors: int
    per_point: FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class Quality:
    """Both measures of one map."""

    trustworthiness: Trust
    knn_preservation: Preservation


def measure(
    vectors: NDArray[np.floating],
    coordinates: NDArray[np.floating],
    *,
    metric: MapMetric = "euclidean",
    seed: int = 0,
    threads: int = 0,
    progress: ProgressCallback = ignored,
) -> Quality:
    """Both measures; of fewer neighbors than usual where there are too few points.

    Args:
        vectors: (n, D) finite, n at least 4.
        coordinates: (n, dims) finite, of the same rows.
        metric: what makes vectors neighbors; in the map the Euclidean distance does.
        seed: of the sample.
        threads: of the neighbor search; 0 = all cores.
        progress: told all the way from 0 to 1; what it raises ends the work.

    Raises:
        ValueError: shapes that do not fit, fewer than 4 points, NaN or infinity.
    """
    rows = comparable(checked_vectors(vectors), metric)
    points = checked_vectors(coordinates)
    n = len(rows)
    if len(points) != n or n < 4:
        raise ValueError(f"{n} vectors and {len(points)} points: expected the same, at least 4")
    kept = preservation(
        rows,
        points,
        min(PRESERVED_NEIGHBORS, n - 1),
        threads=threads,
        progress=part(progress, 0, 0.5),
    )
    trusted = trustworthiness(
        rows,
        points,
        min(TRUSTWORTHINESS_NEIGHBORS, (n - 1) // 2),
        seed=seed,
        threads=threads,
        progress=part(progress, 0.5, 1),
    )
    return Quality(trusted, kept)


def preservation(
    vectors: FloatArray,
    coordinates: FloatArray,
    k: int = PRESERVED_NEIGHBORS,
    *,
    threads: int = 0,
    progress: ProgressCallback = ignored,
) -> Preservation:
    """Which share of each point's k nearest vectors are among its k nearest points.

    Args:
        vectors: (n, D) finite, n > k.
        coordinates: (n, dims) finite.
    """
    before, _ = nearest(vectors, k, threads=threads, progress=part(progress, 0, 0.8))
    after, _ = nearest(coordinates, k, threads=threads, progress=part(progress, 0.8, 1))
    n = len(before)
    shared = np.empty(n, dtype=np.float32)
    for some in blocks(n, 4096, ignored, ""):
        shared[some] = (before[some, :, None] == after[some, None]).any(axis=2).mean(axis=1)
    return Preservation(float(shared.mean(dtype=np.float64)), k, shared)


def trustworthiness(
    vectors: FloatArray,
    coordinates: FloatArray,
    k: int = TRUSTWORTHINESS_NEIGHBORS,
    *,
    sample: Sample = _SAMPLE,
    seed: int = 0,
    threads: int = 0,
    progress: ProgressCallback = ignored,
) -> Trust:
    """1 less the penalty for points among the k nearest in the map that were not before.

    A stranger costs its rank among the vectors, by distance from the point, less k. Vectors equally
    far share the best of their ranks.

    Args:
        vectors: (n, D) finite, n > 2 * k.
        coordinates: (n, dims) finite.
        sample: of which points, where there are many.
        seed: of the sample.

    Source: Venna, Kaski 2001; defined as `sklearn.manifold.trustworthiness`.
    """
    n = len(vectors)
    asked = np.arange(n)
    if n > sample.above:
        asked = np.sort(np.random.default_rng(seed).choice(n, sample.size, replace=False))
    near, _ = nearest(coordinates, k, threads=threads, progress=part(progress, 0, 0.2))
    penalty = 0
    centered = vectors - vectors.mean(axis=0, dtype=np.float64).astype(np.float32)
    for some in blocks(len(asked), _BLOCK, part(progress, 0.2, 1), "trustworthiness"):
        ranks = _ranks(centered, asked[some], near[asked[some]])
        penalty += int(np.maximum(ranks - k, 0).sum())
    worst = len(asked) * k * (2 * n - 3 * k - 1) / 2
    return Trust(1 - penalty / worst, k, len(asked))


def _ranks(
    vectors: FloatArray, asked: NDArray[np.int64], others: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Of each point's k others the rank among all the rest, the nearest is 1; (b, k) -> (b, k)."""
    squares = _squares(vectors, asked)
    squares[np.arange(len(asked)), asked] = np.inf  # not its own neighbor
    limits = np.take_along_axis(squares, others, axis=1)
    ranks = [(squares < limits[:, [j]]).sum(axis=1) + 1 for j in range(limits.shape[1])]
    return np.stack(ranks, axis=1)


def _squares(vectors: FloatArray, asked: NDArray[np.int64]) -> NDArray[np.float64]:
    """(b, n) squared distances, in doubles, without doubles of all vectors at once."""
    queries = vectors[asked].astype(np.float64)
    found = np.empty((len(asked), len(vectors)))
    for some in blocks(len(vectors), 8192, ignored, ""):
        rows = vectors[some].astype(np.float64)
        lengths = np.einsum("nd,nd->n", rows, rows)
        found[:, some] = lengths - 2 * queries @ rows.T
    return found
