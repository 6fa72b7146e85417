"""PNGs of 16-bit colors, of which Pillow keeps only the upper bytes."""

import zlib
from typing import Final

import numpy as np
from numpy.typing import NDArray

from core.images.depth import FULL_BITS, Depth, significant_bits
from core.images.pillow import open_picture
from core.images.rgb import composited, eight_bits, shallow_alpha
from core.types import Pixels

_GRAY_ALPHA: Final = 4
_RGBA_OF_8_BITS: Final = bytes((8, 6))
_DEPTH_AT: Final = 24  # then the color type
_HEADER_END: Final = 29  # then its checksum
_BANDS: Final = {2: 3, 6: 4}  # by color type
_RAW: Final = {
    2: (("RGB;16B", 8), ("RGB;16L", 0)),
    6: (("RGBA;16B", 8), ("RGBA;16L", 0)),
}
"""What Pillow calls 16 bits of which it keeps the upper bytes, and the lower, by color type."""
_ROWS: Final = 256


def decode_png_samples(
    content: bytes, depth: Depth, transparent: object
) -> tuple[Pixels, int | None]:
    """A PNG of 16 bits in more than one channel, and how many of them meant something.

    Args:
        content: the file, its pixels known to be there.
        depth: what is known of it.
        transparent: red, green and blue of the one color that is, as stored; others mean nothing.

    Returns:
        (H, W, 3) uint8, contiguous, writable, not yet upright; the bits as in `ImageSource`.

    Raises:
        InvalidValue: it does not fit into the bits asked for.
    """
    samples = _samples(content)
    bands = samples.shape[2]
    colors = bands - (bands in (2, 4))
    bits = significant_bits(samples[..., :colors], depth)
    color = eight_bits(samples[..., :colors], bits or FULL_BITS)
    color = np.repeat(color, 3, axis=2) if colors == 1 else color
    if colors < bands:
        return composited(color, shallow_alpha(samples[..., colors:], bits or FULL_BITS)), bits
    if isinstance(transparent, tuple):
        for stored, shown in zip(samples, color, strict=True):  # a row, for memory's sake
            shown[(stored == transparent).all(axis=1)] = 255
    return color, bits


def _samples(content: bytes) -> NDArray[np.uint16]:
    """(H, W, bands)."""
    color_type = content[_DEPTH_AT + 1]
    if color_type == _GRAY_ALPHA:
        # A pixel of as many bytes, so that the same rows are unpacked to the same bytes.
        with open_picture(_renamed(content, _RGBA_OF_8_BITS), "PNG") as image:
            return np.asarray(image).view(">u2").astype(np.uint16)
    height, width = (int.from_bytes(content[at : at + 4], "big") for at in (20, 16))
    samples = np.zeros((height, width, _BANDS[color_type]), np.uint16)
    for raw, shift in _RAW[color_type]:
        with open_picture(content, "PNG") as image:
            image.tile = [each._replace(args=raw) for each in image.tile]  # type: ignore[attr-defined]
            image.load()
            for top in range(0, height, _ROWS):  # some at a time, for memory's sake
                rows = image.crop((0, top, width, min(top + _ROWS, height)))
                samples[top : top + _ROWS] |= np.asarray(rows).astype(np.uint16) << shift
    return samples


def _renamed(content: bytes, kind: bytes) -> bytes:
    """The file with another depth and color type in its header."""
    header = content[12:_DEPTH_AT] + kind + content[_DEPTH_AT + 2 : _HEADER_END]
    checksum = zlib.crc32(header).to_bytes(4, "big")
    return content[:12] + header + checksum + content[_HEADER_END + 4 :]
