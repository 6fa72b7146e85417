"""PCA: vectors along the directions in which they vary most."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final, cast

import numpy as np

from core.fields import Meaning, as_mapping
from core.projection.components import Basis, fit
from core.projection.method import Projection, ProjectionMethod, ProjectionParameters
from core.projection.vectors import ProgressCallback, part
from core.types import DoubleArray, FloatArray


@dataclass(frozen=True, slots=True)
class Pca(ProjectionParameters):
    """The directions along which the vectors vary most.

    The seed is used only where the randomized solver is, see `core.projection.components`.
    """


@dataclass(frozen=True, slots=True, eq=False)
class Variance:
    """What PCA says of its axes."""

    explained_variance_ratio: Annotated[tuple[float, ...], Meaning("Of each axis.")]


@dataclass(frozen=True, slots=True, eq=False)
class PcaPlacer:
    """What placing in a map of principal components needs: the components."""

    basis: Basis

    @property
    def features(self) -> int:
        """Length of the vectors it places."""
        return len(self.basis.mean)

    def place_one(self, vector: FloatArray) -> DoubleArray:
        """(D,) -> (dims,): its principal components."""
        return cast(DoubleArray, self.basis.coordinates(vector[None])[0])

    def arrays(self) -> dict[str, Any]:
        """All of it by name, to be kept."""
        return self.basis.arrays()

    @classmethod
    def of(cls, arrays: Mapping[str, Any]) -> "PcaPlacer":
        """What `arrays` gave.

        Raises:
            KeyError: one is missing.
        """
        return cls(Basis.of(arrays))


def lay_out(
    parameters: Pca, vectors: FloatArray, _threads: int, progress: ProgressCallback
) -> Projection:
    """The vectors' principal components; see `ProjectionMethod.lay_out`."""
    basis = fit(vectors, parameters.dims, seed=parameters.seed, progress=part(progress, 0, 0.9))
    coordinates = basis.spread(vectors).astype(np.float32)
    progress(1, "principal components")
    ratio = Variance(tuple(map(float, basis.variance_ratio)))
    return Projection(coordinates, PcaPlacer(basis), as_mapping(ratio))


PCA: Final = ProjectionMethod(
    name="pca",
    title="PCA",
    text="""Principal components: the directions along which the vectors vary most.

Quick, the same for everybody, and far apart in the map is far apart in fact; but what lies in other
directions is not seen.""",
    parameters=Pca,
    lay_out=lay_out,
    placer=PcaPlacer.of,
    answers=Variance,
)
