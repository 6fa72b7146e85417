"""Owns the choice of the device that models run on; refuses to know any model."""

import torch

from core.errors import ModelUnusable


def device_named(name: str) -> torch.device:
    """The torch device of that name.

    Raises:
        ModelUnusable: the name is not one, or the device is not there.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ModelUnusable(f"device {name!r} is not one of auto, cpu, cuda, cuda:N") from error
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise ModelUnusable(f"device {name!r}: {torch.cuda.device_count()} CUDA devices are here")
    return device
