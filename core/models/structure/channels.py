"""How the channel axis passes through torch's operators, one rule per kind of operator.

One rule per kind of operator. Axes are counted from the end (see `core.models.structure.axes`).
"""

import itertools
import math
import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import torch

_aten = torch.ops.aten

PRODUCTS: Final = frozenset({_aten.convolution, _aten.mm, _aten.addmm, _aten.bmm, _aten.baddbmm,
                             _aten.linear})  # fmt: skip
"""Operators that multiply an activation with weights."""

POOLINGS: Final = frozenset({
    _aten.max_pool2d_with_indices, _aten.avg_pool2d, _aten._adaptive_avg_pool2d,
    _aten.adaptive_max_pool2d, _aten.max_pool2d,
})  # fmt: skip

RESHAPES: Final = frozenset({_aten.view, _aten._unsafe_view, _aten._reshape_alias, _aten.clone,
                             _aten.alias, _aten.squeeze, _aten.unsqueeze})  # fmt: skip
"""Operators that leave all values as they are, in their order."""


@dataclass(frozen=True, slots=True)
class FunctionCall:
    """One call of an operator.

    Attributes:
        given: its arguments by name, defaults filled in.
        shapes: of the tensors among them that depend on the picture, in order.
        channels: of each of those; None = not known.
        shape: of one of its outputs.
    """

    given: Mapping[str, Any]
    shapes: Sequence[tuple[int, ...]]
    channels: Sequence[int | None]
    shape: tuple[int, ...]


def passed(function: Any, call: FunctionCall) -> int | None:
    """The channel axis of what an operator puts out; None = not known."""
    rule = _RULES.get(function)
    found = rule(call) if rule else _same(call)
    return found if found is not None and -len(call.shape) <= found < 0 else None


def wanted(function: Any, call: FunctionCall) -> int | None:
    """The channel axis that an operator takes its first input to have; None = any."""
    if function is _aten.native_layer_norm:
        return -1 if len(call.given["normalized_shape"]) == 1 else None
    rule = _RULES.get(function)
    return 1 - len(call.shapes[0]) if rule in (_first, _mapped) else None


def _same(call: FunctionCall) -> int | None:
    """Of the first input that has as many axes and as many channels."""
    for shape, channels in zip(call.shapes, call.channels, strict=True):
        if channels is None or len(shape) != len(call.shape):
            continue
        if shape[channels] == call.shape[channels]:
            return channels
    return None


def _kept(call: FunctionCall) -> int | None:
    """Of the first input that has as many axes, whatever became of their lengths."""
    for shape, channels in zip(call.shapes, call.channels, strict=True):
        if channels is not None and len(shape) == len(call.shape):
            return channels
    return None


def _first(call: FunctionCall) -> int | None:
    """Convolutions and batch norms: behind the batch axis."""
    return 1 - len(call.shape)


def _mapped(call: FunctionCall) -> int | None:
    """Pooling and resizing of maps: before rows and columns."""
    return -3 if len(call.shape) == 4 else _kept(call)


def _last(call: FunctionCall) -> int | None:
    """Products with weights: what they mix along the last axis is channels, unless others are."""
    return call.channels[0] if call.channels[0] is not None else -1


def _normalized(call: FunctionCall) -> int | None:
    return -1 if len(call.given["normalized_shape"]) == 1 else _kept(call)


def _multiplied(call: FunctionCall) -> int | None:
    """A batch of products: of activations with weights, not of activations with one another."""
    return _last(call) if len(call.shapes) == 1 else None


def _permuted(call: FunctionCall) -> int | None:
    (channels,) = call.channels
    if channels is None:
        return None
    ndim = len(call.shapes[0])
    order = [axis % ndim for axis in call.given["dims"]]
    return order.index(channels % ndim) - ndim


def _transposed(call: FunctionCall) -> int | None:
    (channels,) = call.channels
    if channels is None:
        return None
    ndim = len(call.shapes[0])
    one, other = (int(call.given.get(name, at)) % ndim for at, name in enumerate(("dim0", "dim1")))
    at = channels % ndim
    return {one: other, other: one}.get(at, at) - ndim


