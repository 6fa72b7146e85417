"""Principal components: found, kept as arrays, applied."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, cast

import numpy as np

from core.projection.vectors import ProgressCallback, blocks, ignored
from core.types import DoubleArray, FloatArray

Solver = Literal["covariance", "full", "randomized"]

# A covariance matrix of 4096 x 4096 doubles is 128 MiB and takes seconds to decompose.
MAX_EXACT: Final = 4096
_BLOCK: Final = 2048


@dataclass(frozen=True, slots=True, eq=False)
class Basis:
    """Where the cloud's center is and along what directions it is widest.

    A component's sign is free; here its largest loading (by magnitude, the first of equal ones) is
    positive.

    Attributes:
        mean: (D,) float64.
        components: (dims, D) float64, orthonormal rows, widest first.
        variance_ratio: (dims,) float64, the share of the whole variance along each.
        solver: "covariance" and "full" are exact; "randomized" is close to.
    """

    mean: DoubleArray
    components: DoubleArray
    variance_ratio: DoubleArray
    solver: Solver

    def coordinates(self, vectors: FloatArray) -> DoubleArray:
        """(n, D) -> (n, dims): each row's own, whatever the rows beside it.

        Matrix products round a row differently in batches of different sizes, so each row is
        multiplied alone.
        """
        rows = [self.components @ (row - self.mean) for row in vectors]
        return np.array(rows).reshape(len(vectors), len(self.components))

    def spread(self, vectors: FloatArray) -> DoubleArray:
        """(n, D) -> (n, dims), fast: rows agree with `coordinates` up to rounding."""
        parts = [
            (vectors[some] - self.mean) @ self.components.T
            for some in blocks(len(vectors), _BLOCK, ignored, "")
        ]
        return np.concatenate(parts)

    def arrays(self) -> dict[str, Any]:
        """All of it by name, to be kept."""
        return {
            "mean": self.mean,
            "components": self.components,
            "variance_ratio": self.variance_ratio,
            "solver": self.solver,
        }

    @classmethod
    def of(cls, arrays: Mapping[str, Any]) -> "Basis":
        """What `arrays` gave.

        Raises:
            KeyError: one is missing.
        """
        solver = cast(Solver, str(arrays["solver"]))
        return cls(arrays["mean"], arrays["components"], arrays["variance_ratio"], solver)


def fit(
    vectors: FloatArray,
    dims: int,
    *,
    seed: int = 0,
    max_exact: int = MAX_EXACT,
    progress: ProgressCallback = ignored,
) -> Basis:
    """The first principal components, computed in double precision.

    Up to `max_exact` features by the eigenvectors of the covariance; of longer vectors by a full
    SVD of up to `max_exact` of them; of more than that many by a randomized one.

    Args:
        vectors: (n, D) finite; n and D at least `dims`.
        dims: how many components.
        seed: of the randomized solver.
        max_exact: see above.
        progress: told as the covariance grows.
    """
    features = vectors.shape[1]
    mean = vectors.mean(axis=0, dtype=np.float64)
    if features <= max_exact:
        found = _by_covariance(vectors, mean, dims, progress)
    elif len(vectors) <= max_exact:
        found = _by_svd(vectors - mean, dims)
    else:
        found = _by_randomized_svd(vectors - mean, dims, seed)
    variances, components, total, solver = found
    ratio = variances / total if total > 0 else np.zeros(dims)
    return Basis(mean, _signed(components), ratio, solver)


_Spectrum = tuple[DoubleArray, DoubleArray, float, Solver]


def _by_covariance(
    vectors: FloatArray, mean: DoubleArray, dims: int, progress: ProgressCallback
) -> _Spectrum:
    scatter = np.zeros((len(mean), len(mean)))
    for some in blocks(len(vectors), _BLOCK, progress, "principal components"):
        centered = vectors[some] - mean
        scatter += centered.T @ centered
    variances, directions = np.linalg.eigh(scatter)  # ascending
    variances = np.maximum(variances[::-1], 0)
    return variances[:dims], directions.T[::-1][:dims], float(variances.sum()), "covariance"


def _by_svd(centered: DoubleArray, dims: int) -> _Spectrum:
    _, singular, directions = np.linalg.svd(centered, full_matrices=False)
    return singular[:dims] ** 2, directions[:dims], _variance(centered), "full"


def _by_randomized_svd(centered: DoubleArray, dims: int, seed: int) -> _Spectrum:
    from sklearn.utils.extmath import randomized_svd  # takes a second to import

    _, singular, directions = randomized_svd(centered, dims, random_state=seed)
    return singular**2, directions, _variance(centered), "randomized"


def _variance(centered: DoubleArray) -> float:
    return float(np.einsum("nd,nd->", centered, centered))


def _signed(components: DoubleArray) -> DoubleArray:
    largest = np.abs(components).argmax(axis=1)
    signs = np.sign(components[np.arange(len(components)), largest])
    return np.ascontiguousarray(components * signs[:, None])
