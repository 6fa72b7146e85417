"""Pictures of cameras that see 9 to 16 bits, in files of 16."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.files import SMALL
from tests.files.png import chunk, png

Array = NDArray[Any]

NOISE = np.random.default_rng(0)


def camera(bits: int, picture: Array = SMALL) -> Array:
    """What a camera of so many bits makes of a picture: levels between those of 8 bits, too."""
    largest = 2**bits - 1
    finer = picture * (largest / 255) + NOISE.normal(0, 2 ** (bits - 9), picture.shape)
    return np.clip(np.rint(finer), 0, largest).astype(np.uint16)


def shades(levels: Array, bits: int) -> Array:
    """The nearest of 8 bits, where 2**bits - 1 is white."""
    return np.rint(levels.astype(np.float64) * 255 / (2**bits - 1))


def three(gray: Array) -> Array:
    return np.repeat(gray[..., None], 3, axis=2)


def deep_png(levels: Array, color_type: int, *chunks: bytes) -> bytes:
    """A PNG of 16 bits by hand."""
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in levels)
    height, width = levels.shape[:2]
    return png(width, height, color_type, rows, 16, b"".join(chunks))


def sbit(*bits: int) -> bytes:
    return chunk(b"sBIT", bytes(bits))
