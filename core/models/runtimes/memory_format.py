"""Channels last or contiguous, and a workaround for torch's batch norm gradients."""

import logging
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from core.errors import first_line

_log = logging.getLogger(__name__)

_BACKWARD = torch.ops.aten.native_batch_norm_backward


def memory_format(module: nn.Module, probe: Tensor) -> torch.memory_format:
    """Channels last, which is faster, unless the network only runs on contiguous rows.

    `x.view(x.size(0), -1)` after a convolution is the usual reason. The module is left in it.
    """
    try:
        module.to(memory_format=torch.channels_last)
        for rows in (probe, probe[:1]):
            _run_both_ways(module, rows.to(memory_format=torch.channels_last))
    except Exception as error:  # the network's own, or torch's about its layout
        _log.info("runs on contiguous rows: %s", first_line(error))
        module.to(memory_format=torch.contiguous_format)
        return torch.contiguous_format
    return torch.channels_last


def _run_both_ways(module: nn.Module, rows: Tensor) -> None:
    inputs = rows.clone().requires_grad_(True)
    with torch.enable_grad():
        logits = module(inputs.clone())
        if logits.requires_grad:
            torch.autograd.grad(logits.sum(), inputs, allow_unused=True)


class ContiguousNorms(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Around `torch.autograd.grad`: batch norms get their gradient in the order of their input.

    torch 2.14 on a CPU reads the gradient of one contiguous picture (1, C, h, w) in the wrong order
    where it comes back through `flatten(2).transpose(1, 2)`: strides (C, 1, w C, C), which pass for
    channels last. Two pictures, or one that is channels last itself, it reads right.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func.overloadpacket is _BACKWARD:
            args = (args[0].contiguous(), *args[1:])
        return func(*args, **(kwargs or {}))
