"""The arithmetic of one convolution output: patch times filter, summed, plus bias."""

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from core.errors import InvalidValue, MethodUnsupported
from core.inspect.reach import Reach, pair
from core.inspect.table import LayerTable, find_convolution
from core.models.predictions import require_finite
from core.models.structure.layers import first_tensor, removed
from core.types import FloatArray

# Of the sum of the products' magnitudes, or of 1 where that is less: float32 adds up in any order.
_TOLERANCE: Final = 1e-4

Indices = NDArray[np.int64]
"""(k,) rows or columns of a feature map; below 0 or beyond the last: padding."""


@dataclass(frozen=True, slots=True)
class Position:
    """One unit of a convolution's output (C, h, w)."""

    layer: str
    channel: int
    row: int
    col: int

    def check(self, shape: tuple[int, ...]) -> None:
        """Raise InvalidValue unless an output of this shape (C, h, w) has the unit."""
        if len(shape) != 3:
            raise InvalidValue("layer", self.layer, f"one that puts out (C, h, w), not {shape}")
        for name, size in zip(("channel", "row", "col"), shape, strict=True):
            if not 0 <= (value := getattr(self, name)) < size:
                raise InvalidValue(name, value, f"0 to {size - 1}")


@dataclass(frozen=True, slots=True)
class Box:
    """A window on the model's input, in pixels; bottom and right are the first ones outside."""

    top: int
    left: int
    bottom: int
    right: int


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Unit:
    """The arithmetic of one unit.

    Attributes:
        position: which unit.
        patch: (in/groups, kh, kw) float32, the layer's input under the filter; padding is there
            as the layer pads: zeros, reflected, replicated or wrapped around.
        filter: (in/groups, kh, kw) float32, the weights as the layer used them.
        products: (in/groups, kh, kw) float32, patch times filter.
        per_input_channel: (in/groups,) float64, the products summed over kh and kw.
        first_input_channel: the layer's input channel that the first of them is.
        bias: 0 where the layer has none.
        sum: all products plus bias.
        value: what the layer put out in the same forward.
        receptive_field: the pixels the unit depends on, clipped to the picture; all of them where
            the way from the picture to it was not followed.
        receptive_field_followed: whether it was.
    """

    position: Position
    patch: FloatArray
    filter: FloatArray
    products: FloatArray
    per_input_channel: NDArray[np.float64]
    first_input_channel: int
    bias: float
    sum: float
    value: float
    receptive_field: Box
    receptive_field_followed: bool


def unit(module: nn.Module, batch: Tensor, table: LayerTable, position: Position) -> Unit:
    """Run the network on one picture and take one convolution output apart.

    What is multiplied is read where torch multiplies it: the padded input and the weights that
    reach the operator inside the layer. So a layer that pads by itself (TensorFlow's "same") or
    standardizes its weights is taken apart as truly as a plain one.

    Args:
        module: in eval mode; left as it is.
        batch: (1, C, H, W) float32, one picture, where the module is.
        table: of this module.

    Raises:
        UnknownLayer: no such layer, or it never runs.
        InvalidValue: it is not a convolution, or puts out no such unit.
        MethodUnsupported: what it puts out is not that sum.
        OutputNotFinite: a value is NaN or infinite.
    """
    layer = find_convolution(module, position.layer)
    table.row(position.layer)
    call, output = _watched(module, layer, batch)
    position.check(tuple(output.shape))
    patch, weights, bias, first = _terms(call, position)
    products = patch * weights
    per_channel = products.sum((1, 2), dtype=np.float64)
    value = float(output[position.channel, position.row, position.col])
    require_finite(np.array((products.sum(), bias, value), dtype=np.float32))
    total = float(per_channel.sum()) + bias
    rounding = max(_TOLERANCE, 4 * torch.finfo(output.dtype).eps)  # bfloat16 has 8 bits
    if abs(total - value) > rounding * max(1.0, float(np.abs(products).sum())):
        raise MethodUnsupported(
            f"layer {position.layer!r} puts out {value:.6g} there, and the products and its bias "
            f"sum to {total:.6g}: it does more than a convolution"
        )
    reach = table.reaches[position.layer]
    field = _field(reach, position, (int(batch.shape[2]), int(batch.shape[3])))
    return Unit(
        position=position,
        patch=patch,
        filter=weights,
        products=products,
        per_input_channel=per_channel,
        first_input_channel=first,
        bias=bias,
        sum=total,
        value=value,
        receptive_field=field,
        receptive_field_followed=reach is not None,
    )


