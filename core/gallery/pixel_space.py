"""Owns what pixel space is: tiny pictures as points; refuses to know how they became tiny."""

from typing import Final

import numpy as np

from core.types import FloatArray, Pixels

PIXEL_SIDE: Final = 32
"""Pixel space compares pictures of this size, stretched, RGB."""

PIXEL_DIM: Final = PIXEL_SIDE * PIXEL_SIDE * 3


def pixel_vector(pixels: Pixels) -> FloatArray:
    """(32, 32, 3) uint8 -> (3072,) float32 in 0..1, the point in pixel space."""
    return pixels.reshape(-1).astype(np.float32) / np.float32(255)
