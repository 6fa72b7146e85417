"""Place new vectors in a finished map.

Nothing in the map moves, and each new vector is placed alone: the same with others or without,
bit for bit.
"""

import io
import zipfile
from dataclasses import dataclass
from typing import Any, Final, cast, get_args

import numpy as np
from numpy.typing import NDArray

from core.projection.methods import Metric, checked_vectors, comparable
from core.projection.pca import Basis, DoubleArray, Solver
from core.types import FloatArray

_VERSION: Final = 1
# More neighbors reach across a small collection, and their common middle is no one's: docs/adr/0015
_NEAR: Final = 5
# How much stronger than in the map they attract, as in openTSNE's `transform`: at 1 and below, E of
# `place_one` need not grow with distance, and a vector whose nearest lie apart could fly away.
_PULL: Final = 1.5
# Nearer to one neighbor than this share of its neighbors' distances, a vector is that neighbor.
_SAME: Final = 1e-4


@dataclass(frozen=True, slots=True, eq=False)
class PCAPlacement:
    """What placing in a map of principal components needs: the components."""

    basis: Basis

    @property
    def features(self) -> int:
        """Length of the vectors it places."""
        return len(self.basis.mean)

    def place_one(self, vector: FloatArray) -> DoubleArray:
        """(D,) -> (dims,): its principal components."""
        return cast(DoubleArray, self.basis.coordinates(vector[None])[0])


@dataclass(frozen=True, slots=True, eq=False)
class TSNEPlacement:
    """What placing in a t-SNE map needs: its points, and the vectors they stand for.

    Attributes:
        metric: as the map's.
        perplexity: as the map's; three times as many neighbors tell what counts as equal.
        basis: what the vectors were reduced by; None if by nothing.
        references: (n, d) float32, reduced.
        coordinates: (n, dims) float32.
    """

    metric: Metric
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


Placement = PCAPlacement | TSNEPlacement


def place(placement: Placement, vectors: NDArray[np.floating]) -> FloatArray:
    """Where new vectors fall, each independently of the others.

    Args:
        placement: of the map.
        vectors: (m, D) finite.

    Returns:
        (m, dims) float32.

    Raises:
        ValueError: not (m, D) with the map's D, or a value is NaN or infinite.
    """
    rows = checked_vectors(vectors)
    if rows.shape[1] != placement.features:
        raise ValueError(f"vectors of {rows.shape[1]} values in a map of {placement.features}")
    return np.array([placement.place_one(row) for row in rows], dtype=np.float32)


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


# ---- as bytes ----


def to_bytes(placement: Placement) -> bytes:
    """The placement as an npz archive of plain arrays: the same bytes for the same placement."""
    arrays: dict[str, Any] = {"version": _VERSION}
    if placement.basis is not None:
        arrays |= {
            "mean": placement.basis.mean,
            "components": placement.basis.components,
            "variance_ratio": placement.basis.variance_ratio,
            "solver": placement.basis.solver,
        }
    if isinstance(placement, TSNEPlacement):
        arrays |= {
            "metric": placement.metric,
            "perplexity": placement.perplexity,
            "references": placement.references,
            "coordinates": placement.coordinates,
        }
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


def from_bytes(content: bytes) -> Placement:
    """The placement that `to_bytes` wrote; nothing in the bytes is run.

    Raises:
        ValueError: the bytes are damaged, or something else.
    """
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as archive:
            arrays = dict(archive)
        if int(arrays["version"]) != _VERSION:
            raise ValueError(f"version {arrays['version']}, expected {_VERSION}")
        return _placement(arrays)
    except (KeyError, TypeError, ValueError, EOFError, OSError, zipfile.BadZipFile) as error:
        raise ValueError(f"not a placement: {error}") from error


def _placement(arrays: dict[str, NDArray[Any]]) -> Placement:
    basis = _basis(arrays) if "mean" in arrays else None
    if "references" not in arrays:
        if basis is None:
            raise ValueError("neither components nor references")
        return PCAPlacement(basis)
    metric = str(arrays["metric"])
    if metric not in get_args(Metric):
        raise ValueError(f"metric {metric!r}")
    return TSNEPlacement(
        cast(Metric, metric),
        float(arrays["perplexity"]),
        basis,
        arrays["references"],
        arrays["coordinates"],
    )


def _basis(arrays: dict[str, NDArray[Any]]) -> Basis:
    solver = cast(Solver, str(arrays["solver"]))
    return Basis(arrays["mean"], arrays["components"], arrays["variance_ratio"], solver)
