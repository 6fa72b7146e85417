"""Functions of torch written out another way: batch norms, and ReLUs that guide."""

from collections.abc import Mapping
from typing import Any, Final

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 - torch's own name for it
from torch.overrides import TorchFunctionMode

_RELUS: Final = {
    *(F.relu, F.relu_, F.relu6, F.hardtanh, F.hardtanh_, F.leaky_relu, F.leaky_relu_),
    *(torch.relu, torch.relu_, Tensor.relu, Tensor.relu_),
}
_OTHERS: Final = {
    *(F.gelu, F.silu, F.hardswish, F.elu, F.mish, F.softplus, F.selu, F.celu, F.logsigmoid),
    *(torch.tanh, Tensor.tanh),
}


class _PositiveBack(torch.autograd.Function):
    """Changes nothing on the way there, and lets only positive gradients back."""

    @staticmethod
    def forward(_ctx: Any, values: Tensor) -> Tensor:
        return values.clone()

    @staticmethod
    def backward(_ctx: Any, gradient: Tensor) -> Tensor:
        return gradient.clamp(min=0)


class NormsWrittenOut(TorchFunctionMode):
    """Batch norm as what it is in eval mode: an affine map of each channel.

    Because torch 2.14's own goes back wrongly on CPUs, for one contiguous picture whose gradient
    comes through `flatten(2).transpose(1, 2)`, as in LeViT.
    """

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        if func is F.batch_norm and args[0].requires_grad:  # else it standardizes weights
            return _affine(*args, **(kwargs or {}))
        return func(*args, **(kwargs or {}))


def _affine(
    rows: Tensor,
    mean: Tensor,
    variance: Tensor,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    if training:
        raise AssertionError("a batch norm is in training mode")
    shape = (1, -1, *[1] * (rows.ndim - 2))
    found = (rows - mean.view(shape)) / (variance + eps).sqrt().view(shape)
    found = found if weight is None else found * weight.view(shape)
    return found if bias is None else found + bias.view(shape)


class GuidedRelus(NormsWrittenOut):
    """Puts one behind every function of the ReLU family, and counts activations."""

    def __init__(self) -> None:
        super().__init__()
        self.guided = 0
        self.others = 0

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        # What does not come of the picture, as a bias of positions, is on no way back.
        if func in _RELUS and args[0].requires_grad:
            self.guided += 1
            return _PositiveBack.apply(func(args[0].clone(), *args[1:], **(kwargs or {})))
        self.others += func in _OTHERS and args[0].requires_grad
        return super().__torch_function__(func, types, args, kwargs)
