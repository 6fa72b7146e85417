"""Owns making pictures small, to be stored: a thumbnail, and a tiny copy to compare by."""

import io
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from PIL import Image
from torch.nn.functional import interpolate

from core.gallery.pixel_space import PIXEL_SIDE
from core.types import Pixels

THUMBNAIL_SIDE_PX: Final = 320
"""The longer side of a thumbnail, at most."""

_JPEG_QUALITY: Final = 85


@dataclass(frozen=True, slots=True, eq=False)
class Reduced:
    """A picture made small.

    Attributes:
        thumbnail: a JPEG file of at most 320 px; small pictures keep their size.
        pixels: (32, 32, 3) uint8, the whole picture stretched; None if not asked for.
    """

    thumbnail: bytes
    pixels: Pixels | None


def reduce(picture: Pixels, *, pixel_space: bool) -> Reduced:
    """A picture's thumbnail and, for pixel space, its tiny copy.

    Args:
        picture: (H, W, 3) uint8, upright.
        pixel_space: whether the tiny copy is wanted.
    """
    height, width = picture.shape[:2]
    scale = min(1.0, THUMBNAIL_SIDE_PX / max(height, width))
    small = _scaled(picture, max(1, round(height * scale)), max(1, round(width * scale)))
    file = io.BytesIO()
    Image.fromarray(small).save(file, "JPEG", quality=_JPEG_QUALITY)
    pixels = _scaled(picture, PIXEL_SIDE, PIXEL_SIDE) if pixel_space else None
    return Reduced(file.getvalue(), pixels)


def _scaled(picture: Pixels, height: int, width: int) -> Pixels:
    """(H, W, 3) -> (height, width, 3), over all pixels that a new one covers.

    By torch's port of Pillow-SIMD, which is quickest on pixels as they lie here, channels last.
    """
    if picture.shape[:2] == (height, width):
        return picture
    planes = torch.from_numpy(picture)[None].permute(0, 3, 1, 2)  # (1, 3, H, W)
    scaled = interpolate(planes, (height, width), mode="bilinear", antialias=True)
    return np.ascontiguousarray(scaled[0].permute(1, 2, 0).numpy())
