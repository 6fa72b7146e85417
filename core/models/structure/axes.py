"""`Axes`: which axis of an activation is batch, channels, rows, columns or tokens.

Channels are counted from the end, with the batch axis first, so that windows of one picture, which
make more rows, change nothing: -3 are those of maps (B, C, h, w), -1 those of maps (B, h, w, C), of
tokens (B, T, D) and of vectors (B, D).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

from torch import Tensor

from core.checks import require_choice
from core.types import Size

Pool = Literal["avg", "max", "flatten"]
POOLS: tuple[str, ...] = get_args(Pool)


Grids = Mapping[int, tuple[int, Size]]
"""By how many tokens there are: where the first of a grid is, and the grid, (h, w)."""


@dataclass(frozen=True, slots=True)
class Axes:
    """The axes of an activation; but for `batch`, as they are once its batch axis is first.

    Attributes:
        channels: from the end; None = it has none.
        grid: (h, w) of its positions; None = they form no grid.
        extra: tokens before the first of the grid, such as a class token.
        batch: where the pictures are in the activation as the layer has it; None = nowhere: all of
            it is of one picture, which ran alone.
    """

    channels: int
    grid: Size | None
    extra: int = 0
    batch: int | None = 0

    def batch_first(self, activation: Tensor) -> Tensor:
        """(B, ...), a view, of an activation as the layer has it."""
        return activation[None] if self.batch is None else activation.movedim(self.batch, 0)

    def holds(self, activation: Tensor, rows: int) -> bool:
        """Whether an activation as the layer has it is of so many pictures."""
        if self.batch is None:
            return rows == 1
        return activation.ndim > self.batch and activation.shape[self.batch] == rows

    def pooled(self, activation: Tensor, pool: Pool) -> Tensor:
        """One vector per row.

        Args:
            activation: (B, ...).
            pool: average or maximum over all positions or tokens; flatten keeps them all.

        Returns:
            (B, C) or, flattened, (B, everything), in the order in which it lies there.

        Raises:
            InvalidValue: no such pooling.
        """
        require_choice("pool", pool, POOLS)
        axes = [axis for axis in range(1, activation.ndim) if axis != self._at(activation)]
        if pool == "flatten" or not axes:
            return activation.flatten(1)
        return activation.mean(axes) if pool == "avg" else activation.amax(axes)

    def maps(self, activation: Tensor) -> Tensor | None:
        """(B, C, h, w), a view, without other tokens; None = its positions form no grid."""
        if self.grid is None:
            return None
        first = activation.movedim(self._at(activation), 1)  # (B, ..., C, ...) -> (B, C, ...)
        cells = first.flatten(2)[:, :, self.extra : self.extra + math.prod(self.grid)]
        return cells.reshape(*cells.shape[:2], *self.grid)

    def channel(self, shape: Sequence[int]) -> int:
        """Where the channels are in a shape without the batch axis, from the start."""
        return len(shape) + self.channels

    def _at(self, activation: Tensor) -> int:
        return activation.ndim + self.channels


def axes_of(
    shape: Sequence[int], channels: int | None, grids: Grids | None = None, batch: int = 0
) -> Axes:
    """What the axes of an activation are.

    Args:
        shape: as the layer has it.
        channels: where the channels are in it, from the end; None = not known: as the convention
            is.
        grids: what is known of the network's tokens; of others only a square is a grid.
        batch: which axis the pictures are.
    """
    order = [batch, *(axis for axis in range(len(shape)) if axis != batch)]
    if channels is not None:
        channels = order.index(channels % len(shape)) - len(shape)
        channels = None if channels == -len(shape) else channels  # the pictures' axis is none
    found = _first(tuple(shape[axis] for axis in order), channels, grids or {})
    return replace(found, batch=batch)


def _first(shape: Sequence[int], channels: int | None, grids: Grids) -> Axes:
    ndim = len(shape)
    if channels is None:
        channels = -max(ndim - 1, 1) if ndim > 3 else -1
    positions = [side for axis, side in enumerate(shape[1:], 1 - ndim) if axis != channels]
    if len(positions) == 2:
        return Axes(channels, (positions[0], positions[1]))
    if len(positions) != 1 or channels != -1:
        return Axes(channels, None)
    extra, grid = grids.get(positions[0]) or (0, square(positions[0]))
    return Axes(channels, grid, extra)


def square(length: int) -> Size | None:
    """The square of so many cells; None = there is none of more than one."""
    side = math.isqrt(length)
    return (side, side) if side > 1 and side * side == length else None
