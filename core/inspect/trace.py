"""One forward traced operator by operator: which module runs what, fed by whom.

Which of the runs are worth showing says `core.inspect.table`.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from core.inspect.reach import Reach, SlidingOperation, passed, pixels
from core.models.structure.layers import StorageView, removed, storage_of, tensors_in, view_of

INPUT: Final = "input"
"""What the picture is called among the sources of a layer."""


@dataclass(slots=True, eq=False)
class LayerRun:
    """One run of one module.

    Attributes:
        name: dotted; empty for the network itself.
        input_shape: of its first tensor, with its batch axis; () if it took none.
        output_shape: of its first tensor, with its batch axis; () if it gave none.
        macs: multiply-adds of operators that ran in this module and in no module inside it.
        follows: names of the leaves whose output reached it past no other leaf.
        reach: what its output's positions depend on; None = perhaps everything.
        leaf: whether it ran no other module.
    """

    name: str
    module: nn.Module
    input_shape: tuple[int, ...] = ()
    output_shape: tuple[int, ...] = ()
    macs: int = 0
    follows: tuple[str, ...] = ()
    reach: Reach | None = None
    leaf: bool = True


def trace(module: nn.Module, example: Tensor) -> list[LayerRun]:
    """Every run of every module in one forward, in the order in which they ended.

    Fused attention is taken apart for this one forward, so that its products are counted on every
    device and by every kernel alike.

    Args:
        module: in eval mode; no hook remains on it, also after an error.
        example: (1, C, H, W) float32, where the module is.
    """
    tracer = _Tracer(example)
    with torch.no_grad(), _attention_taken_apart(), ExitStack() as hooks:
        for name, each in module.named_modules():
            watcher = _Watcher(name, tracer)
            enter = each.register_forward_pre_hook(watcher.enters, with_kwargs=True)
            hooks.enter_context(removed(enter))
            hooks.enter_context(removed(each.register_forward_hook(watcher.leaves)))
        with tracer:
            module(example)
    return tracer.ended


@contextmanager
def _attention_taken_apart() -> Iterator[None]:
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with sdpa_kernel(SDPBackend.MATH):
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)


class _Tracer(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Books every operator: its multiply-adds, and what its outputs come from.

    Sources are kept per storage, because views share it and writing in place changes all of them.
    A reach is kept per view of a storage: shape, strides and offset.
    """

    def __init__(self, example: Tensor) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.ended: list[LayerRun] = []
        self.running: list[LayerRun] = []
        # The storages are kept alive, so that no later one has the address of an earlier one.
        self._storages: dict[int, Any] = {}
        self._sources: dict[int, dict[str, None]] = {}
        self._reaches: dict[int, dict[StorageView, Reach]] = {}
        self.book(example, {INPUT: None}, pixels(example.shape[-2], example.shape[-1]))

    def __torch_dispatch__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Run the operator, then book it."""
        kwargs = kwargs or {}
        out = func(*args, **kwargs)
        if count := flop_registry.get(func.overloadpacket):
            self.running[-1].macs += int(count(*args, **kwargs, out_val=out)) // 2
        inputs = list(tensors_in((args, kwargs)))
        sources = self.sources(inputs)
        reach = self._passed(func, args, kwargs, inputs, out) if sources else None
        for each in tensors_in(out):
            if func._schema.is_mutable:
                self._reaches.pop(storage_of(each), None)
            self.book(each, sources, reach)
        return out

    def book(self, tensor: Tensor, sources: dict[str, None], reach: Reach | None = None) -> None:
        """Note what a tensor comes from, and what its positions depend on, where it is known."""
        key = storage_of(tensor)
        self._storages[key] = tensor.untyped_storage()
        self._sources[key] = sources
        if reach is not None and reach.shape == tensor.shape[-2:]:
            self._reaches.setdefault(key, {})[view_of(tensor)] = reach

    def sources(self, tensors: Sequence[Tensor]) -> dict[str, None]:
        """Names that reach these tensors, in the order met; a dict because it keeps order."""
        found: dict[str, None] = {}
        for each in tensors:
            found |= self._sources.get(storage_of(each), {})
        return found

    def reach(self, tensor: Tensor) -> Reach | None:
        """What the tensor's positions depend on; None = perhaps everything."""
        return self._reaches.get(storage_of(tensor), {}).get(view_of(tensor))

    def _passed(
        self, func: Any, args: Any, kwargs: Any, inputs: Sequence[Tensor], out: Any
    ) -> Reach | None:
        reaches = [self.reach(each) for each in inputs if self.sources([each])]
        known = [each for each in reaches if each is not None]
        first = next(tensors_in(out), None)
        if first is None or first.ndim < 2 or len(known) < len(reaches):
            return None
        arguments = func._schema.arguments
        given = {each.name: kwargs.get(each.name, each.default_value) for each in arguments}
        given |= {each.name: value for each, value in zip(arguments, args, strict=False)}
        return passed(func, SlidingOperation(given, known, tuple(first.shape)))


@dataclass(slots=True, eq=False)
class _Watcher:
    """The two hooks of one module."""

    name: str
    tracer: _Tracer
    versions: list[dict[int, int]] = field(default_factory=list)

    def enters(self, module: nn.Module, args: Any, kwargs: Any) -> None:
        inputs = list(tensors_in((args, kwargs)))
        run = LayerRun(self.name, module, follows=tuple(self.tracer.sources(inputs)))
        run.input_shape = _shape(inputs)
        if self.tracer.running:
            self.tracer.running[-1].leaf = False
        self.tracer.running.append(run)
        self.versions.append({storage_of(each): each._version for each in inputs})

    def leaves(self, _module: nn.Module, _args: Any, output: Any) -> Any:
        run = self.tracer.running.pop()
        versions = self.versions.pop()
        # A leaf that hands on its input (identity, flatten) gets a copy of its own to put its name
        # on: the input may go another way as well. One that wrote in place does not.
        handed_on = isinstance(output, Tensor) and (
            versions.get(storage_of(output)) == output._version
        )
        output = output.clone() if run.leaf and handed_on else output
        outputs = list(tensors_in(output))
        run.output_shape = _shape(outputs)
        run.reach = self.tracer.reach(outputs[0]) if outputs else None
        if run.leaf and self.name:
            for each in outputs:
                self.tracer.book(each, {self.name: None})
        self.tracer.ended.append(run)
        return output


def _shape(tensors: Sequence[Tensor]) -> tuple[int, ...]:
    """Of the first."""
    return tuple(tensors[0].shape) if tensors else ()
