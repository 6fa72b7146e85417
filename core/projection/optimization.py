"""Optimize a t-SNE map by openTSNE, in the phases it is given."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from core.projection.vectors import ProgressCallback, part
from core.types import DoubleArray, FloatArray

_TOLD_EVERY: Final = 10  # iterations

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


def optimized(
    start: DoubleArray,
    near: tuple[NDArray[np.int64], FloatArray],
    phases: Sequence[Phase],
    *,
    perplexity: float,
    seed: int,
    threads: int,
    progress: ProgressCallback,
) -> tuple[DoubleArray, float]:
    """Points moved until those near each other are those that should be.

    Args:
        start: (n, dims).
        near: (n, k) indices and distances of each vector's nearest others.
        phases: one after another.
        perplexity: about how many neighbors each point has.
        seed: of openTSNE.
        threads: of the gradients; 0 = all cores.
        progress: told all the way; what it raises ends the work.

    Returns:
        (n, dims) float64, centered; and the Kullback-Leibler divergence that is left.
    """
    from openTSNE import TSNEEmbedding  # takes seconds to import
    from openTSNE.affinity import PerplexityBasedNN
    from openTSNE.nearest_neighbors import PrecomputedNeighbors

    jobs = threads or -1
    affinities = PerplexityBasedNN(
        knn_index=PrecomputedNeighbors(*near), perplexity=perplexity, n_jobs=jobs
    )
    embedding = TSNEEmbedding(start, affinities, n_jobs=jobs, random_state=seed)
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
    return coordinates, float(embedding.kl_divergence)


def _teller(phase: Phase, progress: ProgressCallback) -> Callable[[int, float, Any], bool]:
    text = "early exaggeration" if phase.exaggeration > 1 else "optimization"

    def tell(iteration: int, _error: float, _embedding: Any) -> bool:
        progress(iteration / phase.iterations, text)
        return False  # openTSNE stops quietly at True

    return tell
