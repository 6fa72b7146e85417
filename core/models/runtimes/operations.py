"""Nodes of a converted network as operations that torch runs on windows of feature maps."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import openvino
import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 - torch's own name for it

from core.types import Size

# What it costs to write one value of a map, in multiply-adds: early layers wait for memory.
_WRITE = 20


@dataclass(frozen=True, slots=True)
class Stencil:
    """Which cells of its input one output cell sees, along one axis.

    Attributes:
        extent: how many cells, dilation included.
        stride: cells of the input from one output cell to the next.
        before: cells of padding before the first.
        after: cells of padding behind the last.
    """

    extent: int
    stride: int
    before: int
    after: int


@dataclass(frozen=True, slots=True)
class Operation:
    """One step of a network.

    Attributes:
        name: the output's name in the graph.
        inputs: names of what it takes.
        size: (height, width) of its output map.
        channels: of its output map.
        work: on a whole map; see `work`.
        run: (N, C, h, w) tensors to one; where it has stencils, without any padding.
        stencils: along height and width; None = it works cell by cell.
        padding_value: what lies outside the map.
    """

    name: str
    inputs: tuple[str, ...]
    size: Size
    channels: int
    work: float
    run: Callable[..., Tensor]
    stencils: tuple[Stencil, Stencil] | None = None
    padding_value: float = 0.0


class Unsupported(Exception):
    """The graph goes on with something that cannot run on a part of a map."""


def operation(node: openvino.Node) -> Operation:
    """A node as an operation.

    Raises:
        Unsupported: it is none of those that can run on a part of a map.
    """
    make = _MAKERS.get(node.get_type_name())
    shape = node.get_output_partial_shape(0)
    if make is None or shape.rank.is_dynamic or len(shape) != 4:
        raise Unsupported(node.get_type_name())
    _, *cells = shape
    if any(side.is_dynamic for side in cells):
        raise Unsupported("a map whose size is not known")
    channels, height, width = (side.get_length() for side in cells)
    run, local = make(node)
    return Operation(
        node.get_friendly_name(),
        tuple(each.get_friendly_name() for each in _sources(node) if not is_constant(each)),
        (height, width),
        channels,
        work(node),
        run,
        *local,
    )


_Made = tuple[Callable[..., Tensor], tuple[Any, ...]]
"""How to run it, and (stencils, padding value) or nothing."""


def _convolution(node: openvino.Node) -> _Made:
    attributes = node.get_attributes()
    weight = _constant(node, 1)
    groups = 1
    if node.get_type_name() == "GroupConvolution":  # (groups, out, in, kh, kw)
        groups = len(weight)
        weight = weight.reshape(-1, *weight.shape[2:])
    kernel = torch.from_numpy(weight).contiguous(memory_format=torch.channels_last)
    stride, dilation = attributes["strides"], attributes["dilations"]
    run = partial(_convolve, kernel, list(stride), list(dilation), groups)
    stencils = _stencils(weight.shape[2:], attributes, dilation)
    return run, () if set(stencils) == {Stencil(1, 1, 0, 0)} else (stencils, 0.0)


def _convolve(
    kernel: Tensor, stride: list[int], dilation: list[int], groups: int, rows: Tensor
) -> Tensor:
    return F.conv2d(rows, kernel, None, stride, 0, dilation, groups)


def _max_pool(node: openvino.Node) -> _Made:
    attributes = node.get_attributes()
    dilation = attributes.get("dilations", (1, 1))
    if any(reader_count for reader_count in map(len, targets(node)[1:])):
        raise Unsupported("a pooling whose indices are read")
    kernel, stride = list(attributes["kernel"]), list(attributes["strides"])
    run = partial(F.max_pool2d, kernel_size=kernel, stride=stride, dilation=list(dilation))
    return run, (_stencils(kernel, attributes, dilation), -math.inf)


def _average_pool(node: openvino.Node) -> _Made:
    attributes = node.get_attributes()
    padded = any(attributes["pads_begin"]) or any(attributes["pads_end"])
    if padded and attributes["exclude-pad"]:
        raise Unsupported("an average that leaves padding out")
    if "ceil" in str(attributes["rounding_type"]):
        raise Unsupported("an average that leaves cells beyond the map out")
    kernel, stride = list(attributes["kernel"]), list(attributes["strides"])
    run = partial(F.avg_pool2d, kernel_size=kernel, stride=stride)
    return run, (_stencils(kernel, attributes, (1, 1)), 0.0)


def _pad(node: openvino.Node) -> _Made:
    if node.get_attributes()["pad_mode"] != "constant":
        raise Unsupported("padding that is not constant")
    begin, end = (_constant(node, index).tolist() for index in (1, 2))
    if any(begin[:2]) or any(end[:2]) or min(*begin, *end) < 0:
        raise Unsupported("padding of channels, or cropping")
    value = float(_constant(node, 3)) if node.get_input_size() > 3 else 0.0
    stencils = tuple(Stencil(1, 1, *each) for each in zip(begin[2:], end[2:], strict=True))
    return torch.clone, (stencils, value)


def _clamp(node: openvino.Node) -> _Made:
    attributes = node.get_attributes()
    return partial(torch.clamp, min=attributes["min"], max=attributes["max"]), ()


def _unary(function: Callable[[Tensor], Tensor], node: openvino.Node) -> _Made:
    if node.get_input_size() != 1:
        raise Unsupported("a parameter of an activation function")
    return function, ()


def _binary(function: Callable[[Tensor, Tensor], Tensor], node: openvino.Node) -> _Made:
    constants = [index for index, each in enumerate(_sources(node)) if is_constant(each)]
    if not constants:
        shapes = {str(each.get_partial_shape()) for each in node.inputs()}
        if len(shapes) > 1:
            raise Unsupported("maps of different shapes")
        return function, ()
    value = _constant(node, constants[0])
    if value.ndim not in (0, 4) or any(side > 1 for side in value.shape[2:]):
        raise Unsupported("a constant that differs from cell to cell")
    return partial(_swapped, function, torch.from_numpy(value)), ()


def _swapped(function: Callable[[Tensor, Tensor], Tensor], value: Tensor, rows: Tensor) -> Tensor:
    return function(rows, value)


def _concat(node: openvino.Node) -> _Made:
    if node.get_attributes()["axis"] != 1 or any(map(is_constant, _sources(node))):
        raise Unsupported("a concatenation of anything but channels")
    return lambda *maps: torch.cat(maps, 1), ()


_MAKERS: dict[str, Callable[[openvino.Node], _Made]] = {
    "Convolution": _convolution,
    "GroupConvolution": _convolution,
    "MaxPool": _max_pool,
    "AvgPool": _average_pool,
    "Pad": _pad,
    "Clamp": _clamp,
    "Concat": _concat,
    "Add": partial(_binary, torch.add),
    "Multiply": partial(_binary, torch.mul),
    "Relu": partial(_unary, torch.relu),
    "Sigmoid": partial(_unary, torch.sigmoid),
    "Tanh": partial(_unary, torch.tanh),
    "Swish": partial(_unary, F.silu),
    "HSwish": partial(_unary, F.hardswish),
    "HSigmoid": partial(_unary, F.hardsigmoid),
}


def _stencils(
    kernel: Sequence[int], attributes: dict[str, Any], dilation: Sequence[int]
) -> tuple[Stencil, ...]:
    if attributes["auto_pad"] not in ("explicit", "notset", "valid"):
        raise Unsupported("padding that depends on the size")
    return tuple(
        Stencil((size - 1) * spread + 1, stride, before, after)
        for size, spread, stride, before, after in zip(
            kernel,
            dilation,
            attributes["strides"],
            attributes["pads_begin"],
            attributes["pads_end"],
            strict=True,
        )
    )


def _sources(node: openvino.Node) -> Iterator[openvino.Node]:
    return (each.get_source_output().get_node() for each in node.inputs())


def is_constant(node: openvino.Node) -> bool:
    """Whether it is a constant."""
    return bool(node.get_type_name() == "Constant")


def _constant(node: openvino.Node, index: int) -> np.ndarray[Any, np.dtype[Any]]:
    source = node.input(index).get_source_output().get_node()
    if not is_constant(source):
        raise Unsupported("weights that are not constant")
    return np.array(source.data)


def work(node: openvino.Node) -> float:
    """Multiply-adds of a layer with weights, and what it costs to write its output; else 0."""
    if node.get_type_name() not in ("Convolution", "GroupConvolution", "MatMul"):
        return 0.0
    weight = node.input(1).get_source_output().get_partial_shape()
    if weight.is_dynamic:
        return 0.0
    out = [side.get_length() if side.is_static else 1 for side in node.get_output_partial_shape(0)]
    cells = math.prod(out[1:-1]) if node.get_type_name() == "MatMul" else math.prod(out[2:])
    weights = math.prod(int(side) for side in weight.to_shape())
    return float(cells * weights + _WRITE * math.prod(out))


def targets(node: openvino.Node) -> list[Any]:
    """Who reads each of its outputs."""
    return [output.get_target_inputs() for output in node.outputs()]
