"""Owns making logits of what a network puts out that ends with a softmax or with one number."""

from typing import Final, Literal, get_args

import torch
from torch import Tensor, nn

Activation = Literal["none", "softmax", "log_softmax", "sigmoid"]
ACTIVATIONS: tuple[str, ...] = get_args(Activation)

_TINY: Final = torch.finfo(torch.float32).tiny


def logits_of(outputs: Tensor, activation: Activation) -> Tensor:
    """Logits whose softmax are the probabilities that the network means.

    One output x is the second of two classes: its logits are 0 and x, whose softmax is the sigmoid.

    Args:
        outputs: (B, K), after the activation.

    Returns:
        (B, K), or (B, 2) where K = 1.
    """
    if activation == "softmax":
        return outputs.clamp_min(_TINY).log()
    if activation == "sigmoid":
        outputs = outputs.clamp_min(_TINY).log() - (1 - outputs).clamp_min(_TINY).log()
    if outputs.shape[1] == 1:
        return torch.cat((torch.zeros_like(outputs), outputs), 1)
    return outputs


def end_in_logits(module: nn.Module, activation: Activation) -> None:
    """Have the network put out logits, in every forward of it; its layers keep their names."""

    def ended(_module: nn.Module, _inputs: object, outputs: object) -> object:
        if isinstance(outputs, Tensor) and outputs.ndim == 2:
            return logits_of(outputs, activation)
        return outputs  # refused by those who check what a network puts out

    module.register_forward_hook(ended)
