"""Find the port of the features and the last feature maps, by watching one forward."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from core.models.structure.axes import Axes, axes_of
from core.models.structure.channels import POOLINGS, PRODUCTS, RESHAPES
from core.models.structure.flow import Flow, ModuleRun, Node, watch
from core.models.structure.ports import PRODUCT_FUNCTIONS, Operand, Port, flat_arguments
from core.models.structure.tokens import grid_tokens
from core.types import Size

_aten = torch.ops.aten
# What comes between maps and the feature vector that is their average.
_AVERAGES: Final = {_aten.mean, _aten._adaptive_avg_pool2d, _aten.avg_pool2d}

Ports = tuple[Port, ...]
"""Branches of a network, whose channels stand side by side; mostly there is but one."""


@dataclass(frozen=True, slots=True, eq=False)
class Anatomy:
    """What is where in a network.

    Attributes:
        features: what is multiplied with weights to give the logits.
        features_axes: its axes.
        maps: all that the logits depend on passes through each of these, and each has feature
            maps, or tokens in a grid; nearest to the logits first.
        axes: of what enters and leaves each layer that runs.
    """

    features: Port | Operand
    features_axes: Axes
    maps: tuple[Ports, ...]
    axes: Mapping[Port, Axes]


def anatomy(
    module: nn.Module, rows: Tensor, batch: Mapping[Port, int] | None = None
) -> Anatomy | None:
    """Watch one forward; None where the logits come of no product that could be followed.

    Args:
        module: in eval mode; left as it is.
        rows: (B, C, H, W) float32, where the module is; they may be changed in place.
        batch: which axis the pictures are, at each port that has one; None = the first, at all.
    """
    flow = watch(module, rows.clone())
    product = flow.output and _product(flow.output)
    if not flow.output or not product:
        return None
    grids = grid_tokens(flow.joins, _grids(flow))
    features = _features(flow, product) or _operand(module, rows, product)
    if features is None:
        return None
    axes = {
        port: axes_of(node.shape, node.channels, grids, 0 if batch is None else batch[port])
        for run in flow.runs
        for port, node in (
            (Port(run.name, "input"), run.input),
            (Port(run.name, "output"), run.output),
        )
        if run.final and run.name and node is not None and (batch is None or port in batch)
    }
    operand = product.inputs[0]
    features_axes = axes.get(features) if isinstance(features, Port) else None
    features_axes = features_axes or axes_of(operand.shape, operand.channels, grids)
    return Anatomy(features, features_axes, tuple(_maps(flow, product, axes)), axes)


# ---- features ----


def _product(output: Node) -> Node | None:
    """The product that the logits come of past the fewest operators, before any other.

    Activations multiplied with one another, as in attention, are none.
    """
    met, level = {output}, [output]
    while level:
        for node in level:
            if node.function is _aten.convolution:
                return node
            if node.function in PRODUCTS and len(node.inputs) == 1:
                return node
        behind = dict.fromkeys(each for node in level for each in node.inputs)
        level = [each for each in behind if each not in met]
        met.update(level)
    return None


def _features(flow: Flow, product: Node) -> Port | None:
    """The port of a layer where the product's operand is, or what it is the average of."""
    owner, operand = product.owner, product.inputs[0]
    if owner and owner.name and owner.final and not _runs_others(flow, owner, product):
        return Port(owner.name, "input")
    node, width = operand, operand.shape[-1]
    while node.function in RESHAPES | _AVERAGES and len(node.inputs) == 1:
        port = _port(flow, node)
        if port and node.channels is not None and node.shape[node.channels] == width:
            return port
        (node,) = node.inputs
    port = _port(flow, node)
    averaged = node.channels is not None and node.shape[node.channels] == width
    whole = node is operand or any(each.function in _AVERAGES for each in _between(operand, node))
    return port if port and averaged and (whole or len(node.shape) == 2) else None


def _between(node: Node, end: Node) -> Iterator[Node]:
    while node is not end:
        yield node
        (node,) = node.inputs


def _runs_others(flow: Flow, owner: ModuleRun, product: Node) -> bool:
    """Whether a module does more than this product: runs layers, or other products before it."""
    inside = owner.name + "."
    if any(run.name.startswith(inside) and run.output for run in flow.runs):
        return True
    before = [each for each in _ancestors(product.inputs[0]) if each.number >= owner.first]
    return any(each.function in PRODUCTS for each in before)


