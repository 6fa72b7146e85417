"""Owns turning a method's parameters into work for the worker, and its result into a finding."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import Tensor

from core.errors import ANY_FAILURE, CostTooHigh, InvalidValue, MethodUnsupported, told
from core.explain.batched import GradCams, Gradients
from core.explain.cam import ClassActivation, GradCam
from core.explain.gradients import GuidedBackprop, InputGradient, Saliency, input_gradients
from core.explain.objective import ClassObjective, LayerObjective, Objective, Task
from core.explain.occlusion import Occlusion, OcclusionMap, occlude
from core.explain.path import (
    Integral,
    IntegratedGradients,
    SmoothGrad,
    integrated_gradients,
    smoothgrad,
)
from core.explain.relu import Rule
from core.models.loaded import LoadedModel
from core.models.structure.anatomy import Ports
from core.models.structure.layers import find_layer
from core.models.structure.ports import Port
from core.types import BatchFunction, FloatArray

_log = logging.getLogger(__name__)

Method = Occlusion | Saliency | GuidedBackprop | SmoothGrad | IntegratedGradients | GradCam

METHODS: Mapping[str, type[Method]] = {
    "occlusion": Occlusion,
    "saliency": Saliency,
    "guided-backprop": GuidedBackprop,
    "smoothgrad": SmoothGrad,
    "integrated-gradients": IntegratedGradients,
    "grad-cam": GradCam,
}


@dataclass(frozen=True, slots=True, eq=False)
class Finding:
    """What a method found, in one form for all of them.

    Attributes:
        values: (H, W) float32, raw.
        logits: (K,) float32, of the whole picture.
        target: the class explained; None where a layer was.
        value: what the layer put out, where one was explained.
        extras: what only this method has, by the name clients see.
    """

    values: FloatArray
    logits: FloatArray
    target: int | None
    value: float | None = None
    extras: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """Work for the worker: one payload of a batch, or a task in pieces.

    Attributes:
        work: (function, payload) for the interactive lane, or a task for the bulk lane.
        finish: makes a finding of the work's result.
    """

    work: tuple[BatchFunction, Any] | Task[Any]
    finish: Callable[[Any], Finding]


def method_name(method: Method) -> str:
    """The name clients know the method by."""
    return next(name for name, kind in METHODS.items() if kind is type(method))


def prepare(model: LoadedModel) -> tuple[str, ...]:
    """Make ready what explanations need; the names of the methods that apply to the network.

    Gradients are tried, plain and guided. The parts that occlusion runs are compiled, so that the
    first request does not keep the worker from others meanwhile.
    """
    _ = model.incremental
    plain = _differentiable(model, None)
    lacking = {
        GuidedBackprop: not (plain and _differentiable(model, "guided")),
        GradCam: not model.maps,
    }
    return tuple(
        name
        for name, kind in METHODS.items()
        if kind is Occlusion or not lacking.get(kind, not plain)
    )


def _differentiable(model: LoadedModel, rule: Rule | None) -> bool:
    row = torch.zeros(1, *model.spec.input_shape)
    try:
        input_gradients(model, row, [ClassObjective()], rule)
    except MethodUnsupported:
        return False
    except ANY_FAILURE as error:  # the network's own code, which need not run with gradients
        _log.info("%s cannot be differentiated: %s", model.spec.name, told(error))
        return False
    return True


def plan(
    model: LoadedModel, view: Tensor, method: Method, objective: Objective, limit_forwards: int
) -> Plan:
    """How to run a method on a picture.

    Args:
        model: the network explained.
        view: (C, H, W) uint8, as `model.spec.preprocess.view` gives.
        method: its parameters.
        objective: a class, or for guided backpropagation something a layer puts out.
        limit_forwards: the most forwards one occlusion may take.

    Raises:
        CostTooHigh: it would take more; the message names the estimate.
        InvalidValue: a parameter does not fit the picture.
    """
    if isinstance(objective, LayerObjective):
        if not isinstance(method, GuidedBackprop):
            raise InvalidValue("layer", objective.layer, "only with guided-backprop")
        return _gradient(model, view, method, objective, method.rule)
    target = objective.target
    match method:
        case Occlusion():
            _check_cost(method, view, limit_forwards)
            return Plan(Task(occlude(model, view, method, target)), _occluded(method, model))
        case SmoothGrad():
            return Plan(Task(smoothgrad(model, view, method, target)), _reduced(method))
        case IntegratedGradients():
            return Plan(Task(integrated_gradients(model, view, method, target)), _integrated)
        case GradCam():
            ports = _cam_ports(model, method)
            work = GradCams(model, ports), (model.spec.preprocess.normalise(view), target)
            return Plan(work, _activated(ports))
        case GuidedBackprop():
            return _gradient(model, view, method, objective, method.rule)
        case _:
            return _gradient(model, view, method, objective, None)


def _cam_ports(model: LoadedModel, method: GradCam) -> Ports:
    if method.layer is not None:
        find_layer(model.module, method.layer)
        return (Port(method.layer, method.at),)
    if not model.maps:
        raise MethodUnsupported(
            "Grad-CAM needs feature maps that all the network's answer comes of, and found none; "
            "name a layer"
        )
    return model.maps


def _check_cost(method: Occlusion, view: Tensor, limit_forwards: int) -> None:
    forwards = method.forwards((view.shape[1], view.shape[2]))
    if forwards > limit_forwards:
        grid = method.grid((view.shape[1], view.shape[2]))
        window, stride = ("x".join(map(str, each)) for each in (grid.window, grid.stride))
        raise CostTooHigh(
            "stride",
            stride,
            f"at most {limit_forwards} forwards a request; window={window} and stride={stride} "
            f"would take {forwards}",
        )


def _gradient(
    model: LoadedModel, view: Tensor, method: Saliency, objective: Objective, rule: Any
) -> Plan:
    row = model.spec.preprocess.normalise(view)
    return Plan((Gradients(model, rule), (row, objective)), _reduced(method))


def _reduced(method: Saliency) -> Callable[[InputGradient], Finding]:
    def finish(found: InputGradient) -> Finding:
        extras: dict[str, Any] = {}
        if isinstance(method, GuidedBackprop):
            assert found.coverage is not None  # it has a rule
            extras["coverage"] = asdict(found.coverage)
        if isinstance(method, SmoothGrad):
            extras |= {"samples": method.samples, "noise": method.noise, "seed": method.seed}
        return Finding(method(found.gradient), found.logits, found.target, found.value, extras)

    return finish


def _integrated(found: Integral) -> Finding:
    extras = {
        "completeness_error": found.completeness_error,
        "logit_difference": found.difference,
    }
    return Finding(found.values, found.logits, found.target, extras=extras)


def _activated(ports: Ports) -> Callable[[ClassActivation], Finding]:
    layers = ", ".join(port.layer for port in ports)

    def finish(found: ClassActivation) -> Finding:
        extras = {"layer": layers, "at": ports[0].at, "cells": found.cells}
        return Finding(found.values, found.logits, found.target, extras=extras)

    return finish


def _occluded(method: Occlusion, model: LoadedModel) -> Callable[[OcclusionMap], Finding]:
    def finish(found: OcclusionMap) -> Finding:
        rows, cols = found.grid.shape
        labels = model.spec.labels
        extras = {
            "grid": {
                "rows": rows,
                "cols": cols,
                "window": found.grid.window,
                "stride": found.grid.stride,
                "fill": method.fill,
                "tops": found.grid.tops,
                "lefts": found.grid.lefts,
            },
            "mode": method.mode,
            "score_map": found.score_map,
            "class_map": found.class_map,
            "labels": {str(index): labels[index] for index in sorted(set(found.class_map.flat))},
            "baseline": found.baseline,
            "forwards": found.forwards,
            "check": asdict(found.check),
        }
        return Finding(found.values, found.logits, found.target, extras=extras)

    return finish
