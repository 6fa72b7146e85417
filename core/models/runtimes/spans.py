"""How far a change in a window of the picture reaches, map by map; computes no map."""

from collections.abc import Sequence
from dataclasses import dataclass

from core.models.runtimes.graph import Beginning
from core.models.runtimes.operations import Stencil
from core.types import Size

# What work on a part of a map costs, by torch, for one of a whole map, compiled: parts are small,
# and the cells around them are copied.
_COST_ON_WINDOWS = 2.0


@dataclass(frozen=True, slots=True)
class Span:
    """Which cells of a map several windows change, along one axis.

    Attributes:
        starts: first cell, one for each window.
        length: cells, the same for all, so that windows share a batch.
    """

    starts: tuple[int, ...]
    length: int


def spans(beginning: Beginning, side: int, axis: int, windows: Span) -> dict[str, Span]:
    """Which cells of each map windows of the picture change, along one axis.

    Args:
        beginning: the operations.
        side: pixels of the picture along the axis.
        axis: 0 = height, 1 = width.
        windows: pixels of the picture.

    Returns:
        By name of the map; the picture's own among them.
    """
    found = {beginning.input: windows}
    for operation in beginning.operations:
        inputs, cells = [found[name] for name in operation.inputs], operation.size[axis]
        if operation.stencils is None:
            found[operation.name] = _united(inputs, cells)
        else:
            found[operation.name] = _reached(inputs[0], operation.stencils[axis], cells)
    return found


def gain(beginning: Beginning, size: Size, window: Size, whole: float) -> float:
    """How many times less work than a whole forward a window in the middle is.

    Args:
        beginning: what runs on parts; the rest runs in full.
        size: (height, width) of the picture.
        window: (height, width) of what changes.
        whole: work of the whole network.
    """
    middle = [
        spans(beginning, side, axis, Span(((side - length) // 2,), length))
        for axis, (side, length) in enumerate(zip(size, window, strict=True))
    ]
    saved = on_windows = 0.0
    for operation in beginning.operations:
        height, width = (axis[operation.name].length for axis in middle)
        saved += operation.work
        on_windows += operation.work * height * width / (operation.size[0] * operation.size[1])
    return whole / (whole - saved + _COST_ON_WINDOWS * on_windows)


def _reached(span: Span, stencil: Stencil, cells: int) -> Span:
    """The output cells, of so many, that see any of these input cells."""
    firsts, stops = [], []
    for start in span.starts:
        first = -(-(start + stencil.before - stencil.extent + 1) // stencil.stride)
        last = (start + span.length - 1 + stencil.before) // stencil.stride
        firsts.append(max(0, first))
        stops.append(min(cells, last + 1))
    return _even(firsts, stops, cells)


def _united(parts: Sequence[Span], cells: int) -> Span:
    """The cells, of so many, that any of the spans holds, window by window."""
    if all(part == parts[0] for part in parts):
        return parts[0]
    windows = list(zip(*(part.starts for part in parts), strict=True))
    lengths = [part.length for part in parts]
    stops = [max(map(sum, zip(starts, lengths, strict=True))) for starts in windows]
    return _even(list(map(min, windows)), stops, cells)


def _even(firsts: Sequence[int], stops: Sequence[int], cells: int) -> Span:
    """Spans of one length, none leaving the map."""
    length = max(stop - first for first, stop in zip(firsts, stops, strict=True))
    return Span(tuple(min(first, cells - length) for first in firsts), length)