def _operand(module: nn.Module, rows: Tensor, product: Node) -> Operand | None:
    """The call that makes the product, where no layer does."""
    calls: list[tuple[range, int | None]] = []
    watch(module, rows.clone(), lambda recorder: _ProductCalls(recorder, calls))
    name = product.owner.name if product.owner and product.owner.name else type(module).__name__
    for number, (nodes, argument) in enumerate(calls):
        if product.number in nodes and argument is not None:
            return Operand(name, number, argument)
    return None


class _ProductCalls(TorchFunctionMode):
    """Notes which activations each call of a product's function makes, and of what argument."""

    def __init__(self, recorder: Any, calls: list[tuple[range, int | None]]) -> None:
        super().__init__()
        self._recorder = recorder
        self._calls = calls

    def __torch_function__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        before = self._recorder.count
        out = func(*args, **(kwargs or {}))
        if func in PRODUCT_FUNCTIONS:
            nodes = map(self._recorder.first_node, flat_arguments(args, kwargs))
            argument = next((index for index, node in enumerate(nodes) if node), None)
            self._calls.append((range(before, self._recorder.count), argument))
        return out


# ---- feature maps ----


def _maps(flow: Flow, product: Node, axes: Mapping[Port, Axes]) -> Iterator[Ports]:
    """Ports of all that the logits depend on, before the product and any pooling of it."""
    assert flow.output is not None
    for node in _dominators(flow.output):
        if node.number >= product.number or not node.learned or node.function in POOLINGS:
            continue
        ports = _ports(flow, node)
        if ports and all(port in axes and _is_map(axes[port]) for port in ports):
            yield ports


def _is_map(axes: Axes) -> bool:
    return axes.grid is not None and min(axes.grid) > 1


def _ports(flow: Flow, node: Node) -> Ports:
    """Where a node is found: at a layer, at each of its branches, or before its activation."""
    port = _port(flow, node)
    if port:
        return (port,)
    if node.function is _aten.cat and len(node.inputs) > 1:
        ports = tuple(_port(flow, each) for each in node.inputs)
        return tuple(port for port in ports if port) if all(ports) else ()
    plain = node.function not in PRODUCTS | POOLINGS | RESHAPES and len(node.inputs) == 1
    if plain and node.shape == node.inputs[0].shape:
        port = _port(flow, node.inputs[0])
    return (port,) if port else ()


def _port(flow: Flow, node: Node) -> Port | None:
    """The outermost layer that puts it out, else the outermost that takes it."""
    runs = [run for run in flow.runs if run.name and run.final]
    for at in ("output", "input"):
        found = [run for run in runs if getattr(run, at) is node]
        if found:
            outermost = max(found, key=lambda run: (run.last - run.first, -len(run.name)))
            return Port(outermost.name, "output" if at == "output" else "input")
    return None


def _dominators(output: Node) -> list[Node]:
    """What every way from the picture to a node passes through, nearest to the node first.

    Source: Cooper, Harvey and Kennedy 2001, "A simple, fast dominance algorithm".
    """
    parent: dict[Node, Node | None] = {}
    for node in sorted(_ancestors(output), key=lambda each: each.number):
        common: Node | None = node.inputs[0] if node.inputs else None
        for other in node.inputs[1:]:
            met: Node | None = other
            while common is not met and common and met:
                if common.number > met.number:
                    common = parent[common]
                else:
                    met = parent[met]
        parent[node] = common
    found = []
    above: Node | None = output
    while above is not None:
        found.append(above)
        above = parent[above]
    return found


def _ancestors(node: Node) -> set[Node]:
    """All it depends on, and itself."""
    met, waiting = {node}, [node]
    while waiting:
        new = [each for each in waiting.pop().inputs if each not in met]
        met.update(new)
        waiting.extend(new)
    return met


def _grids(flow: Flow) -> Sequence[Size]:
    """Sizes of feature maps, the last first."""
    nodes = [node for run in flow.runs for node in (run.input, run.output) if node]
    found = [axes_of(node.shape, node.channels).grid for node in nodes if len(node.shape) == 4
             and node.channels is not None]  # fmt: skip
    return list(dict.fromkeys(grid for grid in reversed(found) if grid and min(grid) > 1))
