"""Any pixel layout to opaque RGB uint8."""

from collections.abc import Iterator
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from core.errors import ImageCorrupt
from core.images.depth import FULL_BITS
from core.types import Pixels

_WHITE: Final = 255
_EIGHT: Final = 8
BAND_PIXELS: Final = 2**20
"""Pixels converted at a time: Pillow holds 4 bytes of each, and its conversions hold them again."""


def to_rgb(image: Image.Image, bits: int = FULL_BITS, *, band_pixels: int = BAND_PIXELS) -> Pixels:
    """Opaque 8-bit RGB of a loaded picture.

    Alpha is composited on white. Deep gray becomes 8 bits as in `eight_bits`.

    Args:
        image: of any mode.
        bits: of deep gray, how many mean something.
        band_pixels: of a larger picture, so many are converted at a time.

    Returns:
        (H, W, 3) uint8, contiguous, writable.

    Raises:
        ImageCorrupt: a float picture holds NaN or infinity.
    """
    if image.mode.startswith("I") or image.mode == "F":
        # A mode such as I;16B names a byte order, and NumPy's view of it keeps that order.
        gray = eight_bits(np.asarray(image)[..., None], bits)
        return _gray_to_rgb(gray[..., 0], _transparent(image))
    if image.width * image.height <= band_pixels:
        return _rgb(image)
    pixels = np.empty((image.height, image.width, 3), np.uint8)
    for rows in _bands(image.height, image.width, band_pixels):
        pixels[rows] = _rgb(image.crop((0, rows.start, image.width, rows.stop)))
    return pixels


def _bands(height: int, width: int, pixels: int = BAND_PIXELS) -> Iterator[slice]:
    """Rows, some at a time, for memory's sake."""
    step = max(pixels // width, 1)
    for top in range(0, height, step):
        yield slice(top, min(top + step, height))


def _rgb(image: Image.Image) -> Pixels:
    if image.has_transparency_data:
        return on_white(image.convert("RGBA"))
    return np.array(image if image.mode == "RGB" else image.convert("RGB"))


def on_white(image: Image.Image) -> Pixels:
    """(H, W, 3) of an RGBA picture; Pillow blends in place, ten times as fast as NumPy."""
    white = Image.new("RGB", image.size, (_WHITE,) * 3)
    white.paste(image, mask=image.getchannel("A"))
    return np.array(white)


def eight_bits(
    stored: NDArray[Any], bits: int = FULL_BITS, *, unit: bool = False
) -> NDArray[np.uint8]:
    """Samples of any depth in 8 bits, all bands by the same scale.

    8 bits stay as they are. Deeper integers from 0 to 2**bits - 1 are rescaled so that these are
    black and white. Everything else is stretched from its own minimum and maximum.

    Args:
        stored: (H, W, bands), integers or floats.
        bits: of integers deeper than 8 bits, how many mean something; see `core.images.depth`.
        unit: floats that lie within 0 to 1 mean black to white, and are not stretched.

    Raises:
        ImageCorrupt: there is NaN or infinity.
    """
    if stored.dtype == np.uint8:
        return stored
    if not np.isfinite(stored).all():  # before the cast, which warns of a signaling NaN
        raise ImageCorrupt("the picture holds NaN or infinity")
    low, high = float(stored.min()), float(stored.max())
    scaled = np.zeros(stored.shape, np.uint8)
    if stored.dtype.kind != "f":
        white = 2 ** (_EIGHT if stored.dtype.itemsize == 1 else bits) - 1
        if low >= 0 and high <= white:
            shades = np.rint(np.arange(white + 1) * (_WHITE / white)).astype(np.uint8)
            for source, target in zip(stored, scaled, strict=True):  # a row, for memory's sake
                target[:] = shades[source]
            return scaled
    elif unit and low >= 0 and high <= 1:
        low, high = 0.0, 1.0
    for rows in _bands(*stored.shape[:2]) if high > low else ():
        # Halved, so that the widest floats' span is finite.
        values = stored[rows].astype(np.float64) / 2 - low / 2
        scaled[rows] = np.rint(values / (high / 2 - low / 2) * _WHITE)
    return scaled


def shallow_alpha(stored: NDArray[Any], bits: int = FULL_BITS) -> NDArray[np.uint8]:
    """(H, W, 1) alpha in 8 bits.

    Opaque is the largest integer there is, or of `bits` where those are fewer and hold it; of
    floats 1, or their own maximum.
    """
    clean = np.nan_to_num(stored)
    opaque = max(float(clean.max()), 1.0)
    if stored.dtype.kind != "f":
        is_narrow = bits < FULL_BITS and opaque < 2**bits
        opaque = float(2**bits - 1 if is_narrow else np.iinfo(stored.dtype).max)
    scaled = np.empty(stored.shape, np.uint8)
    for source, target in zip(clean, scaled, strict=True):  # a row, for memory's sake
        target[:] = np.rint(np.clip(source.astype(np.float64), 0, None) / opaque * _WHITE)
    return scaled


def composited(
    color: NDArray[np.uint8], alpha: NDArray[np.uint8], *, premultiplied: bool = False
) -> Pixels:
    """(H, W, 3) of color (H, W, 3) and alpha (H, W, 1), on white."""
    mode = "RGBa" if premultiplied else "RGBA"
    pixels = np.empty_like(color, order="C")
    for rows in _bands(*color.shape[:2]):
        joined = np.ascontiguousarray(np.concatenate([color[rows], alpha[rows]], axis=2))
        image = Image.frombytes(mode, (joined.shape[1], joined.shape[0]), joined.tobytes())
        pixels[rows] = on_white(image.convert("RGBA"))
    return pixels


def _transparent(image: Image.Image) -> NDArray[np.bool_] | None:
    """(H, W), where a deep gray picture holds the one value that its tRNS calls transparent."""
    value = image.info.get("transparency")
    return np.asarray(image) == value if isinstance(value, int) else None


def _gray_to_rgb(gray: NDArray[np.uint8], transparent: NDArray[np.bool_] | None) -> Pixels:
    if transparent is not None:
        gray = np.where(transparent, np.uint8(_WHITE), gray)
    return np.repeat(gray[..., None], 3, axis=2)
