"""TIFFs whose samples of 9 to 15 bits stand without gaps."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from core.errors import ImageCorrupt
from core.images.decode import decode
from tests.files import FADE, GRAY, white_behind
from tests.files.deep import Array, camera, shades, three
from tests.files.tiff import tiff


def packed(levels: Array, bits: int) -> bytes:
    """Rows of samples without gaps, each row filled up to a whole byte."""
    rows = levels.reshape(len(levels), -1).tolist()
    written_out = ("".join(f"{level:0{bits}b}" for level in row) for row in rows)
    filled = (text + "0" * (-len(text) % 8) for text in written_out)
    return b"".join(int(text, 2).to_bytes(len(text) // 8, "big") for text in filled)


def packed_tiff(levels: Array, bits: int, more: dict[int, int] | None = None) -> bytes:
    height, width, samples = (*levels.shape, 1)[:3]
    pixels = packed(levels, bits)
    if more and more.get(259) == 8:
        pixels = zlib.compress(pixels)
    tags = {256: width, 257: height, 258: bits, 259: 1, 262: 2 if samples == 3 else 1, 273: 0}
    tags |= {277: samples, 278: height, 279: len(pixels)} | (more or {})
    tags[273] = 10 + 12 * len(tags) + 4
    return tiff(dict(tags), pixels)


@pytest.mark.parametrize("bits", [9, 10, 11, 12, 13, 14, 15])
@pytest.mark.parametrize("width", [60, 59])
def test_packed_samples_are_taken_apart(bits: int, width: int) -> None:
    levels = camera(bits, GRAY[:, :width])
    image = decode(packed_tiff(levels, bits))
    assert (image.source.bits, image.source.mode) == (bits, f"L;{bits}")
    np.testing.assert_array_equal(image.pixels, three(shades(levels, bits)))


def test_packed_samples_are_taken_apart_where_they_are_compressed() -> None:
    levels = camera(12, GRAY)
    image = decode(packed_tiff(levels, 12, {259: 8}))
    np.testing.assert_array_equal(image.pixels, three(shades(levels, 12)))


def test_packed_samples_are_what_pillow_reads_of_twelve_bits() -> None:
    levels = camera(12, GRAY)
    content = packed_tiff(levels, 12)
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(content))), levels)
    np.testing.assert_array_equal(decode(content).pixels, three(shades(levels, 12)))


def test_dark_packed_samples_stay_dark() -> None:
    """They have no more room than they need: nothing is to guess."""
    levels = camera(12, GRAY) // 16
    image = decode(packed_tiff(levels, 12))
    assert image.source.bits == 12
    np.testing.assert_array_equal(image.pixels, three(shades(levels, 12)))


def test_packed_colors_are_taken_apart() -> None:
    levels = camera(12)
    image = decode(packed_tiff(levels, 12))
    assert image.source.mode == "RGB;12"
    np.testing.assert_array_equal(image.pixels, shades(levels, 12))


def test_packed_tiles_are_put_together() -> None:
    levels = camera(12, GRAY)  # 40 x 60 in tiles of 32 x 32
    padded = np.pad(levels, ((0, 24), (0, 4)))
    tiles = [packed(padded[top : top + 32, left : left + 32], 12)
             for top in (0, 32) for left in (0, 32)]  # fmt: skip
    tags: dict[int, int | tuple[int, int]] = {
        256: 60, 257: 40, 258: 12, 259: 1, 262: 1, 277: 1, 322: 32, 323: 32,
    }  # fmt: skip
    start = 10 + 12 * (len(tags) + 2) + 4
    size = len(tiles[0])
    offsets = struct.pack("<4I", *(start + 32 + size * i for i in range(4)))
    tags |= {324: (4, start), 325: (4, start + 16)}
    content = tiff(tags, offsets + struct.pack("<4I", *(size,) * 4) + b"".join(tiles))
    np.testing.assert_array_equal(decode(content).pixels, three(shades(levels, 12)))


def test_packed_samples_with_alpha_fade_by_their_own_range() -> None:
    levels = camera(12, GRAY)
    alpha = np.rint(FADE * (4095 / 255)).astype(np.uint16)
    content = packed_tiff(np.dstack([levels, alpha]), 12, {338: 2})
    for asked in (None, 12, 16):
        image = decode(content, bits=asked)
        expected = white_behind(three(shades(levels, asked or 12)), shades(alpha, 12))
        assert np.abs(image.pixels - expected).max() <= 1


def test_a_packed_file_that_ends_early_is_cut_off() -> None:
    with pytest.raises(ImageCorrupt, match="TIFF"):
        decode(packed_tiff(camera(12, GRAY), 12)[:-700])
