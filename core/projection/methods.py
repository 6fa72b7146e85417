"""The list of projection methods: a new one is one file beside this, and one line here."""

from collections.abc import Callable, Mapping
from functools import reduce
from operator import or_
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from core.fields import Described, Meaning, described
from core.projection.method import Projection, ProjectionMethod, ProjectionParameters
from core.projection.pca import PCA
from core.projection.tsne import TSNE
from core.projection.vectors import ProgressCallback, checked_vectors, ignored

_ROWS: Final[tuple[ProjectionMethod[Any], ...]] = (
    PCA,
    TSNE,
)

PROJECTION_METHODS: Final[dict[str, ProjectionMethod[Any]]] = {row.name: row for row in _ROWS}
"""By the name clients know them by, in the order in which they are listed."""

USUAL: Final = TSNE.name
"""What is taken where a method need not be said."""


def row_of(parameters: ProjectionParameters) -> ProjectionMethod[Any]:
    """The method that has parameters of this kind."""
    return next(row for row in PROJECTION_METHODS.values() if row.parameters is type(parameters))


def project(
    vectors: NDArray[np.floating],
    parameters: ProjectionParameters,
    *,
    threads: int = 0,
    progress: ProgressCallback = ignored,
) -> Projection:
    """Lay vectors out in two or three dimensions; the same twice on one machine.

    Args:
        vectors: (n, D) finite.
        parameters: of one of the methods.
        threads: 0 = all cores. Matrix products use BLAS's own number.
        progress: told all the way from 0 to 1, every few seconds; what it raises ends the work.

    Raises:
        InvalidValue: the method's parameters do not fit so few or so short vectors.
        ValueError: the vectors are not (n, D), or a value is NaN or infinite.
    """
    rows = checked_vectors(vectors)
    parameters.check(*rows.shape)
    progress(0, "starting")
    return row_of(parameters).lay_out(parameters, rows, threads, progress)


def every_parameter() -> Mapping[str, Described]:
    """The parameters of all methods, by name; the text says whose one is, unless everyone's."""
    return _together(lambda row: row.parameters)


def every_answer() -> Mapping[str, Described]:
    """What methods answer of their own, by name; the text says which."""
    return _together(lambda row: row.answers)


def _together(part: Callable[[ProjectionMethod[Any]], type | None]) -> Mapping[str, Described]:
    owned: dict[str, dict[str, Described]] = {}
    for row in PROJECTION_METHODS.values():
        kind = part(row)
        for name, each in described(kind).items() if kind else ():
            owned.setdefault(name, {})[row.title] = each
    return {name: _shared(each) for name, each in owned.items()}


def _shared(owners: Mapping[str, Described]) -> Described:
    """One field of several methods; where they say different things of it, all of that."""
    first = next(iter(owners.values()))
    hint = reduce(or_, (each.hint for each in owners.values()))
    sentences = {title: each.meaning.sentence for title, each in owners.items()}
    if len(set(sentences.values())) > 1:
        text = " ".join(f"{title}: {sentence}" for title, sentence in sentences.items())
    elif len(owners) < len(PROJECTION_METHODS):
        text = f"{first.meaning.sentence.removesuffix('.')}; {', '.join(owners)} only."
    else:
        text = first.meaning.sentence
    return Described(hint, first.default, Meaning(text, first.meaning.example))
