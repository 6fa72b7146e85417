"""One forward as a graph: which operator fed which, and where the layers begin and end."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass, field
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode

from core.models.structure.channels import PRODUCTS, RESHAPES, FunctionCall, passed, wanted
from core.models.structure.layers import StorageView, removed, storage_of, tensors_in, view_of
from core.models.structure.tokens import Join, joins

_LAYER_NORM: Final = torch.ops.aten.native_layer_norm


@dataclass(slots=True, eq=False)
class ModuleRun:
    """One run of one module.

    Attributes:
        name: dotted; empty for the network itself.
        input: what its first tensor was; None = nothing that depends on the picture.
        output: the same of what it put out.
        first: number of the first operator in it.
        last: number behind its last operator.
        final: whether the module ran no more after it.
    """

    name: str
    module: nn.Module
    input: "Node | None" = None
    output: "Node | None" = None
    first: int = 0
    last: int = 0
    final: bool = True


@dataclass(slots=True, eq=False, kw_only=True)
class Node:
    """An activation: what one operator put out, and depends on the picture.

    Attributes:
        number: in the order of execution.
        function: the operator; None for the picture, and for a part of what was written in place.
        inputs: the activations among its arguments.
        shape: with the batch axis.
        channels: which axis has the channels, counted from the end; None = not known.
        owner: the innermost module that ran it.
        learned: whether weights had a part in it.
        mixed: for rows (B T, n): the activation (B, T, m) whose last axis, which is not that of its
            channels, was multiplied with weights: tokens were mixed, and not channels.
    """

    number: int
    function: Any
    inputs: tuple["Node", ...]
    shape: tuple[int, ...]
    channels: int | None
    owner: ModuleRun | None
    learned: bool
    mixed: "Node | None" = None


@dataclass(slots=True, eq=False)
class Flow:
    """One forward.

    Attributes:
        runs: of all modules, in the order in which they ended.
        output: what the network put out; None where that does not depend on the picture.
        joins: what became of the lengths of its sequences, in order.
    """

    runs: list[ModuleRun] = field(default_factory=list)
    output: Node | None = None
    joins: list[Join] = field(default_factory=list)


def watch(
    module: nn.Module,
    rows: Tensor,
    within: Callable[["FlowRecorder"], AbstractContextManager[Any]] = nullcontext,
) -> Flow:
    """Run the network once and note what feeds what.

    Args:
        module: in eval mode; no hook remains on it, also after an error.
        rows: (B, C, H, W) float32, where the module is; it may be changed in place.
        within: another context to run it in, which is given the recorder.
    """
    flow = Flow()
    recorder = FlowRecorder(rows)
    running: list[ModuleRun] = []

    def enters(name: str) -> Any:
        def enter(module: nn.Module, args: Any, kwargs: Any) -> None:
            running.append(ModuleRun(name, module, recorder.first_node((args, kwargs))))
            running[-1].first = recorder.count
            recorder.owner = running[-1]

        return enter

    def leave(_module: nn.Module, _args: Any, output: Any) -> None:
        run = running.pop()
        run.output, run.last = recorder.first_node(output), recorder.count
        recorder.owner = running[-1] if running else None
        flow.runs.append(run)

    with torch.no_grad(), ExitStack() as hooks:
        for name, each in module.named_modules():
            hooks.enter_context(
                removed(each.register_forward_pre_hook(enters(name), with_kwargs=True))
            )
            hooks.enter_context(removed(each.register_forward_hook(leave)))
        with recorder, within(recorder):
            flow.output = recorder.first_node(module(rows))
    flow.joins = recorder.joins
    latest = {run.name: run for run in flow.runs}
    for run in flow.runs:
        run.final = latest[run.name] is run
    return flow


class FlowRecorder(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Books the outputs of every operator that depend on the picture.

    Kept per view of a storage: shape, strides and offset. What is written in place changes all
    views of its storage.
    """

    def __init__(self, rows: Tensor) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.count = 0
        self.joins: list[Join] = []
        self.owner: ModuleRun | None = None
        self._views: dict[int, dict[StorageView, Node]] = {}
        self._newest: dict[int, Node] = {}
        # While a storage is referred to, even weakly, no other has its address.
        self._storages: dict[int, StorageWeakRef] = {}
        self._book(rows, None, (), 1 - rows.ndim)

    def __torch_dispatch__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Run the operator, then book what it put out."""
        kwargs = kwargs or {}
        tensors = list(tensors_in((args, kwargs)))
        nodes = [self._node(each) for each in tensors]
        inputs = tuple(filter(None, nodes))
        out = func(*args, **kwargs)
        if not inputs:
            return out
        arguments = func._schema.arguments
        given = {each.name: kwargs.get(each.name, each.default_value) for each in arguments}
        given |= {each.name: value for each, value in zip(arguments, args, strict=False)}
        function = func.overloadpacket
        shapes = [each.shape for each in inputs]
        channels = {number: node.channels for number, node in enumerate(nodes) if node}
        self.joins += joins(function, given, [tuple(each.shape) for each in tensors], channels)
        self._want(function, inputs, FunctionCall(given, shapes, (), ()))
        for tensor in tensors_in(out):
            call = FunctionCall(
                given, shapes, [each.channels for each in inputs], tuple(tensor.shape)
            )
            if func._schema.is_mutable:
                self._views.pop(storage_of(tensor), None)
                self._newest.pop(storage_of(tensor), None)
            mixed = _mixed(function, inputs[0], call.shape)
            channels_axis = passed(function, call)
            if mixed is not None:
                whole = call.shape[:-1] == mixed.shape[:-1]
                channels_axis = mixed.channels if whole else None
                mixed = None if whole else mixed
            self._book(tensor, function, inputs, channels_axis).mixed = mixed
        return out

    def first_node(self, value: Any) -> Node | None:
        """Of the first tensor in it that depends on the picture."""
        return next(filter(None, map(self._node, tensors_in(value))), None)

    def _book(
        self, tensor: Tensor, function: Any, inputs: tuple[Node, ...], channels: int | None
    ) -> Node:
        learned = function in PRODUCTS or any(each.learned for each in inputs)
        shape = tuple(tensor.shape)
        node = Node(
            number=self.count,
            function=function,
            inputs=inputs,
            shape=shape,
            channels=channels,
            owner=self.owner,
            learned=learned,
        )
        self.count += 1
        key = storage_of(tensor)
        self._storages.setdefault(key, StorageWeakRef(tensor.untyped_storage()))  # type: ignore[no-untyped-call]
        self._views.setdefault(key, {})[view_of(tensor)] = node
        self._newest.setdefault(key, node)
        return node

    def _node(self, tensor: Tensor) -> Node | None:
        key = storage_of(tensor)
        found = self._views.get(key, {}).get(view_of(tensor))
        if found is None and (newest := self._newest.get(key)) is not None:
            found = self._book(tensor, None, (newest,), None)
        return found

    def _want(self, function: Any, inputs: tuple[Node, ...], call: FunctionCall) -> None:
        """What takes an activation says where its channels are, if nothing else does."""
        first, channels = inputs[0], wanted(function, call)
        sure = function is _LAYER_NORM  # its weights are by channel
        if channels is not None and (first.channels is None or sure):
            first.channels = channels
        if function in PRODUCTS and len(first.shape) == 2:
            _want_last(first)


def _mixed(function: Any, first: Node, shape: tuple[int, ...]) -> Node | None:
    """What an operator's output, rows or the whole again, is the mixed tokens of."""
    if function not in PRODUCTS:
        return first.mixed if function in RESHAPES or shape == first.shape else None
    rows = first
    while len(rows.shape) == 2 and rows.function in RESHAPES and rows.inputs:
        (rows,) = rows.inputs
    tokens = len(first.shape) == 2 < len(rows.shape) and rows.shape[-1] == first.shape[-1]
    return rows if tokens and rows.channels not in (None, -1) else None


def _want_last(rows: Node) -> None:
    """Where (B, h, w, C) became the rows (B h w, C) of a product, the channels were last."""
    while rows.inputs and rows.function in RESHAPES:
        (before,) = rows.inputs
        if before.shape[-1] != rows.shape[-1] or before.channels not in (None, -1):
            return
        before.channels = -1
        rows = before
