"""Find the layers of a module by name, and in the order in which they run."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager

import torch
from torch import Tensor, nn

from core.errors import MethodUnsupported, ModelUnusable, UnknownLayer


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
                hooks.enter_context(removed(layer.register_forward_pre_hook(recorder(name))))
        with torch.no_grad():
            module(example.clone())  # which it may change in place
    return order


def classifier_layer(module: nn.Module, example: Tensor) -> str:
    """Name of the layer whose input is the feature vector: the last linear map that runs.

    A 1 x 1 convolution used as a classifier (SqueezeNet) is a linear map too.

    Raises:
        ModelUnusable: the network runs neither a linear layer nor a convolution.
    """
    linear = executed_layers(module, example, (nn.Linear,))
    linear = linear or executed_layers(module, example, (nn.Conv2d,))
    if not linear:
        raise ModelUnusable("the network runs neither a linear layer nor a convolution")
    return linear[-1]


def last_seen(seen: Sequence[Tensor], name: str, rows: int | None = None) -> Tensor:
    """What was captured in a layer's last run.

    Args:
        rows: how many there must be, one for each picture; None = however many.

    Raises:
        MethodUnsupported: the layer did not run, or does not run on whole pictures.
    """
    if not seen:
        raise MethodUnsupported(f"layer {name!r} takes no part in this network's forward")
    if rows is not None and len(seen[-1]) != rows:
        found = f"{len(seen[-1])} rows for {rows} picture{'s' if rows > 1 else ''}"
        raise MethodUnsupported(
            f"layer {name!r} has {found}: it runs on parts of them, such as windows"
        )
    return seen[-1]


def first_tensor(output: object) -> Tensor:
    """The activation; some layers (attention) answer a tuple that starts with it."""
    if isinstance(output, Tensor):
        return output
    if isinstance(output, Sequence) and output:
        return first_tensor(output[0])
    raise ModelUnusable(f"a layer answered {type(output).__name__}, not a tensor")


def tensors_in(value: object) -> Iterator[Tensor]:
    """The tensors in nested lists, tuples and dicts, in order."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, dict):
        yield from tensors_in(list(value.values()))
    elif isinstance(value, list | tuple):
        for each in value:
            yield from tensors_in(each)


StorageView = tuple[tuple[int, ...], tuple[int, ...], int]
"""Shape, strides and offset: which part of its storage a tensor is."""


def view_of(tensor: Tensor) -> StorageView:
    """Which part of its storage it is."""
    return tuple(tensor.shape), tensor.stride(), int(tensor.storage_offset())


def storage_of(tensor: Tensor) -> int:
    """What tells its memory from others' while that is referred to; views have the same."""
    return int(tensor.untyped_storage()._cdata)


@contextmanager
def removed(handle: torch.utils.hooks.RemovableHandle) -> Iterator[None]:
    """Take the hook away after the block, also after an error."""
    try:
        yield
    finally:
        handle.remove()
