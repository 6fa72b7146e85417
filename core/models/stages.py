"""Owns a network cut into stages, so that a change in one place is not computed everywhere.

The layers down to stride 8 run only around what changed and are pasted into the cached feature
maps; the rest runs dense. Halos are found by experiment, not by walking the graph.

Source: Nakandala et al. 2019, Krypton, SIGMOD, section 4.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import openvino
from numpy.typing import NDArray

from core.models.runtimes import Compiled
from core.types import FloatArray

# Strides at which the network is cut, and the pixels to which all crops are aligned.
_STRIDES = (4, 8)
_ALIGN_PX = 8
_TOLERANCE = 1e-4

Interval = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Halo:
    """How far things reach across one stage, in cells of its output, before and behind.

    Attributes:
        changed: cells that a change can alter, beyond those right above it.
        spoilt: cells at the border of a crop that differ from those of the whole.
    """

    changed: Interval
    spoilt: Interval


@dataclass(frozen=True, slots=True)
class Step:
    """One stage's part of the work for a change, along one axis, in cells.

    Attributes:
        crop: what of its input runs.
        keep: what of its output changes, and is pasted.
    """

    crop: Interval
    keep: Interval


class Stage:
    """A compiled part of the network whose output is `ratio` times smaller than its input."""

    def __init__(self, model: openvino.Model, threads: int, ratio: int, align: int) -> None:
        self.run = Compiled(model, threads)
        self.ratio = ratio
        self.align = align  # cells of the input to which crops are aligned
        self.halo = Halo((0, 0), (0, 0))

    def step(self, changed: Interval, side: int, next_align: int) -> Step:
        """What to crop, and what changes behind it, for a change of these cells."""
        low, high = _down(changed[0], self.align), min(side, _up(changed[1], self.align))
        out = side // self.ratio
        first = max(0, low // self.ratio - self.halo.changed[0])
        last = min(out, high // self.ratio + self.halo.changed[1])
        first, last = _down(first, next_align), min(out, _up(last, next_align))
        start = _down((first - self.halo.spoilt[0]) * self.ratio, self.align)
        stop = _up((last + self.halo.spoilt[1]) * self.ratio, self.align)
        return Step((max(0, start), min(side, stop)), (first, last))


class Stages:
    """A network in three stages: to stride 4, to stride 8, and the rest.

    Args:
        model: the converted network, one input (B, C, H, W), outputs logits and features.
        threads: CPU threads; 0 = all.

    Raises:
        ValueError: the network cannot be cut at these strides.
    """

    def __init__(self, model: openvino.Model, threads: int = 0) -> None:
        shape = _static(model.inputs[0])
        self.size = (shape[2], shape[3])
        if any(side % _ALIGN_PX for side in self.size):
            raise ValueError(f"an input of {self.size} pixels is not a multiple of {_ALIGN_PX}")
        cuts = [_best_cut(model, self.size[0] // stride) for stride in _STRIDES]
        first, second, rest = (
            _between(model, start, end)
            for start, end in zip([None, *cuts], [*cuts, None], strict=True)
        )
        self.local = (
            Stage(first, threads, _STRIDES[0], _ALIGN_PX),
            Stage(second, threads, _STRIDES[1] // _STRIDES[0], _ALIGN_PX // _STRIDES[0]),
        )
        self.dense = Compiled(rest, threads)
        self._measure(shape[1])

    def steps(self, changes: Sequence[Interval], axis: int) -> list[list[Step]]:
        """For each stage, a step for each change of so many pixels along an axis.

        Within a stage all crops are of one length, so that they can share a batch.
        """
        side, found = self.size[axis], []
        for stage, behind in zip(self.local, (self.local[1].align, 1), strict=True):
            steps = [stage.step(each, side, behind) for each in changes]
            length = max(step.crop[1] - step.crop[0] for step in steps)
            found.append([_of_length(step, length, side) for step in steps])
            changes = [step.keep for step in steps]
            side //= stage.ratio
        return found

    def _measure(self, channels: int) -> None:
        """Find each stage's halo: change a square in the middle, and cut one out."""
        random = np.random.default_rng(0)
        inputs = random.normal(size=(4, channels, *self.size)).astype(np.float32)
        for stage in self.local:
            whole = stage.run(inputs)[0]
            stage.halo = Halo(_changed(stage, inputs, whole, random), _spoilt(stage, inputs, whole))
            inputs = whole


