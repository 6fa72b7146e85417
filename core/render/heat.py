"""Colormaps: from numbers to colors, and on which scale.

Nothing here changes a map: scaling is for display, and `Scale` says what was done.
"""

import io
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Final

import numpy as np
from matplotlib import colormaps
from numpy.typing import NDArray
from PIL import Image

from core.types import FloatArray, Pixels

if TYPE_CHECKING:  # the module that owns Frame imports torch, and nothing here needs torch
    pass


SEQUENTIAL: Final = "inferno"
DIVERGING: Final = "bwr"
PERCENTILE: Final = 99.0

# An odd number of colors, so that the zero of a signed map has one of its own, the middle one.
LAST_LEVEL: Final = 254
MIDDLE_LEVEL: Final = LAST_LEVEL // 2


@dataclass(frozen=True, slots=True)
class Scale:
    """Which values the ends of the colormap stand for; values beyond them have the ends' colors.

    Attributes:
        low: 0, or -high for a signed map.
        high: > 0.
        percentile: of the magnitudes that are not zero; `high` lies there.
        signed: whether the map has negative values, and zero therefore the middle color.
    """

    low: float
    high: float
    percentile: float
    signed: bool


def scale_of(values: NDArray[np.floating]) -> Scale:
    """The scale on which a map is drawn, robust against its outliers.

    Zeros do not count: else the map of one unit, zero but for a small receptive field, would have
    most of that field beyond the scale, or the scale at zero. A constant map has its constant at
    an end of the scale; a map of zeros has the scale 0 to 1, and so the color of zero.

    Args:
        values: any shape, not empty, finite.

    Raises:
        ValueError: a value is NaN or infinite, or there is none.
    """
    values = finite(values)
    magnitudes = np.abs(values[values != 0])
    high = float(np.percentile(magnitudes, PERCENTILE)) if magnitudes.size else 1.0
    signed = bool((values < 0).any())
    return Scale(low=-high if signed else 0.0, high=high, percentile=PERCENTILE, signed=signed)


def colorize(values: NDArray[np.floating], scale: Scale, colormap: str | None = None) -> Pixels:
    """A map's colors, without a picture.

    Args:
        values: (...) any shape, finite.
        scale: of this map, or one for many maps that are to be compared.
        colormap: as in `Drawing`.

    Returns:
        (..., 3) uint8.
    """
    colors: Pixels = colors_of(colormap, scale.signed)[levels_of(finite(values), scale)]
    return colors


def levels_of(values: FloatArray, scale: Scale) -> NDArray[np.uint8]:
    """Indices of colors, 0 to LAST_LEVEL. Clipped first: a quotient by a tiny scale overflows."""
    high = np.float32(scale.high)
    levels = np.clip(values, np.float32(scale.low), high) / high
    levels *= MIDDLE_LEVEL if scale.signed else LAST_LEVEL
    levels += MIDDLE_LEVEL if scale.signed else 0
    rounded: NDArray[np.uint8] = np.rint(levels, out=levels).astype(np.uint8)
    return rounded


@lru_cache(maxsize=32)
def colors_of(colormap: str | None, signed: bool) -> Pixels:
    """(LAST_LEVEL + 1, 3) uint8, read-only."""
    chosen = colormaps[colormap or (DIVERGING if signed else SEQUENTIAL)]
    colors: Pixels = chosen(np.linspace(0, 1, LAST_LEVEL + 1), bytes=True)[:, :3]
    colors.flags.writeable = False
    return colors


def finite(values: NDArray[np.floating]) -> FloatArray:
    """As float32; raises ValueError for NaN, infinity or no value at all."""
    floats = np.asarray(values, dtype=np.float32)
    if floats.size == 0:
        raise ValueError(f"a map of shape {floats.shape} has no values")
    if not np.isfinite(floats).all():
        raise ValueError("the map holds NaN or infinity")
    return floats


def png(pixels: Pixels) -> bytes:
    """The picture as a PNG file.

    Level 1 of 9: a photo is mostly noise to deflate, and level 6, the usual one, takes two to four
    times as long for 2 to 20 % fewer bytes.

    Args:
        pixels: (H, W, 3) uint8.
    """
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG", compress_level=1)
    return file.getvalue()
