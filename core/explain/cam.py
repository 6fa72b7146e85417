"""Owns Grad-CAM: which feature maps of a layer speak for a class."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from core.errors import MethodUnsupported
from core.explain.base import NO_GRADIENT, require_class
from core.models.layers import last_seen, tapped_output
from core.models.loaded import LoadedModel
from core.types import FloatArray


@dataclass(frozen=True, slots=True)
class GradCam:
    """Attributes: layer: a convolutional layer's name; None = the last convolution that runs."""

    layer: str | None = None


@dataclass(frozen=True, slots=True, eq=False)
class ClassActivation:
    """What one picture gets.

    Attributes:
        values: (H, W) float32, >= 0, at the input's size, not rescaled.
        cells: (h, w) of the layer's feature map.
        logits: (K,) float32.
        target: the class explained.
    """

    values: FloatArray
    cells: tuple[int, int]
    logits: FloatArray
    target: int


def grad_cam(
    model: LoadedModel, rows: Tensor, targets: Sequence[int | None], layer: str
) -> list[ClassActivation]:
    """Feature maps weighted by the mean gradient of each row's own target logit.

    Args:
        model: whose torch module is run.
        rows: (B, C, H, W) float32.
        targets: (B,) a class for each row; None = its top prediction.
        layer: name of a layer with (B, C, h, w) output.

    Raises:
        TargetOutOfRange: the model has no such class.
        UnknownLayer: no such layer.
        MethodUnsupported: the layer has no feature maps, or nothing after it can be differentiated.

    Source: Selvaraju et al. 2017, arXiv:1610.02391, section 3.
    """
    with torch.enable_grad(), tapped_output(model.module, layer) as seen:
        logits = model.module(model.to_device(rows))
        chosen = [_chosen(row, target) for row, target in zip(logits, targets, strict=True)]
        activation = _feature_maps(last_seen(seen, layer, len(rows)), layer)
        if not logits.requires_grad:
            raise MethodUnsupported(NO_GRADIENT)
        (gradient,) = torch.autograd.grad(logits[range(len(chosen)), chosen].sum(), activation)
    weights = gradient.mean((2, 3), keepdim=True)  # (B, C, h, w) -> (B, C, 1, 1)
    cam = (weights * activation.detach()).sum(1, keepdim=True).relu()
    values = interpolate(cam, size=rows.shape[2:], mode="bilinear")[:, 0].float().cpu().numpy()
    cells = (activation.shape[2], activation.shape[3])
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


def _feature_maps(activation: Tensor, layer: str) -> Tensor:
    if activation.ndim != 4:
        raise MethodUnsupported(
            f"Grad-CAM needs feature maps (C, h, w); layer {layer!r} puts out "
            f"{tuple(activation.shape[1:])}"
        )
    return activation
