"""Draw an attribution map over its picture: overlay, heat map, mask, cut-out.

In one picture equal values get the same color of the map, and in an overlay the same weight.
"""

import difflib
import math
from dataclasses import dataclass
from typing import Final, Literal, get_args

import numpy as np
from matplotlib import colormaps
from numpy.typing import NDArray

from core.errors import InvalidValue
from core.render.crop import Crop, bands
from core.render.heat import (
    DIVERGING,
    LAST_LEVEL,
    MIDDLE_LEVEL,
    SEQUENTIAL,
    Scale,
    colorize,
    colors_of,
    finite,
    levels_of,
    scale_of,
)
from core.types import LUMA, FloatArray, Frame, Pixels

Style = Literal["overlay", "heatmap", "mask", "cutout"]
DrawingSize = Literal["model", "original"]

BLANK: Final = np.uint8(128)
"""The gray level of what a cut-out leaves out."""

_LUMA: Final = np.array(LUMA, dtype=np.float32)
_MAX_NAME_CHARS: Final = 40


@dataclass(frozen=True, slots=True)
class Drawing:
    """How a map is drawn.

    Attributes:
        style: "overlay", the map's colors over the picture in gray; "heatmap", its colors alone;
            "mask", white where it matters most, else black; "cutout", the picture where it matters
            most, else flat gray.
        colormap: a matplotlib name; None = SEQUENTIAL, or DIVERGING for a map with negative values.
            A named one is used as it is, over the symmetric scale for such a map.
        alpha: 0 (the picture) to 1 (the heat map), for the overlay.
        size: "model", the picture the model saw; "original", the whole picture, the map laid on it.
        mask_fraction: 0 < fraction <= 1, how much of what the model saw mask and cut-out show.

    Raises:
        InvalidValue: a field is outside its allowed set.
    """

    style: Style = "overlay"
    colormap: str | None = None
    alpha: float = 0.5
    size: DrawingSize = "model"
    mask_fraction: float = 0.1

    def __post_init__(self) -> None:
        for name, allowed in (("style", get_args(Style)), ("size", get_args(DrawingSize))):
            if getattr(self, name) not in allowed:
                raise InvalidValue(name, getattr(self, name), ", ".join(allowed))
        if not 0 <= self.alpha <= 1:
            raise InvalidValue("alpha", self.alpha, "0 to 1")
        if not 0 < self.mask_fraction <= 1:
            raise InvalidValue("mask_fraction", self.mask_fraction, "above 0, up to 1")
        if self.colormap is not None and self.colormap not in colormaps:
            raise InvalidValue("colormap", self.colormap, _known_colormaps(self.colormap))


def _known_colormaps(name: str) -> str:
    """What would have been taken: the names most like this one, and how many there are."""
    lowered = {known.lower(): known for known in sorted(colormaps)}
    # The cut bounds the work: the caller chose the name, and comparing takes quadratic time.
    close = difflib.get_close_matches(name[:_MAX_NAME_CHARS].lower(), lowered, n=3)
    names = [lowered[key] for key in close] or [SEQUENTIAL, "viridis", DIVERGING]
    return f"one of matplotlib's {len(colormaps)} names, such as {', '.join(names)}"


def draw(
    values: NDArray[np.floating],
    view: Pixels,
    drawing: Drawing,
    *,
    scale: Scale | None = None,
    frame: Frame | None = None,
    original: Pixels | None = None,
) -> Pixels:
    """Draw a map as `drawing` says.

    With size "original" the map is laid on the pixels the model saw, as floats, bilinear, and only
    then drawn; the pixels it never saw are dark, gray and hatched, in every style.

    Args:
        values: (H, W) finite.
        view: (H, W, 3) the picture the model saw.
        drawing: style, colors and size.
        scale: of this map, or one for many maps; by default `scale_of(values)`.
        frame: where the view lies on the original; needed for size "original".
        original: (height, width, 3) upright; needed for size "original".

    Returns:
        (H, W, 3) or (height, width, 3) uint8.

    Raises:
        ValueError: the map holds NaN or infinity (the engine refuses such a map before), its shape
            is not the view's, or what the size needs is missing.
    """
    floats = finite(values)
    if floats.ndim != 2 or view.shape != (*floats.shape, 3):
        raise ValueError(f"a map of shape {floats.shape} on a picture of shape {view.shape}")
    scale = scale or scale_of(floats)
    if drawing.size == "model":
        return _draw(floats, view, drawing, scale)
    if frame is None or original is None:
        raise ValueError("size 'original' needs the frame and the original picture")
    if floats.shape != frame.crop:
        raise ValueError(f"a map of shape {floats.shape} in a frame of shape {frame.crop}")
    return _draw_on_original(floats, original, Crop(frame, *original.shape[:2]), drawing, scale)


