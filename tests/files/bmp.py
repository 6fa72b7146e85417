import struct

import numpy as np

from tests.files import SMALL

RGB_MASKS = (0xFF0000, 0xFF00, 0xFF)
ALPHA_MASK = 0xFF000000


def rows(alpha: int = 0) -> bytes:
    """The photo as BGRA, bottom row first."""
    height, width = SMALL.shape[:2]
    column = np.full((height, width, 1), alpha, np.uint8)
    return np.concatenate([SMALL[::-1, :, ::-1], column], axis=2).tobytes()


def bmp(
    pixels: bytes,
    depth: int = 32,
    compression: int = 0,
    header: int = 40,
    masks: tuple[int, ...] = (),
    palette: bytes = b"",
    top_down: bool = False,
) -> bytes:
    """A BMP of 60 x 40 pixels by hand; masks stand in a header that has room, else behind it."""
    height = -40 if top_down else 40
    size = len(pixels)
    fields = (header, 60, height, 1, depth, compression, size, 2835, 2835, 0, 0)
    start = struct.pack("<IiiHHIIiiII", *fields) + struct.pack(f"<{len(masks)}I", *masks)
    start = start.ljust(header, b"\0") + palette
    offset = 14 + len(start)
    return b"BM" + struct.pack("<IHHI", offset + size, 0, 0, offset) + start + pixels
