"""Owns the photos every contestant gets: real ones, about 500 x 375, as JPEG files."""

import io
from functools import cache

import numpy as np
import skimage.data
from PIL import Image
from sklearn.datasets import load_sample_image

_SIZE = (500, 375)


@cache
def photos() -> tuple[bytes, ...]:
    """Six JPEG files, quality 90."""
    arrays = [
        *(getattr(skimage.data, name)() for name in ("chelsea", "coffee", "rocket", "astronaut")),
        *(load_sample_image(f"{name}.jpg") for name in ("china", "flower")),
    ]
    return tuple(map(_jpeg, arrays))


def _jpeg(pixels: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).resize(_SIZE, Image.Resampling.LANCZOS).save(file, "JPEG", quality=90)
    return file.getvalue()
