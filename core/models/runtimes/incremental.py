"""Logits where only a window of a picture changes; first layers run on the window alone.

The first layers run only on the cells that the window reaches, layer by layer, the cells around
them taken from the maps of the unchanged picture; the rest of the network runs in full.

Source: Nakandala et al. 2019, Krypton, SIGMOD, section 4.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import openvino
import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 - torch's own name for it

from core.models.runtimes.graph import beginnings, folded, rest
from core.models.runtimes.operations import Operation, work
from core.models.runtimes.runtime import (
    MAX_RELATIVE_DIFFERENCE,
    Compiled,
    Outputs,
    relative_difference,
)
from core.models.runtimes.spans import Span, gain, spans
from core.types import FloatArray, Size

# The window for which the cut is chosen: a seventh of the side, the default of occlusion.
_USUAL_SHARE = 7
# Estimated gain below which running in full is the simpler thing to do.
_LEAST_GAIN = 1.2
# Rows of one request to the compiled rest, whose small maps gain from a batch.
_ROWS_AT_ONCE = 8
_CHECKED_AT_ONCE = 2

WindowIndex = tuple[int, int]
"""A window by its number among the tops and among the lefts."""


class Incremental:
    """A network cut in two: the beginning runs on parts, the rest in full.

    Args:
        model: the converted network, one input (B, C, H, W), first output the logits (B, K).
        threads: CPU threads of the rest; 0 = all.

    Attributes:
        rows_at_once: of one request to the rest.

    Raises:
        ValueError: nothing would be gained by cutting it.
    """

    def __init__(self, model: openvino.Model, threads: int = 0) -> None:
        model = folded(model)
        height, width = model.inputs[0].get_partial_shape()[2:]
        self.size: Size = (height.get_length(), width.get_length())
        self._whole = sum(map(work, model.get_ops()))
        usual = (self.size[0] // _USUAL_SHARE or 1, self.size[1] // _USUAL_SHARE or 1)
        cuts = beginnings(model)
        gains = [gain(each, self.size, usual, self._whole) for each in cuts]
        if max(gains, default=0) < _LEAST_GAIN:
            raise ValueError("cutting this network in two gains nothing")
        self.beginning = cuts[gains.index(max(gains))]
        self.rest = Compiled(rest(model, self.beginning.cut), threads)
        self.rows_at_once = _ROWS_AT_ONCE if self._takes_rows_together() else 1

    def _takes_rows_together(self) -> bool:
        """Whether the rest gives rows of one request what it gives each alone.

        It was traced with one row, and that one stays in the graph where the network says `len(x)`.
        """
        cut, count = self.beginning.cut, _CHECKED_AT_ONCE * self.rest.streams
        generator = np.random.default_rng(0)
        rows = generator.standard_normal((count, cut.channels, *cut.size), dtype=np.float32)
        try:
            together = self.rest(rows, _CHECKED_AT_ONCE)
        except RuntimeError:  # OpenVINO raises it for everything
            return False
        found = relative_difference(Outputs(*together), Outputs(*self.rest(rows)))
        return found <= MAX_RELATIVE_DIFFERENCE

    def pays(self, window: Size) -> bool:
        """Whether windows of (height, width) pixels are worth it."""
        return gain(self.beginning, self.size, window, self._whole) >= _LEAST_GAIN


class ChangedWindows:
    """The logits of one picture with one window after the other changed.

    Args:
        network: what is run.
        row: (C, H, W) float32, the picture.
        window: (height, width) of what changes, in pixels.
        tops: first pixel row of every window that may change.
        lefts: the same of columns.
    """

    def __init__(
        self,
        network: Incremental,
        row: Tensor,
        window: Size,
        tops: Sequence[int],
        lefts: Sequence[int],
    ) -> None:
        self._rest, self._rows_at_once = network.rest, network.rows_at_once
        self._input, self._operations = network.beginning.input, network.beginning.operations
        self._spans = tuple(
            spans(network.beginning, side, axis, Span(tuple(starts), length))
            for axis, (side, starts, length) in enumerate(
                zip(network.size, (tops, lefts), window, strict=True)
            )
        )
        # The unchanged picture's maps by name, and what each operation saw, padded, by its own.
        self._maps = {self._input: _channels_last(row[None])}
        self._seen: dict[str, list[Tensor]] = {}
        for operation in self._operations:
            seen = [_padded(self._maps[name], operation) for name in operation.inputs]
            self._seen[operation.name] = seen
            self._maps[operation.name] = operation.run(*seen)

    def logits(self, changed: Tensor, windows: Sequence[WindowIndex]) -> FloatArray:
        """The logits with each window in turn taken from another picture.

        Args:
            changed: (C, H, W) float32, what windows are filled from.
            windows: N of them.

        Returns:
            (N, K) float32.
        """
        patches = {self._input: self._cropped(_channels_last(changed[None]), self._input, windows)}
        for operation in self._operations:
            if operation.stencils is None:
                seen = [self._grown(operation, name, patches, windows) for name in operation.inputs]
            else:
                seen = [self._surrounded(operation, patches, windows)]
            patches[operation.name] = operation.run(*seen)
        cut = self._operations[-1].name
        maps = self._maps[cut].repeat(len(windows), 1, 1, 1)
        for whole, patch, window in zip(maps, patches[cut], windows, strict=True):
            _paste(whole, patch, *self._first(cut, window))
        return self._rest(maps.contiguous().numpy(), self._rows_at_once)[0]

    def _first(self, name: str, window: WindowIndex) -> tuple[int, int]:
        """(top, left) cell of what a window changes in a map."""
        vertical, horizontal = self._spans
        return vertical[name].starts[window[0]], horizontal[name].starts[window[1]]

    def _cropped(self, whole: Tensor, name: str, windows: Sequence[WindowIndex]) -> Tensor:
        """Of a (1, C, h, w) map of that name what each window changes: (N, C, a, b)."""
        height, width = (axis[name].length for axis in self._spans)
        corners = (self._first(name, window) for window in windows)
        return torch.cat(
            [whole[:, :, top : top + height, left : left + width] for top, left in corners]
        )

    def _grown(
        self,
        operation: Operation,
        name: str,
        patches: Mapping[str, Tensor],
        windows: Sequence[WindowIndex],
    ) -> Tensor:
        """A patch of one input, extended by unchanged cells to what the other inputs change."""
        if all(axis[name] == axis[operation.name] for axis in self._spans):
            return patches[name]
        rows = self._cropped(self._maps[name], operation.name, windows)
        for row, patch, window in zip(rows, patches[name], windows, strict=True):
            top, left = self._first(operation.name, window)
            inner_top, inner_left = self._first(name, window)
            _paste(row, patch, inner_top - top, inner_left - left)
        return rows

    def _surrounded(
        self, operation: Operation, patches: Mapping[str, Tensor], windows: Sequence[WindowIndex]
    ) -> Tensor:
        """What an operation sees of its input to put out what changes, unchanged cells around."""
        assert operation.stencils is not None
        (name,), (whole,) = operation.inputs, self._seen[operation.name]
        vertical, horizontal = operation.stencils
        height, width = (
            (axis[operation.name].length - 1) * stencil.stride + stencil.extent
            for axis, stencil in zip(self._spans, operation.stencils, strict=True)
        )
        rows = torch.empty(
            (len(windows), whole.shape[1], height, width), memory_format=torch.channels_last
        )
        for row, patch, window in zip(rows, patches[name], windows, strict=True):
            outer_top, outer_left = self._first(operation.name, window)
            top, left = outer_top * vertical.stride, outer_left * horizontal.stride
            row.copy_(whole[0, :, top : top + height, left : left + width])
            inner_top, inner_left = self._first(name, window)
            _paste(
                row, patch, inner_top + vertical.before - top, inner_left + horizontal.before - left
            )
        return rows


def _paste(row: Tensor, patch: Tensor, top: int, left: int) -> None:
    """Copy a (C, a, b) patch into a (C, h, w) row, as far as it lies inside."""
    height, width = patch.shape[1:]
    high, near = max(0, -top), max(0, -left)
    target = row[:, top + high : top + height, left + near : left + width]
    target.copy_(patch[:, high : high + target.shape[1], near : near + target.shape[2]])


def _padded(whole: Tensor, operation: Operation) -> Tensor:
    if operation.stencils is None:
        return whole
    margins: list[int] = []
    for stencil, side, cells in zip(
        operation.stencils, whole.shape[2:], operation.size, strict=True
    ):
        seen = (
            (cells - 1) * stencil.stride + stencil.extent - stencil.before
        )  # more, with ceil_mode
        margins = [stencil.before, max(stencil.after, seen - side), *margins]
    return F.pad(whole, margins, value=operation.padding_value) if any(margins) else whole


def _channels_last(rows: Tensor) -> Tensor:
    return rows.contiguous(memory_format=torch.channels_last)