def _draw_on_original(
    values: FloatArray, original: Pixels, crop: Crop, drawing: Drawing, scale: Scale
) -> Pixels:
    drawn = np.empty_like(original)
    for margin in crop.margins:
        for window in bands(margin):
            drawn[window] = _unseen(original[window], drawing, window, original.shape)
    seen = crop.seen
    if drawing.style in ("mask", "cutout"):  # the most important of all pixels: no bands
        drawn[seen] = _draw(crop.project(values), original[seen], drawing, scale)
        return drawn
    for window in bands(seen):
        band = crop.project(values, window[0])
        drawn[window] = _draw(band, original[window], drawing, scale)
    return drawn


def _draw(values: FloatArray, picture: Pixels, drawing: Drawing, scale: Scale) -> Pixels:
    """(H, W) and (H, W, 3) -> (H, W, 3)."""
    if drawing.style == "overlay":
        return _overlay(values, picture, drawing, scale)
    if drawing.style == "heatmap":
        return colorize(values, scale, drawing.colormap)
    chosen = most_important(values, drawing.mask_fraction)[..., None]
    shown, hidden = (picture, BLANK) if drawing.style == "cutout" else (np.uint8(255), np.uint8(0))
    drawn = np.empty_like(picture)
    drawn[:] = np.where(chosen, shown, hidden)
    return drawn


def _overlay(values: FloatArray, picture: Pixels, drawing: Drawing, scale: Scale) -> Pixels:
    """Colors over the picture, which loses its own: else they could not be told apart.

    The weight of a color rises with the value's magnitude, from alpha^2 at zero to alpha, so that
    the picture stays readable where the map has nothing to say. Gray from alpha 0.5 on.
    """
    alpha = np.float32(drawing.alpha)
    levels = np.arange(LAST_LEVEL + 1, dtype=np.float32)
    magnitudes = np.abs(levels / MIDDLE_LEVEL - 1) if scale.signed else levels / LAST_LEVEL
    weights = alpha * (alpha + (1 - alpha) * np.sqrt(magnitudes))
    colors = colors_of(drawing.colormap, scale.signed) * weights[:, None]  # (levels, 3)
    at = levels_of(values, scale)
    blended = _grayed(picture, min(1.0, 2 * drawing.alpha))
    blended *= (1 - weights)[at][..., None]
    blended += colors[at]
    return np.rint(blended, out=blended).astype(np.uint8)


def most_important(values: FloatArray, fraction: float) -> NDArray[np.bool_]:
    """The ceil(fraction * H * W) largest values, equal ones from the top, left to right.

    Only values above zero count: what says nothing, or speaks against the target, is not important.
    Where fewer are above zero, these are all.

    Args:
        values: (H, W) finite.
        fraction: 0 < fraction <= 1.

    Returns:
        (H, W) bool.
    """
    flat = values.ravel()
    # Rounded, because 0.07 * 100 is a little more than 7.
    wanted = max(1, math.ceil(round(fraction * flat.size, 6)))
    count = min(wanted, int(np.count_nonzero(flat > 0)))
    if count == 0:
        return np.zeros(values.shape, dtype=np.bool_)
    threshold = np.partition(flat, -count)[-count]
    chosen = flat > threshold
    equal = np.flatnonzero(flat == threshold)
    chosen[equal[: count - np.count_nonzero(chosen)]] = True
    shaped: NDArray[np.bool_] = chosen.reshape(values.shape)
    return shaped


def _unseen(
    picture: Pixels, drawing: Drawing, window: tuple[slice, slice], shape: tuple[int, ...]
) -> Pixels:
    """A window on a picture of this shape, as the model's blind spot: dark, gray, hatched.

    Never above 127, so that a mask cut at half keeps black what the model never saw.
    """
    period = max(6, min(shape[:2]) // 30)
    rows, columns = (np.arange(s.start, s.stop, dtype=np.int32) % period for s in window)
    stripes = (rows[:, None] + columns) % period < period // 2
    hatched = np.repeat(np.where(stripes, np.uint8(16), np.uint8(48))[..., None], 3, axis=2)
    if drawing.style in ("overlay", "cutout"):  # the styles that show the picture
        hatched += (_grayed(picture, 1.0) * np.float32(0.3)).astype(np.uint8)
    else:
        hatched += np.uint8(40)
    return hatched


def _grayed(picture: Pixels, amount: float) -> FloatArray:
    """The picture with 0 (none) to 1 (all) of its color taken away, (H, W, 3) float32."""
    floats = picture.astype(np.float32)
    if amount > 0:
        luma = floats @ _LUMA
        floats += np.float32(amount) * (luma[..., None] - floats)
    return floats
