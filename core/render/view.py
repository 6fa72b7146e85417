"""Project the points of a map, in two or three dimensions, onto the pixels of a square."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from core.types import DoubleArray

# The eye of a three-dimensional map: turned about the upright axis, then raised.
_AZIMUTH: Final = np.radians(35)
_ELEVATION: Final = np.radians(22)


@dataclass(frozen=True, slots=True, eq=False)
class PlotView:
    """Points as they are drawn.

    Attributes:
        at: (n, 2) float64, pixels from the left and from the top.
        depth: (n,) 0, far, to 1, near; None in two dimensions.
        axes: (dims, 2) directions of the axes, in pixels right and down, at most of length 1.
    """

    at: DoubleArray
    depth: DoubleArray | None
    axes: DoubleArray


def view(coordinates: NDArray[np.floating], left: float, top: float, side: float) -> PlotView:
    """The map, fitted in a square: one scale for all axes, because distances are what it shows.

    Args:
        coordinates: (n, 2) or (n, 3) finite, n at least 1.
        left: of the square, in pixels.
        top: of the square.
        side: of the square.
    """
    cloud = coordinates.astype(np.float64)
    # (dims, 3) right, up and towards the eye; seen from above, the last is not there.
    rotated = cloud @ _rotation() if cloud.shape[1] == 3 else cloud
    flat, low, high = rotated[:, :2], rotated[:, :2].min(axis=0), rotated[:, :2].max(axis=0)
    extent = float((high - low).max())
    scaled = (flat - (low + high) / 2) * (side / extent if extent > 0 else 0)
    at = scaled * (1, -1) + (left + side / 2, top + side / 2)
    axes = (_rotation() if cloud.shape[1] == 3 else np.eye(2))[:, :2] * (1, -1)
    return PlotView(at, _unit(rotated[:, 2]) if cloud.shape[1] == 3 else None, axes)


def _rotation() -> DoubleArray:
    """(3, 3): rows are where x, y and z point, columns are right, up and towards the eye."""
    cos_a, sin_a = np.cos(_AZIMUTH), np.sin(_AZIMUTH)
    cos_e, sin_e = np.cos(_ELEVATION), np.sin(_ELEVATION)
    return np.array(
        [
            [cos_a, -sin_a * sin_e, sin_a * cos_e],
            [-sin_a, -cos_a * sin_e, cos_a * cos_e],
            [0, cos_e, sin_e],
        ]
    )


def _unit(values: DoubleArray) -> DoubleArray:
    width = np.ptp(values)
    return (values - values.min()) / width if width > 0 else np.full(len(values), 0.5)
