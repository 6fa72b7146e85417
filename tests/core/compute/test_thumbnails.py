"""What is kept of a picture: sizes, likeness to Pillow's own resize, no more than asked for."""

import io

import numpy as np
import pytest
from PIL import Image
from skimage import data

from core.compute.thumbnails import reduce
from core.gallery.distances import PIXEL_SIDE, pixel_vector
from core.types import Pixels


def opened(thumbnail: bytes) -> Pixels:
    image = Image.open(io.BytesIO(thumbnail))
    assert image.format == "JPEG"
    return np.asarray(image)


@pytest.mark.parametrize(
    ("height", "width", "small"),
    [
        (300, 451, (213, 320)),
        (640, 427, (320, 214)),
        (320, 320, (320, 320)),
        (20, 30, (20, 30)),
        (28, 28, (28, 28)),
        (2000, 40, (320, 6)),
        (1, 1000, (1, 320)),
    ],
)
def test_a_thumbnail_has_at_most_320_px_and_keeps_its_shape(
    height: int, width: int, small: tuple[int, int]
) -> None:
    picture = np.zeros((height, width, 3), dtype=np.uint8)
    reduced = reduce(picture, PIXEL_SIDE)
    assert opened(reduced.thumbnail).shape == (*small, 3)
    assert reduced.tiny is not None
    assert reduced.tiny.shape == (32, 32, 3)


def test_both_copies_are_what_pillow_makes() -> None:
    cat = data.chelsea()
    reduced = reduce(cat, PIXEL_SIDE)
    assert reduced.tiny is not None
    tiny = Image.fromarray(cat).resize((32, 32), Image.Resampling.BILINEAR)
    assert np.abs(reduced.tiny.astype(int) - np.asarray(tiny)).max() <= 1
    small = Image.fromarray(cat).resize((320, 213), Image.Resampling.BILINEAR)
    lossy = np.abs(opened(reduced.thumbnail).astype(int) - np.asarray(small))
    assert lossy.mean() < 3


def test_fine_detail_becomes_its_mean() -> None:
    board = np.indices((512, 512)).sum(0) % 2 * np.uint8(255)
    picture = np.repeat(board[..., None], 3, axis=2).astype(np.uint8)
    reduced = reduce(picture, PIXEL_SIDE)
    assert reduced.tiny is not None
    assert np.abs(reduced.tiny[1:-1, 1:-1].astype(int) - 128).max() <= 2


def test_the_picture_itself_is_left_alone() -> None:
    picture = np.full((32, 32, 3), 7, dtype=np.uint8)
    reduced = reduce(picture, PIXEL_SIDE)
    assert reduced.tiny is not None
    assert np.array_equal(reduced.tiny, picture)
    assert np.allclose(pixel_vector(reduced.tiny), 7 / 255)


def test_no_tiny_copy_unless_asked_for() -> None:
    assert reduce(data.coffee()).tiny is None
