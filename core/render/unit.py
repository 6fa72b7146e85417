"""Draw one unit's arithmetic: patch, filter, products."""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from core.inspect.unit import Box, Unit
from core.render.heat import DIVERGING, Scale, colorize
from core.render.sheet import strip
from core.render.tiles import CELL_PX, TITLE_PX, brightness, gray, sheet, signed_brightness, span
from core.types import FloatArray, Pixels

MAX_CHANNELS: Final = 16

_FRAME: Final = (255, 208, 0)

# Up to this many input channels and weights per side, the numbers themselves are written.
_MAX_NUMBERED: Final = 4
_MAX_NUMBERED_SIDE: Final = 7


def draw_unit(found: Unit, view: Pixels) -> Pixels:
    """Where the unit looks, then patch, filter and products, a tile per input channel.

    At most 16 input channels: those that contribute most, largest first, each with its share of
    the sum. The patch is dark to bright from its smallest to its largest value; in the filter zero
    is mid-gray; products are blue below zero, white at zero, red above.

    Args:
        view: (H, W, 3) the picture the model saw.
    """
    order = _shown(found.per_input_channel)
    patch, weights, products = (each[order] for each in (found.patch, found.filter, found.products))
    names = [str(found.first_input_channel + index) for index in order]
    sums = [f"{name}: {found.per_input_channel[index]:+.3g}"
            for name, index in zip(names, order, strict=True)]  # fmt: skip
    largest = float(np.abs(products).max()) or 1.0
    seen = gray(brightness(patch, *span(patch, "shared")))
    weighed = gray(signed_brightness(weights, np.abs(weights).max(keepdims=True)))
    colored = colorize(products, Scale(-largest, largest, 100.0, True), DIVERGING)
    panels = (
        _framed(view, found.receptive_field),
        _panel(seen, names, patch),
        _panel(weighed, names, weights),
        _panel(colored, sums, products),
    )
    return strip(zip(_labels(found, len(order)), panels, strict=True), font_px=TITLE_PX)


def _shown(sums: NDArray[np.float64]) -> NDArray[np.int64]:
    """Input channels to draw: all in order where they are few, else those that say most."""
    if len(sums) <= MAX_CHANNELS:
        return np.arange(len(sums))
    order: NDArray[np.int64] = np.argsort(-np.abs(sums), kind="stable")[:MAX_CHANNELS]
    return order


def _labels(found: Unit, drawn: int) -> list[str]:
    at, channels = found.position, len(found.patch)
    inputs = f"{channels} input channel{'s' if channels > 1 else ''}"
    said = inputs if drawn == channels else f"{drawn} of {inputs}, the largest"
    exact = "receptive field" if found.receptive_field_followed else "not followed: everything"
    return [
        f"{at.layer}\nunit {at.channel}, {at.row}, {at.col}\n{exact}",
        f"\npatch\n{said}",
        f"times\nfilter {at.channel}",
        f"products {found.sum - found.bias:.5g} + bias {found.bias:.5g}\n= {found.sum:.5g}"
        f"\nput out: {found.value:.5g}",
    ]


def _framed(view: Pixels, box: Box) -> Pixels:
    """The picture with the box framed, and dark around it."""
    framed = view // 3
    framed[box.top : box.bottom, box.left : box.right] = (
        view[box.top : box.bottom, box.left : box.right]
    )  # fmt: skip
    picture = Image.fromarray(framed)
    edges = (box.left - 1, box.top - 1, box.right, box.bottom)
    ImageDraw.Draw(picture).rectangle(edges, outline=_FRAME)
    return np.array(picture)


def _panel(tiles: Pixels, captions: Sequence[str], numbers: FloatArray) -> Pixels:
    """(n, kh, kw, 3) -> (H, W, 3): a column of numbered tiles where they are few, else a square."""
    few = len(tiles) <= _MAX_NUMBERED and max(numbers.shape[1:]) <= _MAX_NUMBERED_SIDE
    if few:
        side = (CELL_PX + 8) * max(numbers.shape[1:])
        return sheet(list(tiles), captions, list(numbers), columns=1, side_px=side)
    return sheet(list(tiles), captions, list(numbers), side_px=72)
