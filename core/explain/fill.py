"""Fills for hidden pixels: mean, black, gray, white, blur, noise; in pixels, before normalizing."""

from typing import Literal, get_args

import torch
from torch import Tensor
from torchvision.transforms.v2.functional import gaussian_blur

Fill = Literal["mean", "black", "gray", "white", "blur", "noise"]
FILLS: tuple[str, ...] = get_args(Fill)

_LEVELS = {"black": 0.0, "gray": 127.5, "white": 255.0}
_NOISE_SEED = 0


def filled(view: Tensor, fill: Fill) -> Tensor:
    """The picture with every pixel replaced.

    Args:
        view: (C, H, W) uint8.
        fill: mean = the picture's own mean color; black, gray, white; blur = the picture,
            blurred until only its colors are left (sigma 1/16 of the shorter side); noise =
            uniform, the same each time.

    Returns:
        (C, H, W) float32, 0..255.
    """
    pixels = view.float()
    if fill == "mean":
        return pixels.mean((1, 2), keepdim=True).expand_as(pixels).contiguous()
    if fill == "blur":
        return _blurred(pixels)
    if fill == "noise":
        generator = torch.Generator().manual_seed(_NOISE_SEED)
        return 255 * torch.rand(pixels.shape, generator=generator)
    return torch.full_like(pixels, _LEVELS[fill])


def _blurred(pixels: Tensor) -> Tensor:
    shorter = min(pixels.shape[1:])
    sigma = max(shorter / 16, 0.5)
    # Reflected at the border, so the kernel must not reach beyond the picture's far side.
    reach = min(round(3 * sigma), shorter - 1)
    blurred: Tensor = gaussian_blur(pixels, [2 * reach + 1] * 2, [sigma] * 2)
    return blurred
