"""Real photos, and files made of arrays."""

import io
from collections.abc import Iterator
from functools import cache
from typing import Any

import numpy as np
import skimage.data
from numpy.typing import NDArray
from PIL import Image
from sklearn.datasets import load_sample_image

NAMES = ("chelsea", "coffee", "rocket", "astronaut", "china", "flower")


@cache
def photo(name: str) -> NDArray[np.uint8]:
    """(H, W, 3) uint8."""
    if name in ("china", "flower"):
        return np.array(load_sample_image(f"{name}.jpg"))
    return np.array(getattr(skimage.data, name)())


def encode(pixels: NDArray[Any], format: str = "JPEG", **options: Any) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, format, **options)
    return file.getvalue()


def jpeg(name: str = "chelsea") -> bytes:
    return encode(photo(name), quality=90)


def hundred_photos() -> Iterator[NDArray[np.uint8]]:
    """Crops of the real photos, seeded: many sizes, shapes and subjects."""
    random = np.random.default_rng(0)
    for i in range(100):
        whole = photo(NAMES[i % len(NAMES)])
        height, width = (int(side * random.uniform(0.5, 1.0)) for side in whole.shape[:2])
        top = random.integers(0, whole.shape[0] - height + 1)
        left = random.integers(0, whole.shape[1] - width + 1)
        yield np.ascontiguousarray(whole[top : top + height, left : left + width])
