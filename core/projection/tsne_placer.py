"""Place new vectors in a finished t-SNE map, each alone: nothing in the map moves."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, cast, get_args

import numpy as np
from numpy.typing import NDArray

from core.projection.components import Basis
from core.projection.vectors import MapMetric, comparable
from core.types import DoubleArray, FloatArray

# More neighbors reach across a small collection, and their common middle is no one's: docs/adr/0015
_NEAR: Final = 5
# How much stronger than in the map they attract, as in openTSNE's `transform`: at 1 and below, E of
# `place_one` need not grow with distance, and a vector whose nearest lie apart could fly away.
_PULL: Final = 1.5
# Nearer to one neighbor than this share of its neighbors' distances, a vector is that neighbor.
_SAME: Final = 1e-4


@dataclass(frozen=True, slots=True, eq=False)
class TsnePlacer:
    """What placing in a t-SNE map needs: its points, and the vectors they stand for.

    Attributes:
        metric: as the map's.
        perplexity: as the map's; three times as many neighbors tell what counts as equal.
        basis: what the vectors were reduced by; None if by nothing.
        references: (n, d) float32, reduced.
        coordinates: (n, dims) float32.
    """

    metric: MapMetric
    perplexity: float
    basis: Basis | None
    references: FloatArray
    coordinates: FloatArray

    @property
    def features(self) -> int:
        """Length of the vectors it places."""
        return self.references.shape[1] if self.basis is None else len(self.basis.mean)

    def place_one(self, vector: FloatArray) -> DoubleArray:
        """(D,) -> (dims,): where t-SNE's divergence is small for this vector, all others fixed.

        With y_1 to y_k the coordinates of its five nearest and z_1 to z_n those of all, the y that
        makes E(y) = 1.5 mean log(1 + |y - y_i|^2) + log sum 1 / (1 + |y - z_j|^2) locally smallest.
        The start is the best of the y_i, so that a vector between two clusters falls in one of them
        and not in the void, where their mean would be. A vector that is in the map falls on its own
        point.

        Source: van der Maaten, Hinton 2008; `transform` of openTSNE, Policar et al. 2024,
        doi:10.18637/jss.v109.i03.
        """
        row = comparable(vector[None], self.metric)
        if self.basis is not None:
            row = self.basis.coordinates(row).astype(np.float32)
        squares = np.einsum("nd,nd->n", self.references - row, self.references - row)
        count = min(len(squares), int(3 * self.perplexity))
        near = _smallest(squares, count)
        distances = np.sqrt(squares[near])
        points = self.coordinates.astype(np.float64)
        if distances[0] <= _SAME * distances[-1]:
            return cast(DoubleArray, points[near[0]])
        return _settled(points[near[:_NEAR]], points)

    def arrays(self) -> dict[str, Any]:
        """All of it by name, to be kept."""
        return {
            **({} if self.basis is None else self.basis.arrays()),
            "metric": self.metric,
            "perplexity": self.perplexity,
            "references": self.references,
            "coordinates": self.coordinates,
        }

    @classmethod
    def of(cls, arrays: Mapping[str, Any]) -> "TsnePlacer":
        """What `arrays` gave.

        Raises:
            KeyError: one is missing.
            ValueError: it has another metric.
        """
        metric = str(arrays["metric"])
        if metric not in get_args(MapMetric):
            raise ValueError(f"metric {metric!r}")
        return cls(
            cast(MapMetric, metric),
            float(arrays["perplexity"]),
            Basis.of(arrays) if "mean" in arrays else None,
            arrays["references"],
            arrays["coordinates"],
        )


def _smallest(values: FloatArray, count: int) -> NDArray[np.int64]:
    """Indices of the smallest values, ascending, the first of equal ones first."""
    limit = np.partition(values, count - 1)[count - 1]
    candidates = np.flatnonzero(values <= limit)
    return candidates[np.argsort(values[candidates], kind="stable")[:count]]


def _settled(near: DoubleArray, points: DoubleArray) -> DoubleArray:
    """The y that makes E(y) of `place_one` locally smallest, from the best of the near points."""
    from scipy.optimize import minimize  # takes a second to import

    apart = np.square(near[:, None] - near[None]).sum(axis=2)  # (k, k)
    start = near[np.argmin(np.log1p(apart).sum(axis=1))]
    found = minimize(_energy, start, args=(near, points), jac=True, method="L-BFGS-B")
    return cast(DoubleArray, found.x)


def _energy(y: DoubleArray, near: DoubleArray, points: DoubleArray) -> tuple[float, DoubleArray]:
    """E(y) of `place_one` and its gradient."""
    to_near, to_all = y - near, y - points
    pull = 1 / (1 + np.square(to_near).sum(axis=1))  # (k,)
    push = 1 / (1 + np.square(to_all).sum(axis=1))  # (n,)
    value = np.log(push.sum()) - _PULL * np.log(pull).mean()
    slope = _PULL * (pull @ to_near) / len(near) - np.square(push) @ to_all / push.sum()
    return float(value), 2 * slope
