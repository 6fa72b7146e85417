"""Receptive fields: which pixels each position of a feature map depends on, operator by operator.

Each row and each column of a feature map has a span of rows or columns of the model's input. One
rule per kind of operation says how spans pass through it, edges and padding included, so that a
window is never larger than what the network really reads. An operation without a rule (attention,
upsampling, a linear layer) reads everything, as far as is known here.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

Spans = NDArray[np.int64]
"""(n, 2): first pixel, and the one after the last, for each of n rows or columns."""

# Starts above and ends below any pixel: a union with it changes nothing.
_NOTHING: Final = (1 << 40, -1)


@dataclass(frozen=True, slots=True, eq=False)
class Reach:
    """What the positions of a feature map (..., h, w) depend on.

    Attributes:
        rows: (h, 2) spans of the input's rows.
        cols: (w, 2) spans of the input's columns.
    """

    rows: Spans
    cols: Spans

    @property
    def shape(self) -> tuple[int, int]:
        """(h, w)."""
        return len(self.rows), len(self.cols)


@dataclass(frozen=True, slots=True)
class SlidingOperation:
    """One call of a torch operator.

    Attributes:
        given: its arguments by name, defaults filled in.
        reaches: of the tensors among them that depend on the picture, in order.
        shape: of its first output.
    """

    given: Mapping[str, Any]
    reaches: Sequence[Reach]
    shape: tuple[int, ...]


def whole(height: int, width: int, rows: int = 1, cols: int = 1) -> Reach:
    """Every position depends on all of a picture of that height and width."""
    return Reach(np.tile((0, height), (rows, 1)), np.tile((0, width), (cols, 1)))


def pixels(height: int, width: int) -> Reach:
    """The picture itself: each pixel depends on itself."""
    return Reach(*(np.stack([np.arange(n), np.arange(n) + 1], 1) for n in (height, width)))


def passed(function: torch._ops.OpOverload, operation: SlidingOperation) -> Reach | None:
    """The reach of an operator's output; None = it may be anything.

    Args:
        function: the operator.
        operation: how it was called; every tensor that depends on the picture has its reach.
    """
    rule = _RULES.get(function.overloadpacket)
    if rule is None and torch.Tag.pointwise in function.tags:
        rule = _united
    found = rule(operation) if rule else None
    return found if found is None or found.shape == operation.shape[-2:] else None


def _taken(spans: Spans, indices: NDArray[np.int64]) -> Spans:
    """spans[indices]; an index outside is padding, which depends on nothing."""
    inside = (indices >= 0) & (indices < len(spans))
    picked = spans[np.clip(indices, 0, len(spans) - 1)]
    return np.where(inside[..., None], picked, np.array(_NOTHING))


def _hull(spans: Spans) -> Spans:
    """(n, k, 2) -> (n, 2): from the first start to the last end."""
    return np.stack([spans[..., 0].min(-1), spans[..., 1].max(-1)], -1)


def _per_axis(reach: Reach, change: Callable[[Spans, int], Spans]) -> Reach:
    return Reach(change(reach.rows, 0), change(reach.cols, 1))


def _windows(
    operation: SlidingOperation, kernel: Sequence[int], stride: Any, padding: Any, dilation: Any
) -> Reach:
    """A filter or pooling window that steps over the map."""
    kernel, stride, padding, dilation = map(pair, (kernel, stride or kernel, padding, dilation))

    def change(spans: Spans, axis: int) -> Spans:
        starts = np.arange(operation.shape[axis - 2]) * stride[axis] - padding[axis]
        return _hull(_taken(spans, starts[:, None] + np.arange(kernel[axis]) * dilation[axis]))

    return _per_axis(operation.reaches[0], change)


def pair(value: Any) -> tuple[int, int]:
    """A measure along rows and columns, from one number, a list of one, or two."""
    values = (value,) if isinstance(value, int) else tuple(value)
    return values * 2 if len(values) == 1 else values


def _convolved(operation: SlidingOperation) -> Reach | None:
    given = operation.given
    if given["transposed"] or given["weight"].ndim != 4 or len(operation.reaches) > 1:
        return None
    kernel = given["weight"].shape[2:]
    return _windows(operation, kernel, given["stride"], given["padding"], given["dilation"])


def _pooled(operation: SlidingOperation) -> Reach:
    given = operation.given
    dilation = given.get("dilation", 1)
    return _windows(operation, given["kernel_size"], given["stride"], given["padding"], dilation)


def _adaptively_pooled(operation: SlidingOperation) -> Reach:
    def change(spans: Spans, axis: int) -> Spans:
        n, out = len(spans), operation.shape[axis - 2]
        bounds = [(i * n // out, -(-(i + 1) * n // out)) for i in range(out)]
        return np.concatenate([_hull(spans[None, low:high]) for low, high in bounds])

    return _per_axis(operation.reaches[0], change)


def _reduced(operation: SlidingOperation) -> Reach | None:
    """Mean, sum or maximum over axes that stay, of length 1."""
    given, tensor = operation.given, operation.given["self"]
    if not given["keepdim"] or given["dim"] is None:
        return None
    dims = [given["dim"]] if isinstance(given["dim"], int) else given["dim"]
    axes = {dim % tensor.ndim - tensor.ndim + 2 for dim in dims}
    return _per_axis(
        operation.reaches[0], lambda spans, axis: _hull(spans[None]) if axis in axes else spans
    )


def _padded(index: Callable[[NDArray[np.int64], int], NDArray[np.int64]]) -> "ReachRule":
    """A rule for padding; `index` says which of n rows stands at places below 0 or above n - 1."""

    def rule(operation: SlidingOperation) -> Reach | None:
        pad = [*operation.given.get("padding", operation.given.get("pad", ())), 0, 0][:4]

        def change(spans: Spans, axis: int) -> Spans:
            before, after = pad[2 - 2 * axis : 4 - 2 * axis]
            return _taken(spans, index(np.arange(-before, len(spans) + after), len(spans)))

        return _per_axis(operation.reaches[0], change)

    return rule


def _reflected(indices: NDArray[np.int64], n: int) -> NDArray[np.int64]:
    mirrored: NDArray[np.int64] = (n - 1) - np.abs((n - 1) - np.abs(indices))
    return mirrored


def _joined(operation: SlidingOperation) -> Reach | None:
    """Concatenation: along channels a union, along rows or columns one after the other."""
    tensors = operation.given["tensors"]
    axis = operation.given["dim"] % tensors[0].ndim - tensors[0].ndim + 2
    if axis < 0:
        return _united(operation)
    if len(tensors) != len(operation.reaches):
        return None
    first = operation.reaches[0]
    if axis == 0:
        return Reach(np.concatenate([each.rows for each in operation.reaches]), first.cols)
    return Reach(first.rows, np.concatenate([each.cols for each in operation.reaches]))


def _united(operation: SlidingOperation) -> Reach | None:
    """Position by position; a map of one row or column is read by all."""
    shape = operation.shape[-2:]

    def union(all_spans: list[Spans], n: int) -> Spans:
        wide = [np.broadcast_to(spans, (n, 2)) for spans in all_spans]
        return _hull(np.stack(wide, 1))

    sizes = {(len(r.rows) in (1, shape[0])) and len(r.cols) in (1, shape[1])
             for r in operation.reaches}  # fmt: skip
    if sizes != {True}:
        return None
    rows = union([each.rows for each in operation.reaches], shape[0])
    return Reach(rows, union([each.cols for each in operation.reaches], shape[1]))


def _same(operation: SlidingOperation) -> Reach | None:
    """Nothing but channels are mixed, chosen or reshaped, if the shape still fits."""
    return operation.reaches[0] if len(operation.reaches) == 1 else None


def _viewed(operation: SlidingOperation) -> Reach | None:
    """Row-major, so that rows and columns stay what they are if they keep their number."""
    return _same(operation) if len(operation.shape) >= 4 else None


def _transposed(operation: SlidingOperation) -> Reach | None:
    given, ndim = operation.given, operation.given["self"].ndim
    axes = {given["dim0"] % ndim, given["dim1"] % ndim}
    return _same(operation) if max(axes) < ndim - 2 else None


def _sliced(operation: SlidingOperation) -> Reach | None:
    given, ndim = operation.given, operation.given["self"].ndim
    cut = slice(given["start"], given["end"], given["step"])
    axis = given["dim"] % ndim - ndim + 2
    return _per_axis(
        operation.reaches[0], lambda spans, each: spans[cut] if each == axis else spans
    )


def _split(operation: SlidingOperation) -> Reach | None:
    ndim = operation.given["self"].ndim
    return _same(operation) if operation.given["dim"] % ndim < ndim - 2 else None


ReachRule = Callable[[SlidingOperation], Reach | None]

_aten = torch.ops.aten
_RULES: Final[Mapping[Any, ReachRule]] = {
    _aten.convolution: _convolved,
    _aten.max_pool2d_with_indices: _pooled,
    _aten.avg_pool2d: _pooled,
    _aten._adaptive_avg_pool2d: _adaptively_pooled,
    _aten.adaptive_max_pool2d: _adaptively_pooled,
    **dict.fromkeys((_aten.mean, _aten.sum, _aten.amax), _reduced),
    _aten.constant_pad_nd: _padded(lambda indices, _n: indices),
    _aten.replication_pad2d: _padded(lambda indices, n: np.clip(indices, 0, n - 1)),
    _aten.reflection_pad2d: _padded(_reflected),
    _aten.cat: _joined,
    **dict.fromkeys((_aten.hardswish, _aten.hardswish_), _united),
    **dict.fromkeys((_aten.threshold, _aten.threshold_, _aten._prelu_kernel), _united),
    **dict.fromkeys((_aten.native_batch_norm, _aten.cudnn_batch_norm), _same),
    _aten._native_batch_norm_legit_no_training: _same,
    **dict.fromkeys((_aten.miopen_batch_norm, _aten.channel_shuffle), _same),
    **dict.fromkeys((_aten._to_copy, _aten.alias, _aten.detach), _same),
    **dict.fromkeys((_aten.view, _aten._unsafe_view), _viewed),
    _aten.transpose: _transposed,
    _aten.slice: _sliced,
    **dict.fromkeys((_aten.split, _aten.split_with_sizes), _split),
}
