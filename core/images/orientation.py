"""Turn pictures upright, as their EXIF block says."""

from typing import Final

import numpy as np
from PIL import ExifTags, Image

from core.types import Pixels

_HOLDERS: Final = {"exif", "xmp", "XML:com.adobe.xmp", "Raw profile type exif"}

_TRANSPOSES: Final = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What makes a picture upright, by its EXIF orientation."""


def orientation_of(image: Image.Image) -> int:
    """1 (upright) to 8; 1 where the file says nothing that means something."""
    if image.format != "TIFF" and _HOLDERS.isdisjoint(image.info):
        return 1
    try:
        value = image.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:  # a damaged EXIF block is no reason to refuse the picture
        return 1
    return int(value) if value in range(1, 9) else 1


def upright(image: Image.Image, name: str, orientation: int) -> Image.Image:
    """The decoded first frame, turned as its EXIF orientation says; Pillow has turned a TIFF."""
    transpose = None if name == "TIFF" else _TRANSPOSES.get(orientation)
    return image if transpose is None else image.transpose(transpose)


def transposed(pixels: Pixels, orientation: int) -> Pixels:
    """(H, W, 3) upright."""
    transpose = _TRANSPOSES.get(orientation)
    return pixels if transpose is None else np.array(Image.fromarray(pixels).transpose(transpose))