class Incremental:
    """The logits of one picture with windows hidden, computed from what they change.

    Args:
        stages: the network.
        row: (C, H, W) float32, the picture.
        rows: first and last pixel row of every window that will be hidden.
        cols: the same of columns.
    """

    def __init__(
        self, stages: Stages, row: FloatArray, rows: Sequence[Interval], cols: Sequence[Interval]
    ) -> None:
        self._stages = stages
        self._steps = [
            [dict(zip(pixels, each, strict=True)) for each in stages.steps(pixels, axis)]
            for axis, pixels in enumerate((rows, cols))
        ]
        self._cached = [row]
        for stage in stages.local:
            self._cached.append(stage.run(self._cached[-1][None])[0][0])

    @property
    def share(self) -> float:
        """How much of the first stage, the costliest, still runs: 0..1."""
        rows, cols = (next(iter(steps[0].values())).crop for steps in self._steps)
        area = (rows[1] - rows[0]) * (cols[1] - cols[0])
        return area / (self._stages.size[0] * self._stages.size[1])

    def logits(self, fill: FloatArray, windows: Sequence[tuple[Interval, Interval]]) -> FloatArray:
        """(n, K): the picture's logits with each window in turn replaced by the fill.

        Args:
            fill: (C, H, W) float32, what stands in for hidden pixels.
            windows: rows and columns of each window, of those announced.
        """
        places = list(windows)
        patches = [fill[:, slice(*rows), slice(*cols)] for rows, cols in windows]
        for index, stage in enumerate(self._stages.local):
            cached = self._cached[index]
            steps = [tuple(self._steps[axis][index][w[axis]] for axis in (0, 1)) for w in windows]
            crops = [_pasted(cached, *each) for each in zip(patches, places, steps, strict=True)]
            outputs = stage.run(np.stack(crops))[0]
            patches = [_kept(*each, stage.ratio) for each in zip(outputs, steps, strict=True)]
            places = [(step[0].keep, step[1].keep) for step in steps]
        whole = np.repeat(self._cached[-1][None], len(windows), axis=0)
        for row, patch, place in zip(whole, patches, places, strict=True):
            row[:, slice(*place[0]), slice(*place[1])] = patch
        return self._stages.dense(whole)[0]


def _of_length(step: Step, length: int, side: int) -> Step:
    start = min(step.crop[0], side - length)
    return Step((start, start + length), step.keep)


def _pasted(
    cached: FloatArray, patch: FloatArray, place: tuple[Interval, Interval], step: tuple[Step, ...]
) -> FloatArray:
    """The crop of a cached map, with the patch where it belongs."""
    (top, bottom), (left, right) = step[0].crop, step[1].crop
    crop = cached[:, top:bottom, left:right].copy()
    (first, last), (begin, end) = place
    crop[:, first - top : last - top, begin - left : end - left] = patch
    return crop


