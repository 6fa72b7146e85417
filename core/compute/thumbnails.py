"""Shrink a picture to be stored: a thumbnail, and a tiny copy for distances between pixels."""

import io
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from PIL import Image
from torch.nn.functional import interpolate

from core.types import Pixels

THUMBNAIL_SIDE_PX: Final = 320
"""The longer side of a thumbnail, at most."""

_JPEG_QUALITY: Final = 85


@dataclass(frozen=True, slots=True, eq=False)
class Reduced:
    """A picture made small.

    Attributes:
        thumbnail: a JPEG file of at most 320 px; small pictures keep their size.
        tiny: (side, side, 3) uint8, the whole picture stretched; None if not asked for.
    """

    thumbnail: bytes
    tiny: Pixels | None


def reduce(picture: Pixels, tiny_px: int | None = None) -> Reduced:
    """A picture's thumbnail and, where a side is given, its tiny copy.

    Args:
        picture: (H, W, 3) uint8, upright.
        tiny_px: side of the tiny copy; None = no copy.
    """
    height, width = picture.shape[:2]
    scale = min(1.0, THUMBNAIL_SIDE_PX / max(height, width))
    small = _scaled(picture, max(1, round(height * scale)), max(1, round(width * scale)))
    file = io.BytesIO()
    Image.fromarray(small).save(file, "JPEG", quality=_JPEG_QUALITY)
    tiny = None if tiny_px is None else _scaled(picture, tiny_px, tiny_px)
    return Reduced(file.getvalue(), tiny)


def _scaled(picture: Pixels, height: int, width: int) -> Pixels:
    """(H, W, 3) -> (height, width, 3), over all pixels that a new one covers.

    By torch's port of Pillow-SIMD, which is quickest on pixels as they lie here, channels last.
    """
    if picture.shape[:2] == (height, width):
        return picture
    planes = torch.from_numpy(picture)[None].permute(0, 3, 1, 2)  # (1, 3, H, W)
    scaled = interpolate(planes, (height, width), mode="bilinear", antialias=True)
    return np.ascontiguousarray(scaled[0].permute(1, 2, 0).numpy())
