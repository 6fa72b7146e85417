"""`Crop`: what of a picture a model's view shows, and a map laid on that."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from PIL import Image

from core.types import FloatArray, Frame

Window = tuple[slice, slice]
"""Rows and columns of a picture, with start and stop."""

_BAND_PIXELS = 2**20


@dataclass(frozen=True, slots=True)
class Crop:
    """A frame laid on its picture: which pixels the model saw, and how a map falls on them.

    Positions are continuous, as in `Frame` and in the resize before it: pixel i covers i to i + 1,
    and x in the scaled picture is x * width / scaled width in the picture.

    Attributes:
        frame: where the model's view lies inside the scaled picture.
        height: of the picture, before scaling.
        width: of the picture, before scaling.
    """

    frame: Frame
    height: int
    width: int

    @property
    def seen(self) -> Window:
        """The pixels that lie in the model's view, if only with a part; never empty."""
        return self._extent(0, self.height), self._extent(1, self.width)

    @property
    def margins(self) -> tuple[Window, ...]:
        """Above, below, left and right of the seen window: together the pixels never seen."""
        rows, columns = self.seen
        windows = (
            (slice(0, rows.start), slice(0, self.width)),
            (slice(rows.stop, self.height), slice(0, self.width)),
            (rows, slice(0, columns.start)),
            (rows, slice(columns.stop, self.width)),
        )
        return tuple(window for window in windows if all(s.start < s.stop for s in window))

    def project(self, values: FloatArray, rows: slice | None = None) -> FloatArray:
        """Lay a map on the seen pixels, bilinear, antialiased where it shrinks.

        Args:
            values: (H, W), one value per pixel of the model's view.
            rows: rows of the picture, within the seen ones; all of them by default.

        Returns:
            (rows, seen columns) float32.
        """
        seen_rows, columns = self.seen
        rows = rows or seen_rows
        top, bottom, above = self._source(0, self.height, rows)
        left, right, before = self._source(1, self.width, columns)
        # A pixel seen in part reaches beyond the map, where its last value goes on.
        padded = np.pad(values, ((above, above), (before, before)), mode="edge")
        size = (columns.stop - columns.start, rows.stop - rows.start)
        image = Image.fromarray(padded).resize(
            size, Image.Resampling.BILINEAR, box=(left, top, right, bottom)
        )
        return np.asarray(image)

    def _extent(self, axis: int, length: int) -> slice:
        """The pixels along one axis that overlap the crop."""
        start, scaled = self.frame.origin[axis], self.frame.scaled[axis]
        stop = start + self.frame.crop[axis]
        return slice(start * length // scaled, -(-stop * length // scaled))

    def _source(self, axis: int, length: int, extent: slice) -> tuple[float, float, int]:
        """Where pixels `extent` start and stop in a map padded on both sides, and that padding."""
        ratio = self.frame.scaled[axis] / length
        padding = math.ceil(ratio) + 1
        shift = padding - self.frame.origin[axis]
        return extent.start * ratio + shift, extent.stop * ratio + shift, padding


def bands(window: Window) -> Iterator[Window]:
    """The window cut into runs of rows of about a million pixels, top to bottom.

    Floats of a 50-megapixel picture would take gigabytes; those of a band take a few megabytes.
    """
    rows, columns = window
    step = max(1, _BAND_PIXELS // (columns.stop - columns.start))
    for top in range(rows.start, rows.stop, step):
        yield slice(top, min(top + step, rows.stop)), columns
