"""Gradients with respect to the input: one forward and backward pass for a batch of pictures."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor

from core.errors import InvalidValue, MethodUnsupported
from core.explain.objective import (
    NO_GRADIENT,
    ClassObjective,
    LayerObjective,
    Objective,
    require_class,
)
from core.explain.relu import Coverage, GuidedRelu, Rule, coverage
from core.explain.steps import Steps
from core.models.loaded import LoadedModel
from core.models.structure.axes import Axes
from core.models.structure.ports import Port
from core.types import FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class InputGradient:
    """What one picture gets from a backward pass.

    Attributes:
        gradient: (C, H, W) float32, of the objective with respect to the normalized input.
        logits: (K,) float32, of the same forward.
        target: the class explained; None where the objective is a layer's.
        value: the objective's value.
        coverage: of the rule that guided the way back; None = there was none.
    """

    gradient: FloatArray
    logits: FloatArray
    target: int | None
    value: float
    coverage: Coverage | None


@dataclass(frozen=True, slots=True, eq=False)
class Backward:
    """What a batch gets from one forward and one backward pass.

    Attributes:
        gradients: (B, C, H, W) float32 on the model's device.
        logits: (B, K) float32.
        targets: (B,) the class explained; None where the objective is a layer's.
        values: (B,) the objectives' values.
        coverages: (B,) of the rule that guided the way back; None = there was none.
    """

    gradients: Tensor
    logits: FloatArray
    targets: list[int | None]
    values: list[float]
    coverages: list[Coverage | None]


def input_gradients(
    model: LoadedModel, rows: Tensor, objectives: Sequence[Objective], rule: Rule | None = None
) -> list[InputGradient]:
    """Gradients of each row's own objective, one by one; see `backward`."""
    found = backward(model, rows, objectives, rule)
    gradients = found.gradients.cpu().contiguous().numpy()
    parts = (gradients, found.logits, found.targets, found.values, found.coverages)
    return [InputGradient(*each) for each in zip(*parts, strict=True)]


def backward(
    model: LoadedModel, rows: Tensor, objectives: Sequence[Objective], rule: Rule | None = None
) -> Backward:
    """Gradients of each row's own objective, from one forward and one backward pass.

    Rows do not mix inside a network in eval mode, so the gradient of the sum of all objectives
    holds each row's own gradient.

    Args:
        model: whose torch module is run.
        rows: (B, C, H, W) float32, as `model.spec.preprocess` gives, on any device.
        objectives: (B,), one for each row.
        rule: guide the activations on the way back; None = the plain gradient.

    Raises:
        TargetOutOfRange: the model has no such class.
        InvalidValue: the layer has no such channel or position.
        UnknownLayer: no such layer.
        MethodUnsupported: a rule was asked for and found nothing to guide; or nothing between
            picture and objective can be differentiated; or the layer has no part for each picture.
    """
    inputs = model.to_device(rows).detach().requires_grad_(True)
    ports = {each.port for each in objectives if isinstance(each, LayerObjective)}
    for port in ports:
        model.require_apart(port)
    with torch.enable_grad(), ExitStack() as hooks:
        seen = {port: hooks.enter_context(port.captured(model.module)) for port in ports}
        logits = model.module(inputs.clone())  # which the network may change in place
        values, targets = _values(model, logits, seen, objectives)
        total = torch.stack(values).sum()
        coverages = [coverage(value, rule) if rule else None for value in values]
        with model.going_back(), GuidedRelu(rule) if rule else nullcontext():
            gradients = _gradient(total, inputs)
    return Backward(
        gradients.float(),
        logits.detach().float().cpu().numpy(),
        targets,
        torch.stack(values).detach().tolist(),
        coverages,
    )


def summed(
    model: LoadedModel, points: Callable[[range], Tensor], weights: Tensor, target: int
) -> Steps[Tensor]:
    """The weighted sum of a class's gradients at points that are made a piece at a time.

    Args:
        model: whose torch module is run.
        points: makes rows (b, C, H, W) float32 of their numbers, in order.
        weights: (n,) float64, of each point.
        target: the class.

    Returns:
        (C, H, W) float64 on the model's device.
    """
    weights, count = weights.to(model.device), len(weights)
    total = torch.zeros(model.spec.input_shape, dtype=torch.float64, device=model.device)
    for start in range(0, count, model.rows_at_once):
        yield start / count
        numbers = range(start, min(start + model.rows_at_once, count))
        found = backward(model, points(numbers), [ClassObjective(target)] * len(numbers))
        piece = weights[numbers.start : numbers.stop]
        total += torch.einsum("b,bchw->chw", piece, found.gradients.double())
    return total


@dataclass(frozen=True, slots=True)
class Gradients:
    """Gradients of pictures with respect to their own objectives."""

    model: LoadedModel
    rule: Rule | None = None

    @property
    def max_batch(self) -> int:
        """See `BatchFunction`."""
        return self.model.rows_at_once

    def __call__(self, payloads: Sequence[tuple[Tensor, Objective]]) -> Sequence[InputGradient]:
        """(row, objective) pairs in, one gradient each."""
        rows, objectives = zip(*payloads, strict=True)
        return input_gradients(self.model, torch.stack(rows), objectives, self.rule)


def _gradient(total: Tensor, inputs: Tensor) -> Tensor:
    found = None
    if total.requires_grad:
        (found,) = torch.autograd.grad(total, inputs, allow_unused=True)
    if found is None:
        raise MethodUnsupported(NO_GRADIENT)
    return found


def _values(
    model: LoadedModel,
    logits: Tensor,
    seen: dict[Port, list[Tensor]],
    objectives: Sequence[Objective],
) -> tuple[list[Tensor], list[int | None]]:
    values: list[Tensor] = []
    targets: list[int | None] = []
    for number, objective in enumerate(objectives):
        if isinstance(objective, ClassObjective):
            target = objective.target
            if target is None:
                target = int(logits[number].argmax())
            require_class(target, logits.shape[1])
            values.append(logits[number, target])
            targets.append(target)
        else:
            port = objective.port
            activation = model.known_axes.taken(port, seen[port], len(logits))
            axes = model.axes(port, activation)
            values.append(_explained(axes, axes.batch_first(activation)[number, None], objective))
            targets.append(None)
    return values, targets


def _explained(axes: Axes, activation: Tensor, objective: LayerObjective) -> Tensor:
    """The sum of the part of an activation (1, ...) that is explained."""
    if objective.channel is None:
        return activation.sum()
    channels = activation.movedim(axes.channels, 1)[0]  # (1, ..., C, ...) -> (C, ...)
    part = channels[_within("channel", objective.channel, len(channels))]
    if objective.row is None or objective.col is None:
        return part.sum()
    maps = axes.maps(activation)
    if maps is None:
        allowed = f"none: what is at {objective.layer!r} has no rows and columns"
        raise InvalidValue("row", objective.row, allowed)
    height, width = maps.shape[2:]
    row, col = _within("row", objective.row, height), _within("col", objective.col, width)
    return maps[0, objective.channel, row, col]


def _within(name: str, index: int, size: int) -> int:
    if not 0 <= index < size:
        raise InvalidValue(name, index, f"0 to {size - 1}")
    return index
