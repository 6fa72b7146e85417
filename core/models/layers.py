"""Owns looking into a module by layer name: order of execution, capture, pooling; no weights."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from core.errors import InvalidValue, ModelUnusable, UnknownLayer

Pool = Literal["avg", "max", "flatten"]
POOLS: tuple[str, ...] = get_args(Pool)


def find_layer(module: nn.Module, name: str) -> nn.Module:
    """The submodule of that dotted name.

    Raises:
        UnknownLayer: there is none; the message lists the names that exist.
    """
    known = dict(module.named_modules())
    known.pop("")
    if name not in known:
        raise UnknownLayer(name, list(known))
    layer: nn.Module = known[name]
    return layer


def executed_layers(
    module: nn.Module, example: Tensor, kinds: tuple[type[nn.Module], ...]
) -> list[str]:
    """Names of the layers of these kinds in the order they run; one that runs twice is named twice.

    Args:
        example: (B, C, H, W) float32.
    """
    order: list[str] = []

    def recorder(name: str) -> Callable[[nn.Module, object], None]:
        return lambda _module, _inputs: order.append(name)

    with ExitStack() as hooks:
        for name, layer in module.named_modules():
            if isinstance(layer, kinds):
                hooks.enter_context(_removed(layer.register_forward_pre_hook(recorder(name))))
        with torch.no_grad():
            module(example)
    return order


def classifier_layer(module: nn.Module, example: Tensor) -> str:
    """Name of the layer whose input is the feature vector: the last linear map that runs.

    A 1 x 1 convolution used as a classifier (SqueezeNet) is a linear map too.

    Raises:
        ModelUnusable: the network runs neither a linear layer nor a convolution.
    """
    linear = executed_layers(module, example, (nn.Linear,))
    if linear:
        return linear[-1]
    return last_convolution(module, example)


def last_convolution(module: nn.Module, example: Tensor) -> str:
    """Name of the last convolution that runs.

    Raises:
        ModelUnusable: the network has no convolution.
    """
    convolutions = executed_layers(module, example, (nn.Conv2d,))
    if not convolutions:
        raise ModelUnusable("the network runs no convolution")
    return convolutions[-1]


@contextmanager
def captured_input(module: nn.Module, name: str) -> Iterator[list[Tensor]]:
    """Collect what enters a layer while the block runs; no hook remains after it."""
    seen: list[Tensor] = []
    layer = find_layer(module, name)
    with _removed(layer.register_forward_pre_hook(lambda _m, inputs: seen.append(inputs[0]))):
        yield seen


@contextmanager
def captured_output(module: nn.Module, name: str) -> Iterator[list[Tensor]]:
    """Collect copies of what leaves a layer while the block runs; no hook remains after it.

    Copies, because a later in-place operation (ReLU(inplace=True)) overwrites the activation.
    """
    seen: list[Tensor] = []
    layer = find_layer(module, name)

    def record(_module: nn.Module, _inputs: object, output: object) -> None:
        seen.append(_first_tensor(output).clone())

    with _removed(layer.register_forward_hook(record)):
        yield seen


def pooled(activation: Tensor, pool: Pool) -> Tensor:
    """One vector per row of an activation.

    Args:
        activation: (B, C, h, w), (B, T, D) tokens, or (B, D) already a vector.
        pool: avg or max over positions or tokens; flatten keeps them all.

    Returns:
        (B, C), (B, D) or, flattened, (B, everything).

    Raises:
        InvalidValue: no such pooling.
    """
    if pool not in POOLS:
        raise InvalidValue("pool", pool, "one of " + ", ".join(POOLS))
    if activation.ndim == 2 or pool == "flatten":
        return activation.flatten(1)
    axes = (2, 3) if activation.ndim == 4 else tuple(range(1, activation.ndim - 1))
    return activation.mean(axes) if pool == "avg" else activation.amax(axes)


def _first_tensor(output: object) -> Tensor:
    """The activation; some layers (attention) answer a tuple that starts with it."""
    if isinstance(output, Tensor):
        return output
    if isinstance(output, Sequence) and output:
        return _first_tensor(output[0])
    raise ModelUnusable(f"a layer answered {type(output).__name__}, not a tensor")


@contextmanager
def _removed(handle: torch.utils.hooks.RemovableHandle) -> Iterator[None]:
    try:
        yield
    finally:
        handle.remove()
