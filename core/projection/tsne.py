"""t-SNE by openTSNE: its parameters, and how a map is made."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final

import numpy as np

from core.errors import InvalidValue
from core.fields import Meaning, as_mapping
from core.projection.components import Basis, fit
from core.projection.knn import nearest
from core.projection.method import Projection, ProjectionMethod, ProjectionParameters
from core.projection.optimization import Phase, optimized
from core.projection.tsne_placer import TsnePlacer
from core.projection.vectors import MapMetric, ProgressCallback, comparable, part
from core.types import DoubleArray, FloatArray

USUAL_PERPLEXITY: Final = 30.0
MAX_PERPLEXITY: Final = 200
MAX_ITERATIONS: Final = 5000

# Neighbors are looked for in the first 50 principal components: van der Maaten, Hinton 2008, 4.2.
REDUCED: Final = 50

_START_STD: Final = 1e-4  # openTSNE's `initialization.rescale`
_JITTER: Final = 0.01  # and `jitter`: equal points must not start as one


@dataclass(frozen=True, slots=True)
class Tsne(ProjectionParameters):
    """t-distributed stochastic neighbor embedding: who is near stays near, far says little.

    Attributes:
        perplexity: about how many neighbors each point has, 1 to MAX_PERPLEXITY, below n / 3.
        early_exaggeration: how much stronger neighbors attract at first, >= 1.
        early_iterations: for how long, 0 to MAX_ITERATIONS.
        iterations: after that, 1 to MAX_ITERATIONS.
        metric: what makes vectors neighbors; "cosine" scales each to length 1 first.

    Source: van der Maaten, Hinton 2008; Policar et al. 2024, doi:10.18637/jss.v109.i03 (openTSNE).
    """

    perplexity: Annotated[
        float,
        Meaning(
            "About how many neighbors each point has, below n / 3; if left out 30, or the "
            "largest whole number that fits.",
            30,
            within=(1, MAX_PERPLEXITY),
        ),
    ] = USUAL_PERPLEXITY
    early_exaggeration: Annotated[
        float,
        Meaning("How much stronger neighbors attract at first, {within}.", 12, within=(1, 100)),
    ] = 12.0
    early_iterations: Annotated[
        int,
        Meaning("Iterations with early exaggeration, {within}.", 250, within=(0, MAX_ITERATIONS)),
    ] = 250
    iterations: Annotated[
        int, Meaning("Iterations after those, {within}.", 500, within=(1, MAX_ITERATIONS))
    ] = 500
    metric: Annotated[
        MapMetric,
        Meaning(
            "What makes items neighbors; if left out, cosine in a cosine collection.", "euclidean"
        ),
    ] = "euclidean"

    def check(self, n: int, features: int) -> None:
        """Whether `n` vectors of length `features` can be laid out so.

        Raises:
            InvalidValue: too few vectors, or too short ones, or a perplexity too high for so few.
        """
        ProjectionParameters.check(self, n, features)  # super() knows no slotted class
        if not self.perplexity < n / 3:
            allowed = f"1 to {MAX_PERPLEXITY}, below a third of the {n} points"
            raise InvalidValue("perplexity", self.perplexity, allowed)


@dataclass(frozen=True, slots=True, eq=False)
class Divergence:
    """What t-SNE says of its map."""

    kl_divergence: Annotated[float, Meaning("What t-SNE made small.", 1.87)]


@dataclass(frozen=True, slots=True)
class Switch:
    """Where one gradient of the optimization takes over from another.

    Attributes:
        tree_only_below: fewer points have a tree from start to end. Barnes-Hut shares its work
            among threads, grids hardly do. On one thread it takes 0.8 of the time of a coarse grid
            and exact finish at 2000 points, 1.4 at 4000, 1.7 at 6000; two threads halve it.
        tree_finish_below: fewer points end with a tree, others with a fine grid. An iteration of a
            tree costs as much as one on the fine grid at 10 000 points and 3 times as much at
            20 000, on one thread; on two threads they meet somewhere between.
        finish: iterations at the end that are exact.
    """

    tree_only_below: int = 4000
    tree_finish_below: int = 15_000
    finish: int = 200


_SWITCH: Final = Switch()


def fitting_perplexity(n: int) -> float:
    """The perplexity of a map of `n` points for which none was asked.

    Returns:
        The usual one, or the largest whole number below n / 3 where that is less; at least 1.
    """
    return float(max(1, min(USUAL_PERPLEXITY, (n - 1) // 3)))


def schedule(parameters: Tsne, n: int, switch: Switch = _SWITCH) -> tuple[Phase, ...]:
    """How `n` points are optimized.

    A coarse grid is several times as fast as a fine one or a tree, and ends with a looser map; the
    last iterations with an exact gradient make up for it. In three dimensions there are no grids.
    """
    early, late = parameters.early_iterations, parameters.iterations
    exaggeration = parameters.early_exaggeration
    if parameters.dims == 3 or n < switch.tree_only_below:
        phases = [Phase(early, exaggeration, "tree"), Phase(late, 1, "tree")]
    else:
        finish = min(late, switch.finish)
        phases = [
            Phase(early, exaggeration, "coarse grid"),
            Phase(late - finish, 1, "coarse grid"),
            Phase(finish, 1, "tree" if n < switch.tree_finish_below else "grid"),
        ]
    return tuple(phase for phase in phases if phase.iterations)


def lay_out(
    parameters: Tsne,
    vectors: FloatArray,
    threads: int,
    progress: ProgressCallback,
    switch: Switch = _SWITCH,
) -> Projection:
    """A t-SNE map; see `ProjectionMethod.lay_out`. Equal with any number of threads."""
    rows = comparable(vectors, parameters.metric)
    basis, reduced = _reduced(rows, parameters.seed, part(progress, 0, 0.03))
    count = min(len(rows) - 1, int(3 * parameters.perplexity))
    near = nearest(reduced, count, threads=threads, progress=part(progress, 0.03, 0.1))
    made, divergence = optimized(
        _start(reduced, parameters),
        near,
        schedule(parameters, len(rows), switch),
        perplexity=parameters.perplexity,
        seed=parameters.seed,
        threads=threads,
        progress=part(progress, 0.1, 1),
    )
    coordinates = made.astype(np.float32)
    perplexity = float(parameters.perplexity)
    placer = TsnePlacer(parameters.metric, perplexity, basis, reduced, coordinates)
    return Projection(coordinates, placer, as_mapping(Divergence(divergence)), parameters.metric)


def _reduced(
    rows: FloatArray, seed: int, progress: ProgressCallback
) -> tuple[Basis | None, FloatArray]:
    """The basis the rows are reduced by, None where they are few or short; and (n, <= REDUCED)."""
    if rows.shape[1] <= REDUCED or len(rows) <= REDUCED:
        progress(1, "principal components")
        return None, rows
    basis = fit(rows, REDUCED, seed=seed, progress=progress)
    return basis, basis.spread(rows).astype(np.float32)


def _start(reduced: FloatArray, parameters: Tsne) -> DoubleArray:
    """The principal components, shrunk to almost a point, with a little noise."""
    start = fit(reduced, parameters.dims, seed=parameters.seed).spread(reduced)
    width = start[:, 0].std()
    start *= _START_STD / width if width > 0 else 0
    noise = np.random.default_rng(parameters.seed).standard_normal(start.shape)
    return start + noise * _START_STD * _JITTER


def _fitting(points: int, cosine: bool) -> Mapping[str, Any]:
    metric = {"metric": "cosine"} if cosine else {}
    return {"perplexity": fitting_perplexity(points), **metric}


TSNE: Final = ProjectionMethod(
    name="tsne",
    title="t-SNE",
    text="""Vectors that are near each other stay near; how far apart others come says little.

Finds clusters that no straight view shows. Takes seconds for thousands of items, minutes for many
tens of thousands.""",
    parameters=Tsne,
    lay_out=lay_out,
    placer=TsnePlacer.of,
    answers=Divergence,
    fitting=_fitting,
)
