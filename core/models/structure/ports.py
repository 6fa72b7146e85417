"""`Port`: what enters or leaves a layer, captured, or exchanged for a leaf of a graph."""

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any, Final, Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - torch's own name for it
from torch.overrides import TorchFunctionMode

from core.models.structure.layers import find_layer, first_tensor, removed

At = Literal["input", "output"]
ATS: tuple[str, ...] = get_args(At)

Captured = AbstractContextManager[list[Tensor]]
"""Tensors, one for each run of a layer while the block runs; no hook remains after it."""

PRODUCT_FUNCTIONS: Final = frozenset({
    F.linear, F.conv2d, F.bilinear, torch.matmul, Tensor.matmul, Tensor.__matmul__, torch.mm,
    Tensor.mm, torch.bmm, Tensor.bmm, torch.addmm, torch.einsum,
})  # fmt: skip
"""Functions that a network may multiply its features with weights by."""


@dataclass(frozen=True, slots=True)
class Port:
    """What enters or leaves a layer: a dotted name of a submodule.

    A layer that runs more than once has what its last run had.
    """

    layer: str
    at: At = "output"

    def captured(self, module: nn.Module) -> Captured:
        """Collect copies: a later in-place operation (ReLU(inplace=True)) overwrites an activation.

        Raises:
            UnknownLayer: no such layer.
        """
        return _captured(find_layer(module, self.layer), self.at)

    def tapped(self, module: nn.Module) -> Captured:
        """Collect leaves of the graph, where gradients end; the network goes on with copies.

        Raises:
            UnknownLayer: no such layer.
        """
        return _tapped(find_layer(module, self.layer), self.at)


@dataclass(frozen=True, slots=True)
class Operand:
    """What the network multiplies with weights that are no layer's own, as F.linear does.

    Attributes:
        layer: the module in whose forward that happens; the network's class for its own.
        number: of the call, among those of `PRODUCT_FUNCTIONS` in one forward.
        argument: which of the call's arguments.
    """

    layer: str
    number: int
    argument: int
    at: Literal["product"] = "product"

    def captured(self, _module: nn.Module) -> Captured:
        """Collect what is multiplied."""
        return _multiplied(self.number, self.argument)


@contextmanager
def _captured(layer: nn.Module, at: At) -> Iterator[list[Tensor]]:
    seen: list[Tensor] = []

    def enters(_module: nn.Module, inputs: tuple[object, ...], named: dict[str, object]) -> None:
        seen.append(first_tensor((*inputs, *named.values())).clone())

    def leaves(_module: nn.Module, _inputs: object, output: object) -> None:
        seen.append(first_tensor(output).clone())

    if at == "input":
        handle = layer.register_forward_pre_hook(enters, with_kwargs=True)
    else:
        handle = layer.register_forward_hook(leaves)
    with removed(handle):
        yield seen


@contextmanager
def _tapped(layer: nn.Module, at: At) -> Iterator[list[Tensor]]:
    seen: list[Tensor] = []

    def leaf(tensor: Tensor) -> Tensor:
        seen.append(tensor.detach().clone().requires_grad_(True))
        return seen[-1].clone()

    def enters(
        _module: nn.Module, inputs: tuple[object, ...], named: dict[str, object]
    ) -> tuple[Any, dict[str, Any]]:
        first = first_tensor((*inputs, *named.values()))
        other = leaf(first)
        replaced = {name: _exchanged(each, first, other) for name, each in named.items()}
        return tuple(_exchanged(each, first, other) for each in inputs), replaced

    def leaves(_module: nn.Module, _inputs: object, output: object) -> object:
        first = first_tensor(output)
        return _exchanged(output, first, leaf(first))

    if at == "input":
        handle = layer.register_forward_pre_hook(enters, with_kwargs=True)
    else:
        handle = layer.register_forward_hook(leaves)
    with removed(handle):
        yield seen


def _exchanged(value: Any, first: Tensor, other: Tensor) -> Any:
    """The value with one tensor exchanged wherever it is, in lists and tuples too."""
    if value is first:
        return other
    if not isinstance(value, list | tuple):
        return value
    items = [_exchanged(each, first, other) for each in value]
    # A named tuple takes its fields one by one.
    return type(value)(*items) if hasattr(value, "_fields") else type(value)(items)


@contextmanager
def _multiplied(number: int, argument: int) -> Iterator[list[Tensor]]:
    calls = _ProductOperand(number, argument)
    with calls:
        yield calls.seen


class _ProductOperand(TorchFunctionMode):
    """Keeps an argument of one call of a product's function."""

    def __init__(self, number: int, argument: int) -> None:
        super().__init__()
        self._wanted, self._argument = number, argument
        self._count = 0
        self.seen: list[Tensor] = []

    def __torch_function__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        if func in PRODUCT_FUNCTIONS:
            if self._count == self._wanted:
                self.seen.append(flat_arguments(args, kwargs)[self._argument])
            self._count += 1
        return func(*args, **(kwargs or {}))


def flat_arguments(args: tuple[Any, ...], kwargs: Mapping[str, Any] | None) -> list[Any]:
    """All arguments in a list, in order."""
    return [*args, *(kwargs or {}).values()]
