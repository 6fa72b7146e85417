"""`OccludedForwards`: a picture with window after window hidden, incremental or in full."""

import math
import time
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from torch import Tensor

from core.explain.fill import Fill, filled
from core.explain.objective import require_class
from core.explain.steps import Steps
from core.explain.windows import Surface, Windows
from core.fields import Meaning
from core.models.loaded import LoadedModel
from core.models.predictions import probabilities, require_finite
from core.models.runtimes.incremental import ChangedWindows
from core.types import FloatArray

# Windows of one piece of work: as many as take about so long, for a classify may be waiting; a
# runtime that likes larger batches than so many gets them.
_PIECE_S = 0.07
_FEWEST = 8
_MOST = 16
# Windows run both ways, when only what changes is computed, and by how much they may differ.
_CHECKED = 3
_MAX_DIFFERENCE = 1e-3


@dataclass(frozen=True, slots=True)
class Check:
    """How windows were run, and how that compared with running the network in full."""

    incremental: Annotated[bool, Meaning("Only what a window changes was computed.")]
    positions: Annotated[int, Meaning("Windows that were run both ways.", 3)] = 0
    max_difference: Annotated[
        float, Meaning("Largest difference of any class's probability.", 3e-07)
    ] = 0.0


class OccludedForwards:
    """Forwards of one picture with windows hidden, a piece at a time.

    Attributes:
        check: how they are run.
        logits: (K,) float32, with nothing hidden.
        target: the class explained.
        baseline: its probability with nothing hidden.
    """

    def __init__(
        self, model: LoadedModel, view: Tensor, fill: Fill, grid: Windows, target: int | None
    ) -> None:
        normalize = model.spec.preprocess.normalize
        self._model = model
        self._grid = grid
        self._row = normalize(view).to(model.device)
        self._fill = normalize(filled(view, fill)).to(model.device)
        self._at_once = max(_FEWEST, model.runtime.max_batch)
        self._most = max(_MOST, self._at_once)
        self._buffer = self._row.repeat(self._most, 1, 1, 1)
        self._changed = self._incremental()
        self.check = Check(self._changed is not None)
        self.logits = model.runtime(self._row[None]).logits[0]
        require_finite(self.logits)
        self.target = int(self.logits.argmax()) if target is None else target
        require_class(self.target, len(self.logits))
        self.baseline = float(probabilities(self.logits)[self.target])

    def verify(self, numbers: list[int], surface: Surface) -> Steps[None]:
        """Run a few windows both ways and note what they give in full; if it differs, go on so."""
        if self._changed is None:
            return
        yield 0.0
        indices = np.linspace(0, len(numbers) - 1, min(_CHECKED, len(numbers))).astype(int)
        few = [numbers[index] for index in indices]
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
        positions = [divmod(number, self._grid.shape[1]) for number in piece]
        logits = self._changed.logits(self._fill, positions)
        require_finite(logits)
        return logits

    def _fully(self, piece: list[int]) -> FloatArray:
        """Logits, the whole network run for each window."""
        logits = self._model.runtime(self._hidden(piece)).logits
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
