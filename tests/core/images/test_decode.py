import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from core.errors import (
    ImageCorrupt,
    ImageTooLarge,
    ImageUnsupported,
    InvalidValue,
    RequestUnreadable,
)
from core.images.decode import MAX_TIFF_PIECES, ImageLimits, decode
from tests.files import SMALL, save
from tests.files.png import png
from tests.files.tiff import tiff
from tests.files.webp import chunk, riff
from tests.pictures import encode, jpeg, photo


def test_an_empty_file_is_refused() -> None:
    with pytest.raises(RequestUnreadable, match="0 bytes"):
        decode(b"")


@pytest.mark.parametrize(
    ("content", "hint"),
    [
        (b"I am a text that somebody named cat.jpg", "JPEG, PNG, WEBP"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "SVG"),
        (b"<?xml version='1.0'?><svg/>", "SVG"),
        (b"%PDF-1.7", "PDF"),
        (b"<!DOCTYPE html><html>", "HTML"),
        (b"PK\x03\x04", "ZIP"),
        (b"\x1f\x8b\x08", "gzip"),
        (b"\0\0\1\0\1\0", "JPEG, PNG, WEBP"),
        (b"\0\0\0\x18ftypheic", "HEI"),
    ],
)
def test_what_is_no_picture_is_refused_with_the_formats_taken(content: bytes, hint: str) -> None:
    with pytest.raises((ImageUnsupported, ImageCorrupt), match=hint):
        decode(content)


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF"])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.8])
def test_a_cut_off_file_is_corrupt(format: str, share: float) -> None:
    content = encode(photo("coffee"), format)
    with pytest.raises(ImageCorrupt, match=format):
        decode(content[: int(len(content) * share)])


def test_pixels_are_counted_before_any_is_decoded() -> None:
    with pytest.raises(ImageTooLarge, match="50000 x 50000 = 2500000000 pixels"):
        decode(png(50_000, 50_000))


def test_a_webp_is_counted_by_its_header() -> None:
    lossless = riff(chunk(b"VP8L", b"\x2f" + struct.pack("<I", 16_382 | 16_382 << 14) + bytes(8)))
    lossy = riff(
        chunk(b"VP8 ", b"\x30\1\0\x9d\x01\x2a" + struct.pack("<HH", 16_383, 16_383) + bytes(8))
    )
    canvas = riff(chunk(b"VP8X", bytes(4) + (16_382).to_bytes(3, "little") * 2))
    for content in (lossless, lossy, canvas):
        with pytest.raises(ImageTooLarge, match="16383 x 16383 = 268402689 pixels"):
            decode(content)


def test_a_tiff_is_counted_by_its_header() -> None:
    with pytest.raises(ImageTooLarge, match="60000 x 60000"):
        decode(tiff({256: 60_000, 257: 60_000, 258: 8, 259: 1, 262: 1, 273: 8, 279: 1}))


def test_a_tiff_of_more_strips_than_any_picture_has_is_refused() -> None:
    count = MAX_TIFF_PIECES + 1
    tags = {256: 1, 257: 2, 258: 8, 259: 1, 262: 1, 273: (count, 110), 278: 1, 279: 1}
    with pytest.raises(ImageTooLarge, match=f"{count} pieces"):
        decode(tiff(tags, struct.pack("<I", 110) * count))


def test_a_tiffs_tile_is_held_against_the_limit_too() -> None:
    tile = zlib.compress(bytes(200_000))
    tags = {256: 1, 257: 1, 258: 8, 259: 8, 262: 1, 322: 20_000, 323: 20_000, 324: 122}
    with pytest.raises(ImageTooLarge, match="20000 x 20000"):
        decode(tiff(tags | {325: len(tile)}, tile))


def test_a_bmp_is_counted_by_its_header() -> None:
    content = bytearray(encode(SMALL, "BMP"))
    content[18:26] = struct.pack("<ii", 60_000, 60_000)
    with pytest.raises(ImageTooLarge):
        decode(bytes(content))


def test_pillows_own_limit_is_off_because_ours_comes_first() -> None:
    assert Image.MAX_IMAGE_PIXELS is None


def test_a_gif_frame_larger_than_its_screen_is_counted_too() -> None:
    content = bytearray(save(Image.new("P", (2, 2)), "GIF"))
    at = content.index(b"\x2c\0\0\0\0")
    content[at + 5 : at + 9] = struct.pack("<HH", 60_000, 60_000)
    with pytest.raises(ImageTooLarge):
        decode(bytes(content))


def test_a_picture_may_be_one_pixel_but_not_a_thread() -> None:
    assert decode(encode(np.zeros((1, 1, 3), np.uint8), "PNG")).pixels.shape == (1, 1, 3)
    with pytest.raises(InvalidValue, match="1 x 20000"):
        decode(encode(np.zeros((20_000, 1, 3), np.uint8), "PNG"))


def test_bytes_are_limited() -> None:
    content = encode(SMALL, "PNG")
    with pytest.raises(ImageTooLarge, match=f"{len(content)} bytes"):
        decode(content, ImageLimits(max_bytes=len(content) - 1))
    assert decode(content, ImageLimits(max_bytes=len(content)))


@pytest.mark.parametrize("name", ["max_bytes", "max_pixels", "max_aspect"])
def test_a_limit_below_one_is_refused(name: str) -> None:
    with pytest.raises(InvalidValue, match=name):
        ImageLimits(**{name: 0})


# ---- shrinking while decoding ----


def test_a_large_jpeg_may_be_decoded_small_but_is_described_as_it_is() -> None:
    content = encode(np.zeros((1500, 2000, 3), np.uint8))
    image = decode(content, min_side_px=300)
    assert image.pixels.shape == (375, 500, 3)
    assert (image.source.width, image.source.height) == (2000, 1500)


@pytest.mark.parametrize("side", [376, 700, 751, 1500, 9000])
def test_the_shorter_side_is_kept(side: int) -> None:
    content = encode(np.zeros((1500, 2000, 3), np.uint8))
    shorter = min(decode(content, min_side_px=side).pixels.shape[:2])
    assert shorter >= min(side, 1500)


@pytest.mark.parametrize("side", [0, -1])
def test_a_side_below_one_pixel_is_refused(side: int) -> None:
    with pytest.raises(InvalidValue, match="min_side_px"):
        decode(jpeg(), min_side_px=side)


def test_only_what_pays_is_shrunk() -> None:
    content = encode(np.zeros((100, 200, 3), np.uint8))
    assert decode(content, min_side_px=51).pixels.shape == (100, 200, 3)
    assert decode(content, min_side_px=50).pixels.shape == (50, 100, 3)
    assert decode(encode(SMALL, "PNG"), min_side_px=1).pixels.shape == SMALL.shape
