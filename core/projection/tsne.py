"""t-SNE by openTSNE: its schedule, start and phases."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from core.projection.methods import TSNE, comparable
from core.projection.neighbors import nearest
from core.projection.pca import Basis, DoubleArray, fit
from core.projection.progress import Progress, ignored, part
from core.types import FloatArray

# Neighbors are looked for in the first 50 principal components: van der Maaten, Hinton 2008, 4.2.
REDUCED: Final = 50

_START_STD: Final = 1e-4  # openTSNE's `initialization.rescale`
_JITTER: Final = 0.01  # and `jitter`: equal points must not start as one
_TOLD_EVERY: Final = 10  # iterations

# Barnes-Hut shares its work among threads, grids hardly do. On one thread it takes 0.8 of the time
# of a coarse grid and exact finish at 2000 points, 1.4 at 4000, 1.7 at 6000; two threads halve it.
_TREE_ONLY_BELOW: Final = 4000
# An iteration of it costs as much as one on the fine grid at 10 000 points and 3 times as much at
# 20 000, on one thread; on two threads they meet somewhere between.
_TREE_FINISH_BELOW: Final = 15_000
_FINISH: Final = 200

Gradient = Literal["tree", "grid", "coarse grid"]

_GRADIENTS: Final[dict[Gradient, dict[str, Any]]] = {
    "tree": {"negative_gradient_method": "bh", "theta": 0.5},
    "grid": {"negative_gradient_method": "fft", "ints_in_interval": 1},
    "coarse grid": {"negative_gradient_method": "fft", "ints_in_interval": 2},
}


@dataclass(frozen=True, slots=True)
class Phase:
    """A stretch of the optimization.

    Attributes:
        iterations: how many.
        exaggeration: how much stronger than they are neighbors attract.
        gradient: how repulsion is approximated: "tree", Barnes-Hut; "grid", interpolation by FFT.
    """

    iterations: int
    exaggeration: float
    gradient: Gradient


@dataclass(frozen=True, slots=True, eq=False)
class Map:
    """A finished t-SNE map and the space its neighbors were found in.

    Attributes:
        coordinates: (n, dims) float64, centered.
        basis: what the vectors were reduced by; None for at most REDUCED vectors, or values.
        reduced: (n, <= REDUCED) float32, the vectors as their neighbors were found.
        kl_divergence: what the optimization made small.
    """

    coordinates: DoubleArray
    basis: Basis | None
    reduced: FloatArray
    kl_divergence: float


def schedule(method: TSNE, n: int) -> tuple[Phase, ...]:
    """How `n` points are optimized.

    A coarse grid is several times as fast as a fine one or a tree, and ends with a looser map; the
    last iterations with an exact gradient make up for it. In three dimensions there are no grids.
    """
    early, late = method.early_iterations, method.iterations
    exaggeration = method.early_exaggeration
    if method.dims == 3 or n < _TREE_ONLY_BELOW:
        phases = [Phase(early, exaggeration, "tree"), Phase(late, 1, "tree")]
    else:
        finish = min(late, _FINISH)
        phases = [
            Phase(early, exaggeration, "coarse grid"),
            Phase(late - finish, 1, "coarse grid"),
            Phase(finish, 1, "tree" if n < _TREE_FINISH_BELOW else "grid"),
        ]
    return tuple(phase for phase in phases if phase.iterations)


def make_map(
    vectors: FloatArray, method: TSNE, *, threads: int = 0, progress: Progress = ignored
) -> Map:
    """Lay vectors out by t-SNE; the same twice on one machine, with any number of threads.

    Args:
        vectors: (n, D) finite, as many and as long as `method.check` wants.
        method: its parameters.
        threads: of search and gradients; 0 = all cores. Matrix products use BLAS's own.
        progress: told all the way; what it raises ends the work.
    """
    rows = comparable(vectors, method.metric)
    basis, reduced = _reduced(rows, method.seed, part(progress, 0, 0.03))
    count = min(len(rows) - 1, int(3 * method.perplexity))
    near = nearest(reduced, count, threads=threads, progress=part(progress, 0.03, 0.1))
    start = _start(reduced, method)
    return _optimized(
        start, near, method, basis, reduced, threads=threads, progress=part(progress, 0.1, 1)
    )


def _reduced(rows: FloatArray, seed: int, progress: Progress) -> tuple[Basis | None, FloatArray]:
    if rows.shape[1] <= REDUCED or len(rows) <= REDUCED:
        progress(1, "principal components")
        return None, rows
    basis = fit(rows, REDUCED, seed=seed, progress=progress)
    return basis, basis.spread(rows).astype(np.float32)


def _start(reduced: FloatArray, method: TSNE) -> DoubleArray:
    """The principal components, shrunk to almost a point, with a little noise."""
    start = fit(reduced, method.dims, seed=method.seed).spread(reduced)
    width = start[:, 0].std()
    start *= _START_STD / width if width > 0 else 0
    noise = np.random.default_rng(method.seed).standard_normal(start.shape)
    return start + noise * _START_STD * _JITTER


def _optimized(
    start: DoubleArray,
    near: tuple[NDArray[np.int64], FloatArray],
    method: TSNE,
    basis: Basis | None,
    reduced: FloatArray,
    *,
    threads: int,
    progress: Progress,
) -> Map:
    from openTSNE import TSNEEmbedding  # takes seconds to import
    from openTSNE.affinity import PerplexityBasedNN
    from openTSNE.nearest_neighbors import PrecomputedNeighbors

    jobs = threads or -1
    affinities = PerplexityBasedNN(
        knn_index=PrecomputedNeighbors(*near), perplexity=method.perplexity, n_jobs=jobs
    )
    embedding = TSNEEmbedding(start, affinities, n_jobs=jobs, random_state=method.seed)
    phases = schedule(method, len(start))
    total = sum(phase.iterations for phase in phases)
    done = 0
    for phase in phases:
        stretch = part(progress, done / total, (done + phase.iterations) / total)
        embedding.optimize(
            phase.iterations,
            exaggeration=phase.exaggeration,
            inplace=True,
            callbacks=_teller(phase, stretch),
            callbacks_every_iters=_TOLD_EVERY,
            **_GRADIENTS[phase.gradient],
        )
        done += phase.iterations
    coordinates = np.array(embedding, dtype=np.float64)
    coordinates -= coordinates.mean(axis=0)
    progress(1, "optimization")
    return Map(coordinates, basis, reduced, float(embedding.kl_divergence))


def _teller(phase: Phase, progress: Progress) -> Callable[[int, float, Any], bool]:
    text = "early exaggeration" if phase.exaggeration > 1 else "optimization"

    def tell(iteration: int, _error: float, _embedding: Any) -> bool:
        progress(iteration / phase.iterations, text)
        return False  # openTSNE stops quietly at True

    return tell