def _kept(output: FloatArray, step: tuple[Step, ...], ratio: int) -> FloatArray:
    rows, cols = (
        slice(each.keep[0] - each.crop[0] // ratio, each.keep[1] - each.crop[0] // ratio)
        for each in step
    )
    return output[:, rows, cols]


def _changed(
    stage: Stage, inputs: FloatArray, whole: FloatArray, random: np.random.Generator
) -> Interval:
    square = _middle(inputs.shape[2], 2 * stage.align, stage.align)
    changed = inputs.copy()
    part = changed[:, :, slice(*square), slice(*square)]
    part[...] = 3 * random.normal(size=part.shape)
    moved = np.abs(stage.run(changed)[0] - whole).max(axis=(0, 1)) > 0
    return _reach(moved.any(1), moved.any(0), square, stage.ratio)


def _spoilt(stage: Stage, inputs: FloatArray, whole: FloatArray) -> Interval:
    side = inputs.shape[2]
    square = _middle(side, _down(side // 2, stage.align), stage.align)
    output = stage.run(np.ascontiguousarray(inputs[:, :, slice(*square), slice(*square)]))[0]
    start, stop = square[0] // stage.ratio, square[1] // stage.ratio
    wrong = np.abs(output - whole[:, :, start:stop, start:stop]).max(axis=(0, 1))
    good = wrong <= _TOLERANCE * np.abs(whole).max()
    centre = good.shape[0] // 2
    if not good[centre, centre]:
        raise ValueError("a crop of this network's input does not give a crop of its output")
    band = slice(centre - 1, centre + 2)
    runs = [*good[band], *good[:, band].T]
    before = max(int(np.argmax(run)) for run in runs)
    behind = max(int(np.argmax(run[::-1])) for run in runs)
    return (before, behind)


def _reach(
    rows: NDArray[np.bool_], cols: NDArray[np.bool_], square: Interval, ratio: int
) -> Interval:
    before = behind = 0
    for hit in (rows, cols):
        (where,) = np.nonzero(hit)
        before = max(before, square[0] // ratio - int(where[0]))
        behind = max(behind, int(where[-1]) + 1 - square[1] // ratio)
    return (before, behind)


def _middle(side: int, length: int, align: int) -> Interval:
    start = _down((side - length) // 2, align)
    return (start, start + length)


def _down(value: int, align: int) -> int:
    return value // align * align


def _up(value: int, align: int) -> int:
    return -(-value // align) * align


# ---- cutting the graph ----


def _best_cut(model: openvino.Model, height: int) -> openvino.Output:
    """Where to cut among the feature maps of that height: late, but where little crosses.

    What crosses a cut is copied and changes its memory layout twice, so channels cost: where the
    last thing at this height is one convolution that widens the map, the cut lies before it.
    """
    found = [each for each in _cuts(model) if _height(each) == height]
    if not found:
        raise ValueError(f"the network has no cut at a feature map of height {height}")
    order = [node.get_friendly_name() for node in model.get_ordered_ops()]
    kinds = [node.get_type_name() for node in model.get_ordered_ops()]
    last = order.index(found[-1].get_node().get_friendly_name())

    def convolutions_behind(cut: openvino.Output) -> int:
        start = order.index(cut.get_node().get_friendly_name())
        return sum(kind.endswith("Convolution") for kind in kinds[start + 1 : last + 1])

    late = [each for each in found if convolutions_behind(each) <= 1]
    return min(reversed(late), key=lambda each: _static(each)[1])


def _height(output: openvino.Output) -> int:
    shape = _static(output)
    return shape[2] if len(shape) == 4 else 0


def _cuts(model: openvino.Model) -> list[openvino.Output]:
    """Outputs that are, at some point of the order of execution, all that later work needs."""
    constant: set[str] = set()
    live: dict[tuple[str, int], tuple[int, openvino.Output]] = {}
    found = []
    for node in model.get_ordered_ops():
        name = node.get_friendly_name()
        sources = [each.get_source_output() for each in node.inputs()]
        keys = [(each.get_node().get_friendly_name(), each.get_index()) for each in sources]
        if node.get_type_name() == "Constant" or (keys and all(key[0] in constant for key in keys)):
            constant.add(name)
            continue
        for key in keys:
            if key in live:
                left, output = live.pop(key)
                if left > 1:
                    live[key] = (left - 1, output)
        for output in node.outputs():
            if users := len(output.get_target_inputs()):
                live[(name, output.get_index())] = (users, output)
        if len(live) == 1:
            found.append(next(iter(live.values()))[1])
    return found


def _between(
    model: openvino.Model, start: openvino.Output | None, end: openvino.Output | None
) -> openvino.Model:
    """The part of the network from one cut to the next; its local parts take any size."""
    clone = model.clone()
    nodes = {node.get_friendly_name(): node for node in clone.get_ops()}

    def twin(cut: openvino.Output) -> openvino.Output:
        return nodes[cut.get_node().get_friendly_name()].output(cut.get_index())

    parameters = list(clone.get_parameters())
    if start is not None:
        _, channels, height, width = _static(start)
        shape = [-1, channels, height, width] if end is None else [-1, channels, -1, -1]
        parameters = [openvino.opset13.parameter(shape, np.float32)]
        for user in list(twin(start).get_target_inputs()):
            user.replace_source_output(parameters[0].output(0))
    results = clone.get_results() if end is None else [openvino.opset13.result(twin(end))]
    part = openvino.Model(results, parameters, "stage")
    if start is None:
        channels = _static(model.inputs[0])[1]
        part.reshape([-1, channels, -1, -1])
    return part


def _static(output: openvino.Output) -> list[int]:
    """The shape, -1 where it is dynamic; empty if not even the rank is known."""
    shape = output.get_partial_shape()
    if shape.rank.is_dynamic:
        return []
    return [each.get_length() if each.is_static else -1 for each in shape]