def _viewed(call: FunctionCall) -> int | None:
    """An axis stays if all before and all behind it are as many values as before.

    An axis that holds the channels and more counts as theirs: a flattened map, or the four
    neighbors that Swin puts side by side.
    """
    (channels,), (shape,) = call.channels, call.shapes
    if channels is None:
        return None
    at = channels % len(shape)
    low = math.prod(shape[:at])
    high = low * shape[at]
    ends = [1, *itertools.accumulate(call.shape, operator.mul)]
    axes = list(enumerate(itertools.pairwise(ends)))[1:]  # the batch axis holds no channels
    exact = [axis for axis, ends in axes if ends == (low, high)]
    around = [axis for axis, (start, end) in axes if start <= low and high <= end and low < high]
    return next(iter(exact + around), len(call.shape)) - len(call.shape) or None


def _without(call: FunctionCall, axes: Sequence[int]) -> int | None:
    """The axis of the channels once others are gone."""
    channels = call.channels[0]
    ndim = len(call.shapes[0])
    gone = {axis % ndim for axis in axes}
    if channels is None or channels % ndim in gone:
        return None
    return channels + sum(axis > channels % ndim for axis in gone)


def _reduced(call: FunctionCall) -> int | None:
    dims = call.given.get("dim")
    if dims is None:
        return _same(call)  # the larger of two, perhaps
    if len(call.shape) == len(call.shapes[0]):  # keepdim
        return _same(call)
    return _without(call, [dims] if isinstance(dims, int) else dims)


def _squeezed(call: FunctionCall) -> int | None:
    shape, dims = call.shapes[0], call.given.get("dim")
    if dims is None:
        dims = range(len(shape))
    dims = [dims] if isinstance(dims, int) else dims
    return _without(call, [axis for axis in dims if shape[axis] == 1])


def _unsqueezed(call: FunctionCall) -> int | None:
    channels, ndim = call.channels[0], len(call.shape)
    if channels is None:
        return None
    return channels - 1 if call.given["dim"] % ndim > channels % (ndim - 1) else channels


ChannelRule = Callable[[FunctionCall], int | None]

_RULES: Final[Mapping[Any, ChannelRule]] = {
    _aten.convolution: _first,
    _aten.native_batch_norm: _first,
    _aten.cudnn_batch_norm: _first,
    _aten.miopen_batch_norm: _first,
    _aten._native_batch_norm_legit_no_training: _first,
    _aten.native_group_norm: _first,
    **dict.fromkeys(POOLINGS, _mapped),
    **dict.fromkeys((_aten.upsample_nearest2d, _aten.upsample_bilinear2d), _mapped),
    **dict.fromkeys((_aten.upsample_bicubic2d, _aten._upsample_bilinear2d_aa), _mapped),
    **dict.fromkeys((_aten.pixel_shuffle, _aten.pixel_unshuffle), _mapped),
    **dict.fromkeys((_aten.mm, _aten.addmm, _aten.linear), _last),
    **dict.fromkeys((_aten.bmm, _aten.baddbmm), _multiplied),
    _aten.native_layer_norm: _normalized,
    _aten.permute: _permuted,
    **dict.fromkeys((_aten.transpose, _aten.t), _transposed),
    **dict.fromkeys((_aten.view, _aten._unsafe_view, _aten._reshape_alias), _viewed),
    **dict.fromkeys((_aten.mean, _aten.sum, _aten.amax, _aten.amin, _aten.max), _reduced),
    **dict.fromkeys((_aten.squeeze, _aten.squeeze_), _squeezed),
    _aten.unsqueeze: _unsqueezed,
    **dict.fromkeys((_aten.select, _aten.unbind),
                    lambda call: _without(call, [call.given["dim"]])),
    **dict.fromkeys((_aten.cat, _aten.slice, _aten.split, _aten.split_with_sizes), _kept),
    **dict.fromkeys((_aten.constant_pad_nd, _aten.expand, _aten.index, _aten.roll), _kept),
}  # fmt: skip