class _Convolutions(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Keeps the arguments of each convolution that runs while `inside` a layer."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.inside = False
        self.calls: list[dict[str, Any]] = []

    def __torch_dispatch__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Keep the arguments, the input as a copy: a later operation may overwrite it."""
        if self.inside and func.overloadpacket is torch.ops.aten.convolution:
            names = [each.name for each in func._schema.arguments]
            call = dict(zip(names, args, strict=True))
            self.calls.append(call | {"input": call["input"].clone()})
        return func(*args, **(kwargs or {}))


def _watched(module: nn.Module, layer: nn.Module, batch: Tensor) -> tuple[dict[str, Any], Tensor]:
    """The arguments of the convolution inside a layer's last run, and its output (C, h, w)."""
    watch = _Convolutions()
    outputs: list[Tensor] = []

    def enters(_module: nn.Module, _inputs: object) -> None:
        watch.calls.clear()
        watch.inside = True

    def leaves(_module: nn.Module, _inputs: object, output: object) -> None:
        watch.inside = False
        outputs.append(first_tensor(output).clone())

    # Without TF32, whose products have 10 bits: else a GPU's sums would not be the products'.
    exact = torch.backends.cudnn.flags(enabled=True, allow_tf32=False)
    with torch.no_grad(), exact, ExitStack() as hooks:
        hooks.enter_context(removed(layer.register_forward_pre_hook(enters)))
        hooks.enter_context(removed(layer.register_forward_hook(leaves)))
        with watch:
            module(batch)
    if len(watch.calls) != 1 or watch.calls[0]["transposed"] or outputs[-1].ndim != 4:
        raise MethodUnsupported(
            f"a {type(layer).__name__} that runs {len(watch.calls)} convolutions cannot be taken "
            "apart: a layer that runs exactly one can"
        )
    return watch.calls[0], outputs[-1][0]


def _terms(
    call: Mapping[str, Any], position: Position
) -> tuple[FloatArray, FloatArray, float, int]:
    """Patch and filter (in/groups, kh, kw), bias, and the first of the input channels."""
    weight = call["weight"][position.channel]
    depth, *kernel = weight.shape
    outputs = len(call["weight"]) // int(call["groups"])
    first = position.channel // outputs * depth
    image = _array(call["input"][0, first : first + depth])
    bias = 0.0 if call["bias"] is None else float(call["bias"][position.channel])
    stride, padding, dilation = (pair(call[name]) for name in ("stride", "padding", "dilation"))
    indices = [
        at * stride[axis] - padding[axis] + np.arange(kernel[axis]) * dilation[axis]
        for axis, at in enumerate((position.row, position.col))
    ]
    return _patch(image, *indices), _array(weight), bias, first


def _patch(image: FloatArray, rows: Indices, cols: Indices) -> FloatArray:
    """image[:, rows, cols], zero where a row or column lies outside."""
    height, width = image.shape[1:]
    inside = np.outer((rows >= 0) & (rows < height), (cols >= 0) & (cols < width))
    picked = image[:, rows.clip(0, height - 1)][:, :, cols.clip(0, width - 1)]
    return np.where(inside, picked, np.float32(0))


def _array(tensor: Tensor) -> FloatArray:
    array: FloatArray = tensor.detach().float().cpu().contiguous().numpy()
    return array


def _field(reach: Reach | None, position: Position, size: tuple[int, int]) -> Box:
    if reach is None:
        return Box(0, 0, *size)
    (top, bottom), (left, right) = (
        (int(low), int(high)) if low < high else (0, 0)  # of padding alone: nothing
        for low, high in (reach.rows[position.row], reach.cols[position.col])
    )
    return Box(top, left, bottom, right)
