"""Owns occlusion: hide a window, look at the class's probability, go on to the next place."""

import math
import time
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from torch import Tensor

from core.checks import require_choice
from core.errors import InvalidValue, shown
from core.explain.adaptive import Surface, coarse, finer
from core.explain.fill import FILLS, Fill, filled
from core.explain.objective import Steps, require_class
from core.explain.windows import Grid
from core.models.loaded import LoadedModel
from core.models.predictions import probabilities, require_finite
from core.models.runtimes.incremental import ChangedWindows
from core.types import FloatArray

Mode = Literal["exact", "adaptive"]
MODES: tuple[str, ...] = get_args(Mode)

_WINDOW_PX = 32
_STRIDE_PX = 16
_USUAL_SHARE = 7  # 32 of 224 pixels

# Windows of one piece of work: as many as take about so long, for a classify may be waiting; a
# runtime that likes larger batches than so many gets them.
_PIECE_S = 0.07
_FEWEST = 8
_MOST = 16
# Windows run both ways, when only what changes is computed, and by how much they may differ.
_CHECKED = 3
_MAX_DIFFERENCE = 1e-3


@dataclass(frozen=True, slots=True)
class Occlusion:
    """How to hide parts of a picture.

    Attributes:
        window: (height, width) of what is hidden, in pixels of the model's input; None = 32 x 32,
            or a seventh of the shorter side where that is less.
        stride: (vertical, horizontal) distance between windows, at most the window; None = 16 x
            16, or half of the window where that is less.
        fill: what stands in for hidden pixels; see `core.explain.fill`.
        mode: "exact" looks at every window; "adaptive" at a coarse half and where it changes
            most, and interpolates the rest.

    Raises:
        InvalidValue: a field is outside what is allowed.

    Source: Zeiler and Fergus 2014, arXiv:1311.2901, section 4.2.
    """

    window: tuple[int, int] | None = None
    stride: tuple[int, int] | None = None
    fill: Fill = "mean"
    mode: Mode = "exact"

    def __post_init__(self) -> None:
        require_choice("fill", self.fill, FILLS)
        require_choice("mode", self.mode, MODES)

    def grid(self, size: tuple[int, int]) -> Grid:
        """Where the windows lie on a picture of (height, width) pixels."""
        side = min(_WINDOW_PX, max(1, min(size) // _USUAL_SHARE))
        window = self.window or (side, side)
        stride = self.stride or (_stride(window[0]), _stride(window[1]))
        return Grid.over(size, window, stride)

    def forwards(self, size: tuple[int, int]) -> int:
        """What it costs: forwards of one picture each, the unhidden one included."""
        grid = self.grid(size)
        if self.mode == "exact":
            return 1 + math.prod(grid.shape)
        first = len(coarse(grid.shape))
        return 1 + first + finer(grid.shape)


@dataclass(frozen=True, slots=True)
class Check:
    """How the windows were run, and how that compared with running them in full.

    Attributes:
        incremental: only what a window changes was computed, see
            `core.models.runtimes.incremental`.
        positions: windows that were run both ways.
        max_difference: largest difference of any class's probability between the two.
    """

    incremental: bool
    positions: int = 0
    max_difference: float = 0.0


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
        forwards: pictures run, those of the check not counted.
        check: how they were run.
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
    check: Check


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
    yield from sweep.verify(first, surface)
    yield from sweep.run([each for each in first if not surface.known[each]], surface, total)
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
        check=sweep.check,
    )


class _Sweep:
    """Forwards of one picture with windows hidden, a piece at a time."""

    def __init__(
        self, model: LoadedModel, view: Tensor, fill: Fill, grid: Grid, target: int | None
    ) -> None:
        normalise = model.spec.preprocess.normalise
        self._model = model
        self._grid = grid
        self._row = normalise(view).to(model.device)
        self._fill = normalise(filled(view, fill)).to(model.device)
        self._at_once = max(_FEWEST, model.runtime.max_batch)
        self._most = max(_MOST, self._at_once)
        self._buffer = self._row.repeat(self._most, 1, 1, 1)
        self._changed = self._incremental()
        self.check = Check(self._changed is not None)
        self.logits = model.forward(self._row[None]).logits[0]
        require_finite(self.logits)
        self.target = int(self.logits.argmax()) if target is None else target
        require_class(self.target, len(self.logits))
        self.baseline = float(probabilities(self.logits)[self.target])

    def verify(self, numbers: list[int], surface: Surface) -> Steps[None]:
        """Run a few windows both ways and note what they give in full; if it differs, go on so."""
        if self._changed is None:
            return
        yield 0.0
        places = np.linspace(0, len(numbers) - 1, min(_CHECKED, len(numbers))).astype(int)
        few = [numbers[place] for place in places]
        quick, full = self._partly(few), self._fully(few)
        self._note(few, full, surface)
        difference = float(np.abs(probabilities(quick) - probabilities(full)).max())
        if not difference <= _MAX_DIFFERENCE:
            self._changed = None
        self.check = Check(self._changed is not None, len(few), difference)

    def run(self, numbers: list[int], surface: Surface, total: int) -> Steps[None]:
        """Look at these windows and note what was seen."""
        left = list(numbers)
        while left:
            yield float(surface.known.sum() / total)
            count = -(-len(left) // -(-len(left) // self._at_once))  # no small piece at the end
            piece, left = left[:count], left[count:]
            start = time.perf_counter()
            logits = self._fully(piece) if self._changed is None else self._partly(piece)
            window_s = (time.perf_counter() - start) / len(piece)
            self._at_once = min(self._most, max(_FEWEST, int(_PIECE_S / window_s)))
            self._note(piece, logits, surface)

    def _note(self, piece: list[int], logits: FloatArray, surface: Surface) -> None:
        surface.note(piece, probabilities(logits)[:, self.target], logits.argmax(1))

    def _incremental(self) -> ChangedWindows | None:
        network, grid = self._model.incremental, self._grid
        few = math.prod(grid.shape) <= 2 * _CHECKED
        if network is None or few or not network.pays(grid.window):
            return None
        return ChangedWindows(network, self._row, grid.window, grid.tops, grid.lefts)

    def _partly(self, piece: list[int]) -> FloatArray:
        """Logits, only what a window changes computed."""
        assert self._changed is not None
        places = [divmod(number, self._grid.shape[1]) for number in piece]
        logits = self._changed.logits(self._fill, places)
        require_finite(logits)
        return logits

    def _fully(self, piece: list[int]) -> FloatArray:
        """Logits, the whole network run for each window."""
        logits = self._model.forward(self._hidden(piece)).logits
        require_finite(logits)
        for number, row in zip(piece, self._buffer, strict=False):
            where = (slice(None), *self._grid.slices(number))
            row[where] = self._row[where]
        return logits

    def _hidden(self, piece: list[int]) -> Tensor:
        for number, row in zip(piece, self._buffer, strict=False):
            where = (slice(None), *self._grid.slices(number))
            row[where] = self._fill[where]
        return self._buffer[: len(piece)]


def _stride(length: int) -> int:
    return min(_STRIDE_PX, max(1, length // 2))


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
