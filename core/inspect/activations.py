"""Owns what a layer puts out for one picture, as numbers and as a picture; knows no weights."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from core.errors import InvalidValue
from core.inspect.selection import Selection
from core.models.predictions import require_finite
from core.models.structure.axes import Axes, axes_of
from core.models.structure.layers import last_seen
from core.models.structure.ports import Port
from core.render.heat import SEQUENTIAL, Scale, colorize
from core.render.sheet import strip
from core.render.tiles import TITLE_PX, Scaling, brightness, sheet, span
from core.types import FloatArray, Pixels

MAX_MAPS: Final = 64
MAX_CELLS: Final = 4096
MOST_ACTIVE: Final = 16


@dataclass(frozen=True, slots=True)
class Channels:
    """Which channels are wanted: those selected, or the `top` most active, or all.

    Raises:
        InvalidValue: both are given, or `top` is below 1.
    """

    selection: Selection | None = None
    top: int | None = None

    def __post_init__(self) -> None:
        if self.top is None:
            return
        if self.selection is not None:
            raise InvalidValue("top", self.top, "left out, where channels is given")
        if self.top < 1:
            raise InvalidValue("top", self.top, "1 or more")

    def of(self, means: FloatArray) -> tuple[int, ...]:
        """Their indices, the `top` ones most active first.

        Args:
            means: (C,) of all channels.

        Raises:
            InvalidValue: there is no such channel, or there are fewer than `top`.
        """
        if self.selection is not None:
            return self.selection.within(len(means))
        if self.top is None:
            return tuple(range(len(means)))
        if self.top > len(means):
            raise InvalidValue("top", self.top, f"1 to {len(means)}, the layer's channels")
        return most_active(means, self.top)


@dataclass(frozen=True, slots=True, eq=False)
class Activations:
    """What leaves, or enters, channels of a layer for one picture.

    Attributes:
        port: of the layer.
        shape: of all there is, without the batch axis: (C, h, w) feature maps, also where the layer
            has them as (h, w, C); (D,) a vector, (T, D) tokens.
        axis: where in that shape the channels are: first in maps, last in tokens.
        grid: (h, w) of the positions or tokens; None = they form none.
        extra: tokens before the first of the grid.
        indices: (n,) which channels these are.
        values: float32, as `shape`, with n channels.
        means: (n,) float32, of each channel.
        maxima: (n,) float32, of each channel.
        most_active: (index, mean, maximum) of the channels of the largest mean, of the whole
            layer, most active first.
    """

    port: Port
    shape: tuple[int, ...]
    axis: int
    grid: tuple[int, int] | None
    extra: int
    indices: tuple[int, ...]
    values: FloatArray
    means: FloatArray
    maxima: FloatArray
    most_active: tuple[tuple[int, float, float], ...]


def activations(
    module: nn.Module, batch: Tensor, port: Port, axes: Mapping[Port, Axes], channels: Channels
) -> Activations:
    """Run the network on one picture and keep what leaves or enters a layer in its last run.

    Args:
        module: in eval mode; left as it is.
        batch: (1, C, H, W) float32, one picture, where the module is.
        port: of the layer.
        axes: of what is at the ports of the network, as far as they are known.
        channels: which are wanted.

    Raises:
        UnknownLayer: no such layer.
        InvalidValue: no such channels.
        MethodUnsupported: the layer did not run, or not on whole pictures.
        ModelUnusable: it puts out no tensor.
        OutputNotFinite: a value is NaN or infinite.
    """
    with torch.no_grad(), port.captured(module) as seen:
        module(batch)
    activation = last_seen(seen, port.layer, len(batch))
    known = axes.get(port) or axes_of(activation.shape, None, ())
    found = activation[0]
    if found.ndim == 3 and known.grid:
        found = found.movedim(known.channels, 0)  # (h, w, C) -> (C, h, w)
        known = replace(known, channels=-3)
    values: FloatArray = found.float().cpu().contiguous().numpy()
    require_finite(values)
    return _chosen(port, values, known, channels)


def _chosen(port: Port, values: FloatArray, axes: Axes, channels: Channels) -> Activations:
    axis = values.ndim + axes.channels
    others = tuple(each for each in range(values.ndim) if each != axis)
    means = values.mean(others, dtype=np.float64).astype(np.float32)
    maxima = values.max(others)
    indices = channels.of(means)
    chosen = list(indices)
    best = most_active(means, MOST_ACTIVE)
    return Activations(
        port=port,
        shape=values.shape,
        axis=axis,
        grid=axes.grid,
        extra=axes.extra,
        indices=indices,
        values=np.ascontiguousarray(values.take(chosen, axis)),
        means=means[chosen],
        maxima=maxima[chosen],
        most_active=tuple((each, float(means[each]), float(maxima[each])) for each in best),
    )


def most_active(means: FloatArray, count: int) -> tuple[int, ...]:
    """Indices of the largest means, largest first, ties by index; at most `count`."""
    return tuple(int(each) for each in np.argsort(-means, kind="stable")[:count])


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
    return values[found.extra :].T.reshape(-1, *found.grid)  # (T, n) -> (n, h, w)


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
