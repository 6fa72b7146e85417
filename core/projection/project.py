"""`project`: lay vectors out by PCA or t-SNE. Knows neither items nor labels."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.projection.methods import PCA, Method, checked_vectors
from core.projection.pca import fit
from core.projection.placement import PCAPlacement, Placement, TSNEPlacement
from core.projection.progress import Progress, ignored, part
from core.projection.tsne import make_map
from core.types import FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class Projection:
    """Vectors laid out.

    Attributes:
        coordinates: (n, dims) float32, centered; row i is vector i.
        placement: what placing new vectors needs.
        explained_variance_ratio: (dims,) shares of the whole variance; PCA only.
        kl_divergence: what t-SNE made small; t-SNE only.
    """

    coordinates: FloatArray
    placement: Placement
    explained_variance_ratio: tuple[float, ...] | None = None
    kl_divergence: float | None = None


def project(
    vectors: NDArray[np.floating],
    method: Method,
    *,
    threads: int = 0,
    progress: Progress = ignored,
) -> Projection:
    """Lay vectors out in two or three dimensions; the same twice on one machine.

    Args:
        vectors: (n, D) finite.
        method: how, with its parameters.
        threads: 0 = all cores. Matrix products use BLAS's own number.
        progress: told all the way from 0 to 1, every few seconds; what it raises ends the work.

    Raises:
        InvalidValue: the method's parameters do not fit so few or so short vectors.
        ValueError: the vectors are not (n, D), or a value is NaN or infinite.
    """
    rows = checked_vectors(vectors)
    method.check(*rows.shape)
    progress(0, "starting")
    if isinstance(method, PCA):
        return _by_pca(rows, method, progress)
    made = make_map(rows, method, threads=threads, progress=progress)
    coordinates = made.coordinates.astype(np.float32)
    placement = TSNEPlacement(
        method.metric, float(method.perplexity), made.basis, made.reduced, coordinates
    )
    return Projection(coordinates, placement, kl_divergence=made.kl_divergence)


def _by_pca(rows: FloatArray, method: PCA, progress: Progress) -> Projection:
    basis = fit(rows, method.dims, seed=method.seed, progress=part(progress, 0, 0.9))
    coordinates = basis.spread(rows).astype(np.float32)
    progress(1, "principal components")
    ratio = tuple(map(float, basis.variance_ratio))
    return Projection(coordinates, PCAPlacement(basis), explained_variance_ratio=ratio)
