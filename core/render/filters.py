"""Draw filters: RGB tiles, gray tiles, or a row of tiles each."""

from typing import Final

import numpy as np

from core.inspect.filters import Filters
from core.render.sheet import strip
from core.render.tiles import TITLE_PX, Scaling, brightness, gray, sheet, signed_brightness, span
from core.types import FloatArray, Pixels

MAX_FILTERS: Final = 144
MAX_ROWS: Final = 32
MAX_COLUMNS: Final = 32


def draw_filters(found: Filters, scaling: Scaling = "each") -> Pixels:
    """Filters as tiles under a title that says which of how many are drawn.

    Filters of three channels are RGB tiles, smallest to largest weight from black to full. Filters
    of one channel are gray tiles, and deeper ones a row each, a tile per input channel: zero is
    mid-gray. What is constant on its scale is mid-gray too.
    """
    channels = found.weights.shape[1]
    picture, said = _rows(found, scaling) if channels not in (1, 3) else _tiles(found, scaling)
    scale = "each on its own scale" if scaling == "each" else "all on one scale"
    return strip([(f"{found.layer}\n{said}\n{scale}", picture)], font_px=TITLE_PX)


def _tiles(found: Filters, scaling: Scaling) -> tuple[Pixels, str]:
    weights = found.weights[:MAX_FILTERS]
    if weights.shape[1] == 3:
        tiles = brightness(weights, *span(weights, scaling)).transpose(0, 2, 3, 1)
    else:
        tiles = gray(signed_brightness(weights, _largest(weights, scaling))[:, 0])
    captions = [str(index) for index in found.indices[: len(tiles)]]
    return sheet(list(tiles), captions, side_px=96), _said(found, len(weights))


def _rows(found: Filters, scaling: Scaling) -> tuple[Pixels, str]:
    weights = found.weights[:MAX_ROWS, :MAX_COLUMNS]
    levels = gray(signed_brightness(weights, _largest(weights, scaling)))
    rows, columns = weights.shape[:2]
    tiles = levels.reshape(-1, *levels.shape[2:])  # (n, c, kh, kw, 3) -> (n * c, kh, kw, 3)
    inputs = found.shape[1]
    shown = f"the first {columns} of {inputs}" if columns < inputs else f"{inputs}"
    said = f"{_said(found, rows)}: rows\n{shown} input channels: columns"
    return sheet(list(tiles), columns=columns, side_px=24, gap_px=3), said


def _said(found: Filters, drawn: int) -> str:
    first, last = found.indices[0], found.indices[drawn - 1]
    run = found.indices[:drawn] == tuple(range(first, last + 1))
    numbers = f", {first} to {last}" if run else ""
    return f"{drawn} of {found.shape[0]} filters{numbers}"


def _largest(weights: FloatArray, scaling: Scaling) -> FloatArray:
    largest: FloatArray = np.abs(weights)
    return span(largest, scaling)[1]
