"""What is left on a network after it was looked into."""

from torch import nn


def hooks(module: nn.Module) -> list[object]:
    """Every hook on it or on a module inside it."""
    return [
        hook
        for each in module.modules()
        for hook in (*each._forward_hooks.values(), *each._forward_pre_hooks.values())
    ]
