"""The photos that every server gets: real ones, about 500 x 375, as JPEG files."""

import io
from functools import cache

import numpy as np
import skimage.data
from PIL import Image
from sklearn.datasets import load_sample_image

_SIZE = (500, 375)


@cache
def arrays() -> tuple[np.ndarray, ...]:
    """Six photos, (H, W, 3) uint8, in their own sizes."""
    return (
        *(getattr(skimage.data, name)() for name in ("chelsea", "coffee", "rocket", "astronaut")),
        *(np.array(load_sample_image(f"{name}.jpg")) for name in ("china", "flower")),
    )


@cache
def photos() -> tuple[bytes, ...]:
    """The photos as JPEG files, quality 90."""
    return tuple(map(_jpeg, arrays()))


def _jpeg(pixels: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).resize(_SIZE, Image.Resampling.LANCZOS).save(file, "JPEG", quality=90)
    return file.getvalue()
