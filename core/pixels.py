"""Owns turning any pixel layout into RGB uint8; refuses to know files."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from core.errors import ImageCorrupt
from core.types import Pixels

_WHITE = 255
_MAX_16_BIT = 65535


def to_rgb(image: Image.Image) -> Pixels:
    """Opaque 8-bit RGB of a loaded picture.

    Alpha is composited on white. 16-bit gray is rescaled by 1/257. 32-bit integers outside 0 to
    65535 and floats are stretched from their own minimum and maximum.

    Returns:
        (H, W, 3) uint8, contiguous, writable.

    Raises:
        ImageCorrupt: a float picture holds NaN or infinity.
    """
    if image.mode.startswith("I") or image.mode == "F":
        # A mode such as I;16B names a byte order, and NumPy's view of it keeps that order.
        gray = eight_bits(np.asarray(image)[..., None])
        return _gray_to_rgb(gray[..., 0], _transparent(image))
    if image.has_transparency_data:
        return on_white(image.convert("RGBA"))
    return np.array(image if image.mode == "RGB" else image.convert("RGB"))


def on_white(image: Image.Image) -> Pixels:
    """(H, W, 3) of an RGBA picture; Pillow blends in place, ten times as fast as NumPy."""
    white = Image.new("RGB", image.size, (_WHITE,) * 3)
    white.paste(image, mask=image.getchannel("A"))
    return np.array(white)


def eight_bits(stored: NDArray[Any], *, unit: bool = False) -> NDArray[np.uint8]:
    """Samples of any depth in 8 bits, all bands by the same scale.

    8 bits stay as they are and 16 are rescaled by 1/257, as long as none is negative; 32-bit
    integers up to 65535 count as 16 bits. Everything else is stretched from its own minimum and
    maximum.

    Args:
        stored: (H, W, bands), integers or floats.
        unit: floats that lie within 0 to 1 mean black to white, and are not stretched.

    Raises:
        ImageCorrupt: there is NaN or infinity.
    """
    if stored.dtype == np.uint8:
        return stored
    if not np.isfinite(stored).all():  # before the cast, which warns of a signaling NaN
        raise ImageCorrupt("the picture holds NaN or infinity")
    low, high = float(stored.min()), float(stored.max())
    is_float = stored.dtype.kind == "f"
    largest = 1.0 if is_float else float(255 if stored.dtype.itemsize == 1 else _MAX_16_BIT)
    if (unit or not is_float) and low >= 0 and high <= largest:
        low, high = 0.0, largest
    scaled = np.zeros(stored.shape, np.uint8)
    for band in range(stored.shape[2]) if high > low else ():  # one at a time, for memory's sake
        # Halved, so that the widest floats' span is finite.
        values = stored[..., band].astype(np.float64) / 2 - low / 2
        scaled[..., band] = np.rint(values / (high / 2 - low / 2) * 255)
    return scaled


def _transparent(image: Image.Image) -> NDArray[np.bool_] | None:
    """(H, W), where a deep gray picture holds the one value that its tRNS calls transparent."""
    value = image.info.get("transparency")
    return np.asarray(image) == value if isinstance(value, int) else None


def _gray_to_rgb(gray: NDArray[np.uint8], transparent: NDArray[np.bool_] | None) -> Pixels:
    if transparent is not None:
        gray = np.where(transparent, np.uint8(_WHITE), gray)
    return np.repeat(gray[..., None], 3, axis=2)
