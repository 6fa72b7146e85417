"""Owns occlusion: hide a window, look at the class's probability, go on to the next place."""

import math
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from torch import Tensor

from core.errors import InvalidValue, shown
from core.explain.adaptive import Surface, coarse, finer
from core.explain.base import Steps, require_choice, require_class
from core.explain.fill import FILLS, Fill, filled
from core.explain.grid import Grid
from core.models.loaded import LoadedModel
from core.models.predictions import probabilities, require_finite
from core.types import FloatArray

Mode = Literal["exact", "adaptive"]
MODES: tuple[str, ...] = get_args(Mode)

# Windows per forward: enough for two cores, few enough that a classify need not wait long.
_CHUNK_ROWS = 4


@dataclass(frozen=True, slots=True)
class Occlusion:
    """How to hide parts of a picture.

    Attributes:
        window: (height, width) of what is hidden, in pixels of the model's input.
        stride: (vertical, horizontal) distance between windows, at most the window.
        fill: what stands in for hidden pixels; see `core.explain.fill`.
        mode: "exact" looks at every window; "adaptive" at a coarse half and where it changes
            most, and interpolates the rest.

    Raises:
        InvalidValue: a field is outside what is allowed.

    Source: Zeiler and Fergus 2014, arXiv:1311.2901, section 4.2.
    """

    window: tuple[int, int] = (32, 32)
    stride: tuple[int, int] = (16, 16)
    fill: Fill = "mean"
    mode: Mode = "exact"

    def __post_init__(self) -> None:
        require_choice("fill", self.fill, FILLS)
        require_choice("mode", self.mode, MODES)

    def grid(self, size: tuple[int, int]) -> Grid:
        """Where the windows lie on a picture of (height, width) pixels."""
        return Grid.over(size, self.window, self.stride)

    def forwards(self, size: tuple[int, int]) -> int:
        """What it costs: forwards of one picture each, the unhidden one included."""
        grid = self.grid(size)
        if self.mode == "exact":
            return 1 + math.prod(grid.shape)
        first = len(coarse(grid.shape))
        return 1 + first + finer(grid.shape)


@dataclass(frozen=True, slots=True, eq=False)
class OcclusionMap:
    """What occlusion gives.

    Attributes:
        values: (H, W) float32: drop of the target's probability, averaged over the windows that
            cover a pixel. Negative where hiding it helped.
        score_map: (rows, cols) float32: the target's probability with that window hidden.
        class_map: (rows, cols) int64: the class predicted with that window hidden.
        evaluated: (rows, cols) bool: looked at; the others are interpolated, and their class is
            that of the nearest window looked at.
        grid: where the windows lie.
        baseline: the target's probability with nothing hidden.
        logits: (K,) float32, with nothing hidden.
        target: the class explained.
        forwards: pictures run.
    """

    values: FloatArray
    score_map: FloatArray
    class_map: np.ndarray[tuple[int, int], np.dtype[np.int64]]
    evaluated: np.ndarray[tuple[int, int], np.dtype[np.bool_]]
    grid: Grid
    baseline: float
    logits: FloatArray
    target: int
    forwards: int


def occlude(
    model: LoadedModel, view: Tensor, parameters: Occlusion, target: int | None = None
) -> Steps[OcclusionMap]:
    """Hide one window after the other.

    Args:
        model: whose compiled forward is run.
        view: (C, H, W) uint8, as `model.spec.preprocess.view` gives.
        parameters: window, stride, fill, mode.
        target: a class; None = the picture's top prediction.

    Raises:
        InvalidValue: the window does not fit the picture.
        TargetOutOfRange: the model has no such class.
        OutputNotFinite: the network answered NaN or infinity.
    """
    grid = parameters.grid((view.shape[1], view.shape[2]))
    sweep = _Sweep(model, view, parameters.fill, grid, target)
    surface = Surface(grid.shape)
    numbers = range(math.prod(grid.shape))
    first = list(numbers) if parameters.mode == "exact" else coarse(grid.shape)
    total = parameters.forwards((view.shape[1], view.shape[2])) - 1
    yield from sweep.run(first, surface, total)
    if parameters.mode == "adaptive":
        rest = surface.most_uncertain(finer(grid.shape))
        yield from sweep.run(rest, surface, total)
    scores, classes = surface.complete()
    return OcclusionMap(
        values=grid.spread(sweep.baseline - scores),
        score_map=scores,
        class_map=classes,
        evaluated=surface.known.reshape(grid.shape),
        grid=grid,
        baseline=sweep.baseline,
        logits=sweep.logits,
        target=sweep.target,
        forwards=1 + int(surface.known.sum()),
    )


class _Sweep:
    """Forwards of one picture with windows hidden, a chunk at a time in one buffer."""

    def __init__(
        self, model: LoadedModel, view: Tensor, fill: Fill, grid: Grid, target: int | None
    ) -> None:
        normalise = model.spec.preprocess.normalise
        self._model = model
        self._grid = grid
        self._row = normalise(view)
        self._fill = normalise(filled(view, fill))
        self._buffer = self._row.repeat(_CHUNK_ROWS, 1, 1, 1)
        self.logits = model.forward(self._row[None]).logits[0]
        require_finite(self.logits)
        self.target = int(self.logits.argmax()) if target is None else target
        require_class(self.target, len(self.logits))
        self.baseline = float(probabilities(self.logits)[self.target])

    def run(self, numbers: list[int], surface: Surface, total: int) -> Steps[None]:
        """Look at these windows and note what was seen."""
        for start in range(0, len(numbers), _CHUNK_ROWS):
            yield float(surface.known.sum() / total)
            chunk = numbers[start : start + _CHUNK_ROWS]
            logits = self._logits(chunk)
            surface.note(chunk, probabilities(logits)[:, self.target], logits.argmax(1))

    def _logits(self, chunk: list[int]) -> FloatArray:
        logits = self._model.forward(self._hidden(chunk)).logits
        require_finite(logits)
        for number, row in zip(chunk, self._buffer, strict=False):
            where = (slice(None), *self._grid.slices(number))
            row[where] = self._row[where]
        return logits

    def _hidden(self, chunk: list[int]) -> Tensor:
        for number, row in zip(chunk, self._buffer, strict=False):
            where = (slice(None), *self._grid.slices(number))
            row[where] = self._fill[where]
        return self._buffer[: len(chunk)]


def parse_extent(name: str, text: str) -> tuple[int, int]:
    """`32` or `24x48` (height x width) as a pair of pixels.

    Raises:
        InvalidValue: it is neither.
    """
    parts = text.lower().split("x")
    if len(parts) not in (1, 2) or not all(
        p.isascii() and p.isdecimal() and len(p) < 6 for p in parts
    ):
        raise InvalidValue(name, shown(text)[1:-1], "a number of pixels, or HxW such as 24x48")
    height, width = int(parts[0]), int(parts[-1])
    return (height, width)
