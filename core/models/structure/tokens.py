"""Which tokens of a sequence are those of a grid, where others are joined to them."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import torch

from core.models.structure.axes import Grids, square
from core.types import Size

_aten = torch.ops.aten
_AXES: Final = 3


@dataclass(frozen=True, slots=True)
class Join:
    """Tokens that are put among others, or taken out of them.

    Attributes:
        total: how many there are then.
        length: how many there were.
        start: where their first is then; below 0 if it is gone.
    """

    total: int
    length: int
    start: int


def joins(
    function: Any,
    given: Mapping[str, Any],
    shapes: Sequence[tuple[int, ...]],
    channels: Mapping[int, int | None],
) -> list[Join]:
    """What an operator does to the lengths of activations of three axes, (B, T, D) or (T, B, D).

    Args:
        function: the operator.
        given: its arguments by name.
        shapes: of the tensors among them, in order.
        channels: of those that depend on the picture, by number, where they are; None = not known.
    """
    known = function in (_aten.cat, _aten.slice, _aten.constant_pad_nd)
    if not known or not shapes or any(len(shape) != _AXES for shape in shapes):
        return []
    dim = given.get("dim", 0) % _AXES
    along = [at for at, axis in channels.items() if axis is None or axis % _AXES != dim]
    if function is _aten.cat:
        starts = [sum(shape[dim] for shape in shapes[:at]) for at in range(len(shapes) + 1)]
        return [Join(starts[-1], shapes[at][dim], starts[at]) for at in along]
    length = shapes[0][dim]
    if function is _aten.slice and given["step"] == 1 and along:
        first, last, _ = slice(given["start"], given["end"]).indices(length)
        return [Join(max(last - first, 0), length, -first)]
    if function is _aten.constant_pad_nd:
        pads = list(zip(given["pad"][::2], given["pad"][1::2], strict=True))  # the last axis first
        sizes = zip(shapes[0][::-1], pads, strict=False)
        return [Join(size + sum(pad), size, pad[0]) for size, pad in sizes if any(pad)]
    return []


def grid_tokens(found: Sequence[Join], grids: Sequence[Size]) -> Grids:
    """By the length of a sequence: where its first token of a grid is, and the grid.

    Without an entry for lengths that came about in two ways that differ.

    Args:
        found: in the order in which they happened.
        grids: (h, w) of the network's maps; of a length that is none of theirs, a square is one.
    """
    known: dict[int, tuple[int, Size] | None] = {math.prod(grid): (0, grid) for grid in grids[::-1]}
    for each in found:
        start, grid = known.get(each.length) or (0, square(each.length))
        start += each.start
        if each.total == each.length or grid is None or start < 0:
            continue
        if start + math.prod(grid) > each.total:
            continue
        same = known.setdefault(each.total, (start, grid)) == (start, grid)
        known[each.total] = (start, grid) if same else None
    return {total: where for total, where in known.items() if where}
