"""What decoding a picture takes, in pixels and in memory, as its header says."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from core.images.formats.jpeg import jpeg_keeps_coefficients


@dataclass(frozen=True, slots=True)
class Cost:
    """What decoding a picture takes at most.

    Attributes:
        pixels: in the file, each of which takes its time.
        bytes: of memory while it is decoded, the result among them.
    """

    pixels: int
    bytes: int

    def and_bytes_per_pixel(self, more: int) -> "Cost":
        """The same with more memory for each pixel: what is done with the picture afterwards."""
        return Cost(self.pixels, self.bytes + more * self.pixels)


Reserve = Callable[[Cost], None]
"""Called before a picture's pixels are decoded; what it raises, decoding raises."""

BYTES_PER_PIXEL: Final = {
    "JPEG": 12,
    "PNG": 12,
    "WEBP": 21,
    "GIF": 14,
    "BMP": 12,
    "TIFF": 14,
    "AVIF": 16,
    "HEIF": 16,
}
"""Measured, and 4 more for a picture that is turned upright: Pillow holds 4, the result takes 3."""

DEEP_BYTES_PER_PIXEL: Final = 28
"""Of a picture whose samples are read by this project: as numbers of 16 bits or more."""

_COEFFICIENT_BYTES: Final = 2


def cost_of(name: str, width: int, height: int, *, is_deep: bool = False) -> Cost:
    """Of a picture of this format and size.

    Args:
        name: of the format, one of FORMATS.
        width: as stored.
        height: as stored.
        is_deep: whether the samples are read as numbers of more than 8 bits.
    """
    each = DEEP_BYTES_PER_PIXEL if is_deep else BYTES_PER_PIXEL[name]
    return Cost(width * height, each * width * height)


def jpeg_cost(
    content: bytes, stored: tuple[int, int], decoded: tuple[int, int], bands: int
) -> Cost:
    """Of a JPEG, of which fewer pixels may be decoded than are stored.

    Args:
        content: the file.
        stored: width and height in the file.
        decoded: width and height that it is decoded at.
        bands: of its pixels.
    """
    pixels = stored[0] * stored[1]
    size = BYTES_PER_PIXEL["JPEG"] * decoded[0] * decoded[1]
    if jpeg_keeps_coefficients(content):
        size += _COEFFICIENT_BYTES * bands * pixels
    return Cost(pixels, size)
