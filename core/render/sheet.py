"""Many pictures in one: a grid of tiles, a strip of labeled panels."""

import math
from collections.abc import Iterable, Sequence
from typing import Final

import numpy as np
from PIL import Image

from core.render.text import text_size, write
from core.types import Pixels

MIN_PANEL_PX: Final = 128
MAX_PANEL_PX: Final = 1024

_GRID_GRAY: Final = 64
_PAPER: Final = (255, 255, 255)
_INK: Final = (32, 32, 32)
_MAX_LINE_CHARS: Final = 48


def grid(
    tiles: Sequence[Pixels], *, columns: int | None = None, zoom: int = 1, gap_px: int = 1
) -> Pixels:
    """Tiles row by row on dark gray, a gap around each; places left over stay gray.

    Args:
        tiles: each (H, W, 3), all of one shape, at least one.
        columns: tiles per row; by default as many as make the grid about square.
        zoom: whole factor by which each tile is enlarged, every pixel a square: a 3 x 3 filter.
        gap_px: width of the gap, after the zoom.

    Returns:
        (rows * (H * zoom + gap) + gap, columns * (W * zoom + gap) + gap, 3) uint8.

    Raises:
        ValueError: no tile, tiles of more than one shape, or columns or zoom below 1.
    """
    shapes = {tile.shape for tile in tiles}
    if len(shapes) != 1:
        raise ValueError(f"tiles of {len(shapes)} shapes; a grid has one")
    columns = math.ceil(math.sqrt(len(tiles))) if columns is None else columns
    if columns < 1 or zoom < 1 or gap_px < 0:
        raise ValueError(f"columns={columns}, zoom={zoom}, gap_px={gap_px}: below 1, 1 or 0")
    height, width = (side * zoom for side in tiles[0].shape[:2])
    rows = -(-len(tiles) // columns)
    size = (rows * (height + gap_px) + gap_px, columns * (width + gap_px) + gap_px, 3)
    sheet = np.full(size, _GRID_GRAY, dtype=np.uint8)
    for index, tile in enumerate(tiles):
        row, column = divmod(index, columns)
        top, left = gap_px + row * (height + gap_px), gap_px + column * (width + gap_px)
        sheet[top : top + height, left : left + width] = _zoomed(tile, zoom)
    return sheet


def strip(panels: Iterable[tuple[str, Pixels]], *, font_px: int | None = None) -> Pixels:
    """Panels side by side on white, each under its label.

    A panel whose longer side is above MAX_PANEL_PX is shrunk to it, one below MIN_PANEL_PX enlarged
    by a whole factor; others keep every pixel. Hand in a generator and only shrunk panels are held.
    A line of a label is cut at 48 characters; a column is as wide as its label needs.

    Args:
        panels: label, of one line or more, and (H, W, 3) picture; at least one.
        font_px: of the labels; by default in proportion to the tallest panel.

    Returns:
        (height, width, 3) uint8.

    Raises:
        ValueError: no panel.
    """
    labels: list[str] = []
    pictures: list[Pixels] = []
    for label, pixels in panels:
        labels.append("\n".join(_cut(line) for line in label.split("\n")))
        pictures.append(_panel(pixels))
    if not pictures:
        raise ValueError("a strip of no panels")
    tallest = max(picture.shape[0] for picture in pictures)
    font_px = font_px or min(48, max(12, tallest // 16))
    gap = max(6, tallest // 32)
    boxes = [text_size(label, font_px) for label in labels]
    widths = [max(picture.shape[1], box[0]) for picture, box in zip(pictures, boxes, strict=True)]
    head = max(box[1] for box in boxes) + 2 * gap
    size = (sum(widths) + gap * (len(widths) + 1), head + tallest + gap)
    sheet = Image.new("RGB", size, _PAPER)
    left = gap
    for label, picture, width in zip(labels, pictures, widths, strict=True):
        write(sheet, (left, gap), label, font_px, _INK)
        sheet.paste(Image.fromarray(picture), (left, head))
        left += width + gap
    return np.array(sheet)


def _cut(line: str) -> str:
    return line if len(line) <= _MAX_LINE_CHARS else line[: _MAX_LINE_CHARS - 1] + "…"


def _panel(pixels: Pixels) -> Pixels:
    longest = max(pixels.shape[:2])
    if longest < MIN_PANEL_PX:
        return _zoomed(pixels, -(-MIN_PANEL_PX // longest))
    if longest <= MAX_PANEL_PX:
        return pixels
    height, width = (max(1, round(side * MAX_PANEL_PX / longest)) for side in pixels.shape[:2])
    return np.array(Image.fromarray(pixels).resize((width, height), Image.Resampling.BOX))


def _zoomed(pixels: Pixels, zoom: int) -> Pixels:
    """Every pixel a square of zoom x zoom."""
    return pixels.repeat(zoom, axis=0).repeat(zoom, axis=1)
