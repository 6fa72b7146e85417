"""Grad-CAM: a layer's feature maps, weighted by the mean gradient of the class."""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Annotated, Final

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from core.errors import InvalidValue, MethodUnsupported
from core.explain.method import Finding, Inquiry, Method, Plan
from core.explain.objective import NO_GRADIENT, require_class
from core.fields import Meaning, as_mapping, check_fields
from core.models.loaded import LoadedModel
from core.models.structure.anatomy import Ports
from core.models.structure.layers import find_layer
from core.models.structure.ports import At, Port
from core.types import FloatArray


@dataclass(frozen=True, slots=True)
class GradCam:
    """Which feature maps are weighed.

    Attributes:
        layer: a layer's name, with feature maps or tokens in a grid; None = the last feature maps
            that all the network's answer comes of (see `LoadedModel.maps`).
        at: whether what leaves or what enters that layer.

    Raises:
        InvalidValue: `at` without a layer.
    """

    layer: Annotated[
        str | None,
        Meaning(
            "A layer with feature maps, or tokens in a grid; if left out, the last that all the "
            "network's answer comes of.",
            "bn2",
            max_length=200,
        ),
    ] = None
    at: Annotated[
        At, Meaning("Of `layer`: what leaves it (`output`), or what enters it (`input`).", "output")
    ] = "output"

    def __post_init__(self) -> None:
        check_fields(self)
        if self.layer is None and self.at != "output":
            raise InvalidValue("at", self.at, "only together with layer")


@dataclass(frozen=True, slots=True)
class ClassMap:
    """Feature maps of one layer that speak for the target."""

    layer: Annotated[str, Meaning("Where the feature maps are; of branches, all names.", "bn2")]
    at: Annotated[str, Meaning("`input`: what enters the layer.", "output")]
    cells: Annotated[tuple[int, int], Meaning("Height and width of the layer's feature maps.")]


@dataclass(frozen=True, slots=True, eq=False)
class ClassActivation:
    """What one picture gets.

    Attributes:
        values: (H, W) float32, >= 0, at the input's size, not rescaled.
        cells: (h, w) of the layer's feature maps, of the largest where there are branches.
        logits: (K,) float32.
        target: the class explained.
    """

    values: FloatArray
    cells: tuple[int, int]
    logits: FloatArray
    target: int


def grad_cam(
    model: LoadedModel, rows: Tensor, targets: Sequence[int | None], ports: Ports
) -> list[ClassActivation]:
    """Feature maps weighted by the mean gradient of each row's own target logit.

    Args:
        model: whose torch module is run.
        rows: (B, C, H, W) float32.
        targets: (B,) a class for each row; None = its top prediction.
        ports: where the feature maps are; of branches, whose channels stand side by side.

    Raises:
        TargetOutOfRange: the model has no such class.
        UnknownLayer: no such layer.
        MethodUnsupported: the layer has no feature maps, or nothing after it can be differentiated.

    Source: Selvaraju et al. 2017, arXiv:1610.02391, section 3.
    """
    for port in ports:
        model.require_apart(port)
    with torch.enable_grad(), ExitStack() as hooks:
        seen = [hooks.enter_context(port.tapped(model.module)) for port in ports]
        logits = model.module(model.to_device(rows))
        chosen = [_chosen(row, target) for row, target in zip(logits, targets, strict=True)]
        activations = [
            model.known_axes.taken(port, each, len(rows))
            for each, port in zip(seen, ports, strict=True)
        ]
        for port, activation in zip(ports, activations, strict=True):
            _maps(model, port, activation)  # refused before the backward pass
        if not logits.requires_grad:
            raise MethodUnsupported(NO_GRADIENT)
        total = logits[range(len(chosen)), chosen].sum()
        with model.going_back():
            gradients = torch.autograd.grad(total, activations, allow_unused=True)
    weighed = [
        _weighed(model, port, activation.detach(), gradient)
        for port, activation, gradient in zip(ports, activations, gradients, strict=True)
    ]
    height, width = (max(each.shape[axis] for each in weighed) for axis in (2, 3))
    cells = (int(height), int(width))
    cam = torch.stack([_resized(each, cells) for each in weighed]).sum(0).relu()
    values = _resized(cam, (rows.shape[2], rows.shape[3]))[:, 0].float().cpu().numpy()
    return [
        ClassActivation(value, cells, row, target)
        for value, row, target in zip(
            values, logits.detach().float().cpu().numpy(), chosen, strict=True
        )
    ]


def _chosen(logits: Tensor, target: int | None) -> int:
    if target is None:
        return int(logits.argmax())
    require_class(target, len(logits))
    return target


def _weighed(model: LoadedModel, port: Port, activation: Tensor, gradient: Tensor | None) -> Tensor:
    """(B, 1, h, w): the maps, each times its mean gradient, summed."""
    maps = _maps(model, port, activation)
    if gradient is None:  # the logits do not depend on it
        return torch.zeros_like(maps[:, :1])
    slopes = _maps(model, port, gradient)
    weights = slopes.mean((2, 3), keepdim=True)  # (B, C, h, w) -> (B, C, 1, 1)
    return (weights * maps).sum(1, keepdim=True)


def _maps(model: LoadedModel, port: Port, activation: Tensor) -> Tensor:
    axes = model.axes(port, activation)
    maps = axes.maps(axes.batch_first(activation))
    if maps is None or min(maps.shape[2:]) < 1 or max(maps.shape[2:]) == 1:
        found = " x ".join(map(str, axes.batch_first(activation).shape[1:]))
        raise MethodUnsupported(
            "Grad-CAM needs feature maps of more than one cell, or tokens in a grid; at layer "
            f"{port.layer!r} there are {found} values"
        )
    return maps


def _resized(maps: Tensor, size: tuple[int, int]) -> Tensor:
    return maps if maps.shape[2:] == size else interpolate(maps, size=size, mode="bilinear")


@dataclass(frozen=True, slots=True)
class GradCams:
    """Class activation maps of pictures for their own targets, of the same feature maps."""

    model: LoadedModel
    ports: Ports

    @property
    def max_batch(self) -> int:
        """See `BatchFunction`."""
        return self.model.rows_at_once

    def __call__(self, payloads: Sequence[tuple[Tensor, int | None]]) -> Sequence[ClassActivation]:
        """(row, target) pairs in, one map each."""
        rows, targets = zip(*payloads, strict=True)
        return grad_cam(self.model, torch.stack(rows), targets, self.ports)


def _plan(cam: GradCam, inquiry: Inquiry) -> Plan:
    ports = _ports(cam, inquiry.model)

    def finish(found: ClassActivation) -> Finding:
        layers = ", ".join(port.layer for port in ports)
        extras = as_mapping(ClassMap(layers, ports[0].at, found.cells))
        return Finding(found.values, found.logits, found.target, extras=extras)

    return Plan((GradCams(inquiry.model, ports), (inquiry.row, inquiry.target)), finish)


def _ports(cam: GradCam, model: LoadedModel) -> Ports:
    if cam.layer is not None:
        find_layer(model.module, cam.layer)
        return (Port(cam.layer, cam.at),)
    if not model.maps:
        raise MethodUnsupported(
            "Grad-CAM needs feature maps that all the network's answer comes of, and found none; "
            "name a layer"
        )
    return model.maps


GRAD_CAM: Final = Method(
    name="grad-cam",
    title="Grad-CAM",
    text="Feature maps of a convolution, weighted by how much they speak for the target.",
    parameters=GradCam,
    plan=_plan,
    applies=lambda network: bool(network.model.maps),
    answers=ClassMap,
    schema="GradCam",
    compared=3,
)
