"""Owns gradients with respect to the input: one backward pass for many pictures, and saliency."""

from collections.abc import Sequence
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import torch
from torch import Tensor

from core.errors import InvalidValue, MethodUnsupported
from core.explain.base import (
    NO_GRADIENT,
    ClassObjective,
    LayerObjective,
    Objective,
    require_choice,
    require_class,
)
from core.explain.relu import RULES, GuidedRelu, Rule, coverage
from core.models.layers import captured_output, last_seen
from core.models.loaded import LoadedModel
from core.types import FloatArray

Reduce = Literal["max", "l2", "sum"]
REDUCES: tuple[str, ...] = get_args(Reduce)


@dataclass(frozen=True, slots=True)
class Saliency:
    """How a gradient over colour channels becomes one value per pixel.

    Attributes:
        reduce: largest magnitude, Euclidean length, or sum over the channels.
        signed: keep the sign; otherwise magnitudes.

    Raises:
        InvalidValue: no such reduction, or a signed length.
    """

    reduce: Reduce = "max"
    signed: bool = False

    def __post_init__(self) -> None:
        require_choice("reduce", self.reduce, REDUCES)
        if self.signed and self.reduce == "l2":
            raise InvalidValue("reduce", self.reduce, "max or sum, where signed=true")

    def __call__(self, gradient: FloatArray) -> FloatArray:
        """(C, H, W) -> (H, W).

        Source: Simonyan et al. 2014, arXiv:1312.6034, section 3.1.
        """
        magnitude = np.abs(gradient)
        found: FloatArray
        if self.reduce == "l2":
            found = np.sqrt(np.square(gradient).sum(0))
        elif self.reduce == "sum":
            found = (gradient if self.signed else magnitude).sum(0)
        elif self.signed:
            found = np.take_along_axis(gradient, magnitude.argmax(0)[None], 0)[0]
        else:
            found = magnitude.max(0)
        return found


@dataclass(frozen=True, slots=True)
class GuidedBackprop(Saliency):
    """Saliency whose backward pass is guided; see `core.explain.relu.GuidedRelu`.

    Attributes:
        rule: "guided" or "clamp-grad".
    """

    rule: Rule = "guided"

    def __post_init__(self) -> None:
        require_choice("rule", self.rule, RULES)
        # A zero-argument super() does not work in a class remade for its slots.
        Saliency.__post_init__(self)


@dataclass(frozen=True, slots=True, eq=False)
class InputGradient:
    """What one picture gets from a backward pass.

    Attributes:
        gradient: (C, H, W) float32, of the objective with respect to the normalised input.
        logits: (K,) float32, of the same forward.
        target: the class explained; None where the objective is a layer's.
        value: the objective's value.
        guided: activations guided on the way back.
    """

    gradient: FloatArray
    logits: FloatArray
    target: int | None
    value: float
    guided: int


@dataclass(frozen=True, slots=True, eq=False)
class Backward:
    """What a batch gets from one forward and one backward pass.

    Attributes:
        gradients: (B, C, H, W) float32 on the model's device.
        logits: (B, K) float32.
        targets: (B,) the class explained; None where the objective is a layer's.
        values: (B,) the objectives' values.
        guided: (B,) activations guided on the way back.
    """

    gradients: Tensor
    logits: FloatArray
    targets: list[int | None]
    values: list[float]
    guided: list[int]


def input_gradients(
    model: LoadedModel, rows: Tensor, objectives: Sequence[Objective], rule: Rule | None = None
) -> list[InputGradient]:
    """Gradients of each row's own objective, one by one; see `backward`."""
    found = backward(model, rows, objectives, rule)
    gradients = found.gradients.cpu().contiguous().numpy()
    parts = (gradients, found.logits, found.targets, found.values, found.guided)
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
            picture and objective can be differentiated.
    """
    inputs = model.to_device(rows).detach().requires_grad_(True)
    layers = {each.layer for each in objectives if isinstance(each, LayerObjective)}
    with torch.enable_grad(), ExitStack() as hooks:
        seen = {name: hooks.enter_context(captured_output(model.module, name)) for name in layers}
        logits = model.module(inputs.clone())  # which the network may change in place
        values, targets = _values(logits, seen, objectives)
        total = torch.stack(values).sum()
        guided = [coverage(value, rule) if rule else 0 for value in values]
        with GuidedRelu(rule) if rule else nullcontext():
            gradients = _gradient(total, inputs)
    return Backward(
        gradients.float(),
        logits.detach().float().cpu().numpy(),
        targets,
        torch.stack(values).detach().tolist(),
        guided,
    )


def _gradient(total: Tensor, inputs: Tensor) -> Tensor:
    found = None
    if total.requires_grad:
        (found,) = torch.autograd.grad(total, inputs, allow_unused=True)
    if found is None:
        raise MethodUnsupported(NO_GRADIENT)
    return found


def _values(
    logits: Tensor, seen: dict[str, list[Tensor]], objectives: Sequence[Objective]
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
            values.append(_unit(seen, number, objective, len(logits)))
            targets.append(None)
    return values, targets


def _unit(
    seen: dict[str, list[Tensor]], number: int, objective: LayerObjective, rows: int
) -> Tensor:
    activation = last_seen(seen[objective.layer], objective.layer, rows)[number]  # (C, h, w), (D,)
    places = {"channel": objective.channel, "row": objective.row, "col": objective.col}
    for axis, (name, place) in enumerate(places.items()):
        if place is None:
            break
        size = activation.shape[axis] if axis < activation.ndim else 0
        if not 0 <= place < size:
            allowed = f"0 to {size - 1}" if size else f"none: {objective.layer!r} has no such axis"
            raise InvalidValue(name, place, allowed)
    indices = tuple(place for place in places.values() if place is not None)
    return activation[indices].sum()
