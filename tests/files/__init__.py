"""Picture files made by hand, of every format and kind, as people and their tools write them."""

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tests.pictures import photo

SMALL = np.ascontiguousarray(photo("chelsea")[100:140, 100:160])  # 40 x 60
"""(40, 60, 3) uint8, a piece of a cat."""

GRAY = SMALL[..., 0]
FADE = np.tile(np.linspace(0, 255, 60).astype(np.uint8), (40, 1))
"""(40, 60) uint8, an alpha from clear to opaque."""


def save(image: Image.Image, format: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, format, **options)
    return file.getvalue()


def frames(format: str, count: int, **options: Any) -> bytes:
    """An animation of plain colors, the first of them red."""
    made = [Image.new("RGB", (8, 8), (250 - 20 * i, 20 * i, 0)) for i in range(count)]
    return save(made[0], format, save_all=True, append_images=made[1:], **options)


def white_behind(color: NDArray[Any], alpha: NDArray[Any]) -> NDArray[np.float64]:
    """What alpha in 0..255 leaves of a color on white, by the definition."""
    share = alpha[..., None] / 255.0
    return np.asarray(color * share + 255 * (1 - share))
