"""Owns what is kept of a picture's pixels: a thumbnail, and a tiny copy to compare by."""

import io
from dataclasses import dataclass

import numpy as np
from PIL import Image

from core.gallery.records import PIXEL_SIDE, THUMBNAIL_SIDE_PX
from core.types import FloatArray, Pixels

_JPEG_QUALITY = 85


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
    image = Image.fromarray(picture)
    pixels = None
    if pixel_space:
        # Bilinear over all pixels that a tiny one covers, so that fine detail does not alias.
        tiny = image.resize((PIXEL_SIDE, PIXEL_SIDE), Image.Resampling.BILINEAR, reducing_gap=4.0)
        pixels = np.array(tiny)
    image.thumbnail((THUMBNAIL_SIDE_PX, THUMBNAIL_SIDE_PX), Image.Resampling.BILINEAR)
    file = io.BytesIO()
    image.save(file, "JPEG", quality=_JPEG_QUALITY)
    return Reduced(file.getvalue(), pixels)


def pixel_vector(pixels: Pixels) -> FloatArray:
    """(32, 32, 3) uint8 -> (3072,) float32 in 0..1, the point in pixel space."""
    return pixels.reshape(-1).astype(np.float32) / np.float32(255)
