"""Where a map's label names are written: among their points, or beside them."""

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from core.types import DoubleArray

TextBox = tuple[float, float, float, float]
"""Left, top, right, bottom."""

_COVERED: Final = 0.25


def name_centers(
    at: DoubleArray,
    of_points: NDArray[np.int64],
    sizes: Sequence[tuple[float, float]],
    side: float,
    margin: float,
) -> list[tuple[float, float] | None]:
    """The middle of each name: among its label's points or, where it would cover them, beside them.

    None for a label whose points are all over the map, and where other names leave no room.

    Args:
        at: (n, 2) pixels.
        of_points: (n,) each point's label, an index into `sizes` or beyond it for no name.
        sizes: width and height of each name in pixels, the most important first.
        side: of the square that the names stay in.
        margin: pixels kept free between a name and a point's middle.
    """
    whole = _scatter(at)
    taken: list[TextBox] = []
    centers: list[tuple[float, float] | None] = []
    for label, size in enumerate(sizes):
        own = at[of_points == label]
        center = None
        if _scatter(own) <= whole / 2:
            center = _center(at, own, size, side, margin, taken)
        if center is not None:
            taken.append(_box(center, size))
        centers.append(center)
    return centers


def _center(
    at: DoubleArray,
    own: DoubleArray,
    size: tuple[float, float],
    side: float,
    margin: float,
    taken: Sequence[TextBox],
) -> tuple[float, float] | None:
    width, height = size[0] + 2 * margin, size[1] + 2 * margin
    x, y = np.median(own, axis=0)
    middle = min(max(x, width / 2), side - width / 2), min(max(y, height / 2), side - height / 2)
    if _free(_box(middle, size), side, taken):
        covered = _covered(_box(middle, (width, height)), own)
        if covered < _COVERED * len(own):
            return middle
    beside = [
        center
        for center in _beside(own, middle, width / 2, height / 2)
        if _free(_box(center, size), side, taken)
    ]
    covering = [_covered(_box(center, (width, height)), at) for center in beside]
    return beside[int(np.argmin(covering))] if beside else None


def _beside(
    own: DoubleArray, middle: tuple[float, float], half_width: float, half_height: float
) -> Iterator[tuple[float, float]]:
    """Above, below, right and left of those of a label's points that the name could cover there."""
    x, y = middle
    column = own[np.abs(own[:, 0] - x) < half_width][:, 1]
    row = own[np.abs(own[:, 1] - y) < half_height][:, 0]
    yield x, column.min(initial=y) - half_height
    yield x, column.max(initial=y) + half_height
    yield row.max(initial=x) + half_width, y
    yield row.min(initial=x) - half_width, y


def _box(center: tuple[float, float], size: tuple[float, float]) -> TextBox:
    (x, y), (width, height) = center, size
    return x - width / 2, y - height / 2, x + width / 2, y + height / 2


def _free(box: TextBox, side: float, taken: Sequence[TextBox]) -> bool:
    inside = min(box) >= 0 and max(box) <= side
    return inside and not any(
        all(box[i] < other[i + 2] and other[i] < box[i + 2] for i in (0, 1)) for other in taken
    )


def _covered(box: TextBox, at: DoubleArray) -> int:
    return int(((at > box[:2]) & (at < box[2:])).all(axis=1).sum())


def _scatter(at: DoubleArray) -> float:
    """The median distance from the median point."""
    return float(np.median(np.linalg.norm(at - np.median(at, axis=0), axis=1)))
