"""Activations: what leaves or enters a layer for one picture, all channels or the most active."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import torch
from torch import Tensor, nn

from core.errors import InvalidValue
from core.inspect.selection import Selection
from core.models.predictions import require_finite
from core.models.structure.axes import Axes
from core.models.structure.layout import Layout
from core.models.structure.ports import Port
from core.types import FloatArray

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
    layout = axes if isinstance(axes, Layout) else Layout(axes, {})
    activation = layout.taken(port, seen, len(batch))
    known = layout.of(port, activation)
    found = known.batch_first(activation)[0]
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
