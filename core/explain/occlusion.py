"""Occlusion: slide a window over a picture and record how far the class's probability drops."""

import math
from dataclasses import dataclass
from typing import Annotated, Final, Literal

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from core.errors import InvalidValue, shown
from core.explain.fill import Fill
from core.explain.method import Finding, Inquiry, Method, Plan, Possible
from core.explain.occluded import Check, OccludedForwards
from core.explain.steps import Steps, Task
from core.explain.windows import Surface, Windows, coarse, finer
from core.fields import Meaning, as_mapping, check_fields
from core.models.loaded import LoadedModel
from core.types import FloatArray

Mode = Literal["exact", "adaptive"]

_WINDOW_PX = 32
_STRIDE_PX = 16
_USUAL_SHARE = 7  # 32 of 224 pixels


def parse_extent(name: str, text: str) -> tuple[int, int]:
    """`32` or `24x48` (height x width) as a pair of pixels.

    Raises:
        InvalidValue: it is neither.
    """
    sides = text.lower().split("x")
    if len(sides) not in (1, 2) or not all(
        p.isascii() and p.isdecimal() and len(p) < 6 for p in sides
    ):
        raise InvalidValue(name, shown(text)[1:-1], "a number of pixels, or HxW such as 24x48")
    height, width = int(sides[0]), int(sides[-1])
    return (height, width)


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

    window: Annotated[
        tuple[int, int] | None,
        Meaning(
            "Pixels, or HxW; if left out 32, or a seventh of the shorter side where that is less.",
            "32",
            parse=parse_extent,
            max_length=20,
        ),
    ] = None
    stride: Annotated[
        tuple[int, int] | None,
        Meaning(
            "Pixels, or HxW; if left out 16, or half of the window where that is less.",
            "16",
            parse=parse_extent,
            max_length=20,
        ),
    ] = None
    fill: Annotated[Fill, Meaning("What stands in for hidden pixels.", "mean")] = "mean"
    mode: Annotated[
        Mode, Meaning("Every window, or a coarse half and where it matters.", "exact")
    ] = "exact"

    def __post_init__(self) -> None:
        check_fields(self)

    def grid(self, size: tuple[int, int]) -> Windows:
        """Where the windows lie on a picture of (height, width) pixels."""
        side = min(_WINDOW_PX, max(1, min(size) // _USUAL_SHARE))
        window = self.window or (side, side)
        stride = self.stride or (_stride(window[0]), _stride(window[1]))
        return Windows.over(size, window, stride)

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
        forwards: pictures run, those of the check not counted.
        check: how they were run.
    """

    values: FloatArray
    score_map: FloatArray
    class_map: np.ndarray[tuple[int, int], np.dtype[np.int64]]
    evaluated: np.ndarray[tuple[int, int], np.dtype[np.bool_]]
    grid: Windows
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
    occluded = OccludedForwards(model, view, parameters.fill, grid, target)
    surface = Surface(grid.shape)
    numbers = range(math.prod(grid.shape))
    first = list(numbers) if parameters.mode == "exact" else coarse(grid.shape)
    total = parameters.forwards((view.shape[1], view.shape[2])) - 1
    yield from occluded.verify(first, surface)
    yield from occluded.run([each for each in first if not surface.known[each]], surface, total)
    if parameters.mode == "adaptive":
        rest = surface.most_uncertain(finer(grid.shape))
        yield from occluded.run(rest, surface, total)
    scores, classes = surface.complete()
    return OcclusionMap(
        values=grid.spread(occluded.baseline - scores),
        score_map=scores,
        class_map=classes,
        evaluated=surface.known.reshape(grid.shape),
        grid=grid,
        baseline=occluded.baseline,
        logits=occluded.logits,
        target=occluded.target,
        forwards=1 + int(surface.known.sum()),
        check=occluded.check,
    )


def _stride(length: int) -> int:
    return min(_STRIDE_PX, max(1, length // 2))


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """Where occlusion windows lie, in pixels of the model's input."""

    rows: Annotated[int, Meaning("", 13)]
    cols: Annotated[int, Meaning("", 13)]
    window: Annotated[tuple[int, int], Meaning("Height, width.")]
    stride: Annotated[tuple[int, int], Meaning("Vertical, horizontal.")]
    fill: Annotated[str, Meaning("", "mean")]
    tops: tuple[int, ...]
    lefts: tuple[int, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Occluded:
    """The map is the drop of the target's probability, averaged where windows overlap."""

    grid: Grid
    mode: Annotated[str, Meaning("", "exact")]
    score_map: Annotated[
        FloatArray, Meaning("The target's probability with that window hidden, rows x cols.")
    ]
    class_map: Annotated[
        NDArray[np.int64], Meaning("The class predicted with that window hidden, rows x cols.")
    ]
    labels: Annotated[dict[str, str], Meaning("Text of the classes in `class_map`.")]
    baseline: Annotated[float, Meaning("With nothing hidden.", 0.9533)]
    forwards: Annotated[int, Meaning("Pictures the network was run on.", 170)]
    check: Check


def _plan(occlusion: Occlusion, inquiry: Inquiry) -> Plan:
    labels = inquiry.model.spec.labels
    size = (inquiry.view.shape[1], inquiry.view.shape[2])
    grid = occlusion.grid(size)
    window, stride = ("x".join(map(str, each)) for each in (grid.window, grid.stride))
    reason = f"window={window} and stride={stride}"
    inquiry.afford(occlusion.forwards(size), "stride", stride, reason)

    def finish(found: OcclusionMap) -> Finding:
        where = found.grid
        rows, cols = where.shape
        extras = Occluded(
            grid=Grid(
                rows=rows,
                cols=cols,
                window=where.window,
                stride=where.stride,
                fill=occlusion.fill,
                tops=where.tops,
                lefts=where.lefts,
            ),
            mode=occlusion.mode,
            score_map=found.score_map,
            class_map=found.class_map,
            labels={str(index): labels[index] for index in sorted(set(found.class_map.flat))},
            baseline=found.baseline,
            forwards=found.forwards,
            check=found.check,
        )
        return Finding(found.values, found.logits, found.target, extras=as_mapping(extras))

    return Plan(Task(occlude(inquiry.model, inquiry.view, occlusion, inquiry.target)), finish)


def _applies(network: Possible) -> bool:
    _ = network.model.incremental  # compiled, so that the first request keeps nobody waiting
    return True


OCCLUSION: Final = Method(
    name="occlusion",
    title="occlusion",
    text="""Hide a window, record the target's probability and the predicted class, go on.

The map is the drop of the probability, averaged over the windows that cover a pixel; the raw
scores are in `score_map`. The cost is known before it starts: a request that would take too
many forwards is refused with the estimate.""",
    parameters=Occlusion,
    plan=_plan,
    applies=_applies,
    answers=Occluded,
    schema="Occlusion",
    forwards=170,
    compared=4,
)
