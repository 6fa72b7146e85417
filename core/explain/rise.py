"""RISE: random masks, each weighted by the class's probability under it."""

from dataclasses import dataclass
from typing import Annotated, Final

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from core.checks import require_range
from core.explain.fill import Fill, filled
from core.explain.method import Finding, Inquiry, Method, Plan
from core.explain.objective import require_class
from core.explain.steps import Steps, Task
from core.fields import Meaning, as_mapping, check_fields
from core.models.loaded import LoadedModel
from core.models.predictions import probabilities, require_finite
from core.types import FloatArray

_AT_ONCE: Final = 16
_CELL_PX: Final = 32
_USUAL_SHARE: Final = 7  # 32 of 224 pixels


@dataclass(frozen=True, slots=True)
class Rise:
    """Which masks are drawn.

    Attributes:
        samples: masks, 2 to 20 000.
        cell: side of a cell of a mask's coarse grid, in pixels; None = 32, or a seventh of the
            shorter side where that is less.
        probability: that a cell is left visible, 0.05 to 0.95.
        fill: what stands in for hidden pixels; see `core.explain.fill`.
        seed: of the masks.

    Source: Petsiuk et al. 2018, arXiv:1806.07421, section 3.
    """

    samples: Annotated[int, Meaning("Random masks, {within}.", 500, within=(2, 20_000))] = 500
    cell: Annotated[
        int | None,
        Meaning(
            "Side of a mask's cells in pixels; if left out 32, or a seventh of the shorter side "
            "where that is less.",
            32,
        ),
    ] = None
    probability: Annotated[
        float, Meaning("That a cell is left visible, {within}.", 0.5, within=(0.05, 0.95))
    ] = 0.5
    fill: Annotated[Fill, Meaning("What stands in for hidden pixels.", "mean")] = "mean"
    seed: Annotated[int, Meaning("Of the masks.", 0, within=(0, 2**63 - 1))] = 0

    def __post_init__(self) -> None:
        check_fields(self)

    def side(self, size: tuple[int, int]) -> int:
        """Of a cell on a picture of (height, width) pixels.

        Raises:
            InvalidValue: the picture has no room for one.
        """
        shorter = min(size)
        if self.cell is None:
            return min(_CELL_PX, max(1, shorter // _USUAL_SHARE))
        require_range("cell", self.cell, 1, shorter)
        return self.cell


@dataclass(frozen=True, slots=True, eq=False)
class Sampled:
    """The map is RISE's less the mean probability over the masks: above 0, seeing a pixel helps."""

    standard_error: Annotated[
        float, Meaning("Of the values of the map, their mean: fewer masks, larger.", 0.011)
    ]
    baseline: Annotated[float, Meaning("With nothing hidden.", 0.9533)]
    samples: Annotated[int, Meaning("", 500)]
    seed: Annotated[int, Meaning("", 0)]


@dataclass(frozen=True, slots=True, eq=False)
class _Averages:
    values: FloatArray
    error: FloatArray
    logits: FloatArray
    target: int


def masks(rise: Rise, count: int, size: tuple[int, int], generator: torch.Generator) -> Tensor:
    """Random masks: a coarse grid of visible cells, enlarged smoothly and shifted.

    Args:
        rise: how fine, and how much is visible.
        count: how many; drawn one by one, so that they do not depend on how many run at once.
        size: (H, W) pixels.
        generator: whose next numbers are taken.

    Returns:
        (count, 1, H, W) float32, 0 = hidden to 1 = visible.
    """
    height, width = size
    cell = rise.side(size)
    rows, cols = (-(-length // cell) + 1 for length in size)  # one more, to be shifted
    drawn = []
    for _ in range(count):
        visible = torch.rand(1, 1, rows, cols, generator=generator) < rise.probability
        large = interpolate(visible.float(), size=(rows * cell, cols * cell), mode="bilinear")
        top, left = (int(torch.randint(cell, (), generator=generator)) for _ in size)
        drawn.append(large[..., top : top + height, left : left + width])
    return torch.cat(drawn)


def rise(
    model: LoadedModel, view: Tensor, parameters: Rise, target: int | None = None
) -> Steps[_Averages]:
    """The mean over masks of the target's probability times (mask / share left visible - 1).

    The paper's map is this and the mean probability, a constant; without it, zero has a meaning.

    Args:
        model: whose compiled forward is run; nothing in it is looked at.
        view: (C, H, W) uint8, as `model.spec.preprocess.view` gives.
        parameters: which masks.
        target: a class; None = the picture's top prediction.

    Raises:
        TargetOutOfRange: the model has no such class.
        OutputNotFinite: the network answered NaN or infinity.
    """
    normalize = model.spec.preprocess.normalize
    row, hidden = normalize(view), normalize(filled(view, parameters.fill))
    logits = model.runtime(row[None]).logits[0]
    require_finite(logits)
    target = int(logits.argmax()) if target is None else target
    require_class(target, len(logits))
    generator = torch.Generator().manual_seed(parameters.seed)
    size = (view.shape[1], view.shape[2])
    total, squares = np.zeros((2, *size))
    at_once = max(_AT_ONCE, model.runtime.max_batch)
    for start in range(0, parameters.samples, at_once):
        yield start / parameters.samples
        count = min(at_once, parameters.samples - start)
        mask = masks(parameters, count, size, generator)
        found = model.runtime(mask * row + (1 - mask) * hidden).logits
        require_finite(found)
        scores = probabilities(found)[:, target].astype(np.float64)
        visible = mask[:, 0].double().numpy() / parameters.probability - 1  # (n, H, W)
        total += np.einsum("n,nhw->hw", scores, visible)
        squares += np.einsum("n,nhw->hw", scores**2, visible**2)
    n = parameters.samples
    mean = total / n
    error = np.sqrt(np.maximum(squares / n - mean**2, 0) / (n - 1))
    return _Averages(mean.astype(np.float32), error.astype(np.float32), logits, target)


def _plan(parameters: Rise, inquiry: Inquiry) -> Plan:
    inquiry.afford(1 + parameters.samples, "samples", str(parameters.samples))

    def finish(found: _Averages) -> Finding:
        baseline = float(probabilities(found.logits)[found.target])
        extras = Sampled(float(found.error.mean()), baseline, parameters.samples, parameters.seed)
        return Finding(found.values, found.logits, found.target, extras=as_mapping(extras))

    return Plan(Task(rise(inquiry.model, inquiry.view, parameters, inquiry.target)), finish)


RISE: Final = Method(
    name="rise",
    title="RISE",
    text="""Show the picture through random masks, and weigh each by the target's probability.

The network is a black box: this applies to any. The map is a mean over the masks; how far it may
be from what endlessly many masks would give is in `standard_error`.""",
    parameters=Rise,
    plan=_plan,
    applies=lambda _: True,
    answers=Sampled,
    schema="Rise",
    forwards=501,
)
