"""Arrays as tiles: brightness, captions, a title over a sheet."""

from collections.abc import Sequence
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from core.render.sheet import grid
from core.render.text import write
from core.types import FloatArray, Pixels

Scaling = Literal["each", "shared"]
"""Every tile on a scale of its own, or one scale for all, so that tiles compare."""

MIDDLE: Final = 127.5
CAPTION_PX: Final = 13
TITLE_PX: Final = 15
CELL_PX: Final = 36
"""A cell this wide has room for a number."""

_GRAY: Final = 64
_INK: Final = (232, 232, 232)
_MAX_SIDE_PX: Final = 1000


def span(values: FloatArray, scaling: Scaling) -> tuple[FloatArray, FloatArray]:
    """Smallest and largest value of each tile, or of all, as arrays that broadcast over tiles.

    Args:
        values: (n, ...) one tile per row.
    """
    axes = tuple(range(1 if scaling == "each" else 0, values.ndim))
    return values.min(axes, keepdims=True), values.max(axes, keepdims=True)


def brightness(
    values: FloatArray, low: FloatArray, high: FloatArray, constant: float = MIDDLE
) -> NDArray[np.uint8]:
    """low..high -> 0..255; where these are the same, `constant`."""
    # In float64, where the width of any span of float32 is finite.
    width = np.subtract(high, low, dtype=np.float64)
    shares = np.subtract(values, low, dtype=np.float64) / np.where(width > 0, width, 1.0)
    return np.rint(np.where(width > 0, shares * 255, constant)).clip(0, 255).astype(np.uint8)


def signed_brightness(values: FloatArray, largest: FloatArray) -> NDArray[np.uint8]:
    """-largest..largest -> 0..255: zero is mid-gray; all of it, where largest is 0."""
    return brightness(values, -largest, largest)


def gray(levels: NDArray[np.uint8]) -> Pixels:
    """(..., H, W) -> (..., H, W, 3)."""
    return np.repeat(levels[..., None], 3, axis=-1)


def sheet(
    tiles: Sequence[Pixels],
    captions: Sequence[str] = (),
    numbers: Sequence[FloatArray] = (),
    *,
    columns: int | None = None,
    side_px: int = 64,
    gap_px: int = 1,
) -> Pixels:
    """Tiles in a grid, each enlarged or shrunk to about `side_px` and under its caption.

    Args:
        tiles: each (H, W, 3), all of one shape, at least one.
        captions: one per tile, or none at all.
        numbers: (H, W) per tile, written into its cells where they are wide enough; or none at all.
        columns: tiles per row; by default about a square.
        gap_px: between tiles.
        side_px: of a tile's longer side, where the sheet stays under 1000 pixels with it.
    """
    columns = columns or int(np.ceil(np.sqrt(len(tiles))))
    rows = -(-len(tiles) // columns)
    head = CAPTION_PX if captions else 0
    most = min(_MAX_SIDE_PX // columns, _MAX_SIDE_PX // rows - head) - gap_px
    shown = [_scaled(tile, max(1, min(side_px, most))) for tile in tiles]
    if numbers:
        shown = [_numbered(*each) for each in zip(shown, numbers, strict=True)]
    if captions:
        shown = [_captioned(*each) for each in zip(shown, captions, strict=True)]
    return grid(shown, columns=columns, gap_px=gap_px)


def _scaled(tile: Pixels, side_px: int) -> Pixels:
    """Enlarged by a whole factor, every value a square; or shrunk by averaging."""
    height, width = tile.shape[:2]
    longest = max(height, width)
    if longest <= side_px:
        zoom = side_px // longest
        return tile.repeat(zoom, axis=0).repeat(zoom, axis=1)
    size = (max(1, width * side_px // longest), max(1, height * side_px // longest))
    return np.array(Image.fromarray(tile).resize(size, Image.Resampling.BOX))


def _numbered(tile: Pixels, numbers: FloatArray) -> Pixels:
    """Each cell's number in its middle, black or white, whichever can be read there."""
    cell = tile.shape[0] // numbers.shape[0]
    if cell < CELL_PX:
        return tile
    picture = Image.fromarray(tile)
    for (row, col), number in np.ndenumerate(numbers):
        x, y = col * cell + cell // 2, row * cell + cell // 2
        ink = (0,) * 3 if tile[y, x].mean() > MIDDLE else (255,) * 3
        text = f"{round(float(number), 2) + 0.0:.2f}"
        write(picture, (x, y), text, min(14, cell // 4), ink, anchor="mm")
    return np.array(picture)


def _captioned(tile: Pixels, caption: str) -> Pixels:
    band = Image.new("RGB", (tile.shape[1], CAPTION_PX), (_GRAY,) * 3)
    write(band, (1, 0), caption, CAPTION_PX - 3, _INK)
    return np.concatenate([np.array(band), tile])
