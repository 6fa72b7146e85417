"""A projection method as somebody would add one: thrown on random axes, and it places nothing."""

from dataclasses import dataclass
from typing import Annotated

import numpy as np

from core.fields import Meaning, as_mapping
from core.projection.method import Projection, ProjectionMethod, ProjectionParameters
from core.projection.vectors import ProgressCallback
from core.types import FloatArray


@dataclass(frozen=True, slots=True)
class Thrown(ProjectionParameters):
    """Random axes."""

    spread: Annotated[float, Meaning("How wide the map is, {within}.", 2, within=(1, 9))] = 1.0


@dataclass(frozen=True, slots=True, eq=False)
class Axes:
    """What it says of its axes."""

    largest_weight: Annotated[float, Meaning("On an axis.", 0.7)]


def lay_out(
    parameters: Thrown, vectors: FloatArray, _threads: int, progress: ProgressCallback
) -> Projection:
    random = np.random.default_rng(parameters.seed)
    axes = random.standard_normal((vectors.shape[1], parameters.dims))
    points = (vectors - vectors.mean(axis=0)) @ axes * parameters.spread
    progress(1, "thrown")
    extras = as_mapping(Axes(float(np.abs(axes).max())))
    return Projection(points.astype(np.float32), extras=extras)


THROWN = ProjectionMethod(
    name="thrown",
    title="random axes",
    text="Thrown on random axes.",
    parameters=Thrown,
    lay_out=lay_out,
    answers=Axes,
)
