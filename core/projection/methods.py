"""`PCA` and `TSNE`: their parameters and which vectors they apply to."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from core.checks import require_choice, require_range
from core.errors import InvalidValue
from core.types import FloatArray

Metric = Literal["euclidean", "cosine"]

USUAL_PERPLEXITY: Final = 30.0
MAX_PERPLEXITY: Final = 200
MAX_ITERATIONS: Final = 5000
MAX_EXAGGERATION: Final = 100
MAX_SEED: Final = 2**32 - 1


@dataclass(frozen=True, slots=True)
class PCA:
    """The directions along which the vectors vary most.

    Attributes:
        dims: 2 or 3.
        seed: used only where the randomized solver is, see `core.projection.pca`.

    Raises:
        InvalidValue: a field is outside its allowed set.
    """

    dims: int = 2
    seed: int = 0

    def __post_init__(self) -> None:
        _check_common(self.dims, self.seed)

    def check(self, n: int, features: int) -> None:
        """Whether `n` vectors of length `features` can be laid out so.

        Raises:
            InvalidValue: too few vectors, or too short ones.
        """
        _check_size(n, features, self.dims)


@dataclass(frozen=True, slots=True)
class TSNE:
    """t-distributed stochastic neighbor embedding: who is near stays near, far says little.

    Attributes:
        dims: 2 or 3.
        seed: of the small noise added to the start.
        perplexity: about how many neighbors each point has, 1 to MAX_PERPLEXITY, below n / 3.
        early_exaggeration: how much stronger neighbors attract at first, >= 1.
        early_iterations: for how long, 0 to MAX_ITERATIONS.
        iterations: after that, 1 to MAX_ITERATIONS.
        metric: what makes vectors neighbors; "cosine" scales each to length 1 first.

    Raises:
        InvalidValue: a field is outside its allowed set.

    Source: van der Maaten, Hinton 2008; Policar et al. 2024, doi:10.18637/jss.v109.i03 (openTSNE).
    """

    dims: int = 2
    seed: int = 0
    perplexity: float = USUAL_PERPLEXITY
    early_exaggeration: float = 12.0
    early_iterations: int = 250
    iterations: int = 500
    metric: Metric = "euclidean"

    def __post_init__(self) -> None:
        _check_common(self.dims, self.seed)
        for name, least, most in (
            ("perplexity", 1, MAX_PERPLEXITY),
            ("early_exaggeration", 1, MAX_EXAGGERATION),
            ("early_iterations", 0, MAX_ITERATIONS),
            ("iterations", 1, MAX_ITERATIONS),
        ):
            require_range(name, getattr(self, name), least, most)
        require_choice("metric", self.metric, get_args(Metric))

    def check(self, n: int, features: int) -> None:
        """Whether `n` vectors of length `features` can be laid out so.

        Raises:
            InvalidValue: too few vectors, or too short ones, or a perplexity too high for so few.
        """
        _check_size(n, features, self.dims)
        if not self.perplexity < n / 3:
            allowed = f"1 to {MAX_PERPLEXITY}, below a third of the {n} points"
            raise InvalidValue("perplexity", self.perplexity, allowed)


Method = PCA | TSNE


def fitting_perplexity(n: int) -> float:
    """The perplexity of a map of `n` points for which none was asked.

    Returns:
        The usual one, or the largest whole number below n / 3 where that is less; at least 1.
    """
    return float(max(1, min(USUAL_PERPLEXITY, (n - 1) // 3)))


METHODS: Mapping[str, type[Method]] = {"pca": PCA, "tsne": TSNE}


def method_name(method: Method) -> str:
    """The name clients know the method by."""
    return next(name for name, kind in METHODS.items() if kind is type(method))


def comparable(vectors: FloatArray, metric: Metric) -> FloatArray:
    """The vectors whose Euclidean distances rank as the metric does; a zero vector stays zero.

    Args:
        vectors: (n, D) finite.

    Returns:
        (n, D) float32, the same array where nothing changes.
    """
    if metric == "euclidean":
        return vectors
    lengths = np.sqrt(np.einsum("nd,nd->n", vectors, vectors, dtype=np.float64))[:, None]
    scaled: FloatArray = (vectors / np.where(lengths > 0, lengths, 1)).astype(np.float32)
    return scaled


def checked_vectors(vectors: NDArray[np.floating]) -> FloatArray:
    """The vectors as float32 rows.

    Raises:
        ValueError: not (n, D), or a value is NaN or infinite.
    """
    rows = np.ascontiguousarray(vectors, dtype=np.float32)
    if rows.ndim != 2:
        raise ValueError(f"vectors of shape {rows.shape}: expected (n, D)")
    if not np.isfinite(rows).all():
        raise ValueError("a vector holds NaN or infinity")
    return rows


def _check_common(dims: int, seed: int) -> None:
    if dims not in (2, 3):
        raise InvalidValue("dims", dims, "2 or 3")
    require_range("seed", seed, 0, MAX_SEED)


def _check_size(n: int, features: int, dims: int) -> None:
    if n <= dims:
        raise InvalidValue("points", n, f"at least {dims + 1} for {dims} dimensions")
    if features < dims:
        raise InvalidValue("dims", dims, f"at most {features}, the length of the vectors")
