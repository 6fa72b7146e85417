"""Owns where occlusion windows lie, and the way from one value per window to one per pixel."""

from dataclasses import dataclass

import numpy as np

from core.errors import InvalidValue
from core.types import FloatArray


@dataclass(frozen=True, slots=True)
class Grid:
    """Windows of one size over a picture, row by row.

    Attributes:
        tops: first pixel row of each row of windows, ascending.
        lefts: first pixel column of each column of windows, ascending.
        window: (height, width) in pixels.
        stride: (vertical, horizontal) distance between windows.
        size: (height, width) of the picture.
    """

    tops: tuple[int, ...]
    lefts: tuple[int, ...]
    window: tuple[int, int]
    stride: tuple[int, int]
    size: tuple[int, int]

    @classmethod
    def over(
        cls, size: tuple[int, int], window: tuple[int, int], stride: tuple[int, int]
    ) -> "Grid":
        """Windows at 0, stride, 2 * stride ... and a last one flush with the edge.

        Raises:
            InvalidValue: a window larger than the picture, or a stride that leaves gaps.
        """
        for length, side in zip(window, size, strict=True):
            if not 1 <= length <= side:
                raise InvalidValue("window", _extent(window), f"1 to {_extent(size)}, the picture")
        for step, length in zip(stride, window, strict=True):
            if not 1 <= step <= length:
                raise InvalidValue(
                    "stride",
                    _extent(stride),
                    f"1 to {_extent(window)}, the window: no pixel is left out",
                )
        tops, lefts = map(_starts, size, window, stride)
        return cls(tops, lefts, window, stride, size)

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, cols) of windows."""
        return (len(self.tops), len(self.lefts))

    def slices(self, number: int) -> tuple[slice, slice]:
        """The pixel rows and columns of a window, counted row by row."""
        row, col = divmod(number, len(self.lefts))
        top, left = self.tops[row], self.lefts[col]
        return slice(top, top + self.window[0]), slice(left, left + self.window[1])

    def spread(self, values: FloatArray) -> FloatArray:
        """One value per pixel: the mean over the windows that cover it.

        Args:
            values: (rows, cols), one for each window.

        Returns:
            (H, W) float32.
        """
        total = np.zeros(self.size)
        covered = np.zeros(self.size)
        for number, value in enumerate(values.ravel()):
            where = self.slices(number)
            total[where] += value
            covered[where] += 1
        return (total / covered).astype(np.float32)


def _starts(side: int, length: int, step: int) -> tuple[int, ...]:
    return tuple(sorted({*range(0, side - length + 1, step), side - length}))


def _extent(size: tuple[int, int]) -> str:
    return f"{size[0]}x{size[1]}"
