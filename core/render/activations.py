"""Draw activations: feature maps as tiles, a vector as cells."""

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

from core.errors import InvalidValue
from core.inspect.activations import Activations, most_active
from core.models.structure.ports import Port
from core.render.heat import SEQUENTIAL, Scale, colorize
from core.render.sheet import strip
from core.render.tiles import TITLE_PX, Scaling, brightness, sheet, span
from core.types import FloatArray, Pixels

MAX_MAPS: Final = 64
MAX_CELLS: Final = 4096


def draw_activations(found: Activations, scaling: Scaling = "shared") -> Pixels:
    """Feature maps as tiles, bright = active, under a title that says what the ends stand for.

    More than 64 maps: the 64 most active of them. A vector is a square of cells, row by row; of
    tokens in a grid each channel is a map, without a class token.

    Raises:
        InvalidValue: tokens without a grid, or something else that is no picture.
    """
    if found.values.ndim == 1:
        return _cells(found)
    if _tiles(found) is None:
        shape = " x ".join(map(str, found.shape))
        allowed = f"json or npy: at layer {found.port.layer!r} are {shape} values, no feature maps"
        raise InvalidValue("format", "png", allowed)
    order: tuple[int, ...] = tuple(range(len(found.indices)))
    if len(order) > MAX_MAPS:
        order = most_active(found.means, MAX_MAPS)
    return _maps(found, order, scaling)


def _maps(found: Activations, order: tuple[int, ...], scaling: Scaling) -> Pixels:
    maps = _tiles(found)
    assert maps is not None  # seen before
    values = maps[list(order)]
    low, high = span(values, scaling)
    tiles = _colored(brightness(values, low, high, constant=0))
    captions = [f"{found.indices[i]}  max {found.maxima[i]:.3g}" for i in order]
    title = f"{_name(found.port)}\n{len(order)} of {found.shape[found.axis]} channels"
    if len(order) < len(found.indices):
        title += ", the most active"
    ends = f"{values.min():.3g} (dark) to {values.max():.3g} (bright)"
    scale = ends if scaling == "shared" else "each from its smallest to its largest value"
    return strip([(f"{title}\n{scale}", sheet(list(tiles), captions, side_px=112))],
                 font_px=TITLE_PX)  # fmt: skip


def _tiles(found: Activations) -> FloatArray | None:
    """(n, h, w) maps; None where there are none."""
    values = found.values
    if found.grid is None or values.ndim not in (2, 3):
        return None
    if values.ndim == 3:
        return values if found.axis == 0 else None
    cells = values[found.extra : found.extra + math.prod(found.grid)]
    return cells.T.reshape(-1, *found.grid)  # (T, n) -> (n, h, w)


def _cells(found: Activations) -> Pixels:
    values = found.values[:MAX_CELLS]
    low, high = span(values, "shared")
    cells = _colored(brightness(values, low, high, constant=0))
    title = (
        f"{_name(found.port)}\n{len(values)} of {found.shape[0]} values, row by row\n"
        f"{values.min():.3g} (dark) to {values.max():.3g} (bright)"
    )
    return strip(
        [(title, sheet([each[None, None] for each in cells], side_px=16))], font_px=TITLE_PX
    )


def _name(port: Port) -> str:
    return port.layer if port.at == "output" else f"what enters {port.layer}"


def _colored(levels: NDArray[np.uint8]) -> Pixels:
    return colorize(levels.astype(np.float32), Scale(0.0, 255.0, 100.0, False), SEQUENTIAL)
