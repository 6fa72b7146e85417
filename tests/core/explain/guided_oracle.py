"""Guided backpropagation a second way: every ReLU of the forward is swapped for a guided one."""

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - torch's own name for it
from torch.overrides import TorchFunctionMode


class _Guided(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor, low: float, high: float) -> Tensor:
        ctx.save_for_backward((values > low) & (values < high))
        return values.clamp(low, high)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:  # type: ignore[override]
        (open_,) = ctx.saved_tensors
        return gradient.clamp(min=0) * open_, None, None


class _Swap(TorchFunctionMode):
    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func in (F.relu, torch.relu, torch.relu_, F.relu_, Tensor.relu, Tensor.relu_):
            return _Guided.apply(args[0], 0.0, float("inf"))
        if func is F.relu6:
            return _Guided.apply(args[0], 0.0, 6.0)
        if func in (F.hardtanh, F.hardtanh_):
            low, high = (*args[1:3], kwargs.get("min_val"), kwargs.get("max_val"))[:2]
            return _Guided.apply(args[0], low, high)
        return func(*args, **kwargs)


def guided_gradient(module: nn.Module, row: Tensor, target: int) -> np.ndarray:
    """(C, H, W) of a (1, C, H, W) row."""
    inputs = row.clone().requires_grad_(True)
    with _Swap():
        logits = module(inputs)
    return torch.autograd.grad(logits[0, target], inputs)[0][0].numpy()
