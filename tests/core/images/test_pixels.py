import struct

import numpy as np
import pytest
from PIL import ExifTags, Image

from core.errors import ImageCorrupt
from core.images.decode import decode
from tests.files import SMALL, save
from tests.files.png import chunk, png
from tests.pictures import encode, jpeg


@pytest.mark.parametrize("format", ["PNG", "BMP", "TIFF", "WEBP"])
def test_lossless_formats_keep_every_pixel(format: str) -> None:
    options = {"lossless": True} if format == "WEBP" else {}
    image = decode(encode(SMALL, format, **options))
    np.testing.assert_array_equal(image.pixels, SMALL)
    assert image.source.format == format
    assert (image.source.width, image.source.height, image.source.mode) == (60, 40, "RGB")


@pytest.mark.parametrize("format", ["JPEG", "AVIF"])
def test_lossy_formats_come_close(format: str) -> None:
    image = decode(encode(SMALL, format, quality=95))
    assert np.abs(image.pixels.astype(int) - SMALL).mean() < 4
    assert image.source.format == format


def test_pixels_are_contiguous_writable_rgb() -> None:
    for image in (decode(jpeg()), decode(encode(SMALL[..., 0], "PNG"))):
        assert image.pixels.dtype == np.uint8
        assert image.pixels.flags.c_contiguous
        assert image.pixels.flags.writeable


def test_cmyk_is_converted() -> None:
    red = Image.new("CMYK", (16, 16), (0, 255, 255, 0))
    image = decode(save(red, "JPEG", quality=95))
    assert image.source.mode == "CMYK"
    assert np.abs(image.pixels.astype(int) - (255, 0, 0)).max() < 12


def test_gray_with_alpha_is_composited_on_white() -> None:
    stored = np.zeros((1, 3, 2), np.uint8)
    stored[0, :, 1] = 0, 128, 255  # black; transparent, half, opaque
    image = decode(encode(stored, "PNG"))
    assert image.source.mode == "LA"
    assert [tuple(each) for each in image.pixels[0]] == [(255,) * 3, (127,) * 3, (0,) * 3]


def test_color_with_alpha_is_composited_on_white() -> None:
    stored = np.array([[[200, 100, 0, 0], [200, 100, 0, 255], [200, 100, 0, 51]]], np.uint8)
    image = decode(encode(stored, "PNG"))
    expected = np.rint(255 + (np.array([200, 100, 0]) - 255) * 0.2)
    np.testing.assert_array_equal(image.pixels[0], [[255] * 3, [200, 100, 0], expected])


@pytest.mark.parametrize("transparency", [0, b"\x00\xff"])
def test_a_palettes_transparency_becomes_white(transparency: int | bytes) -> None:
    palette = Image.new("P", (2, 1))
    palette.putpalette([255, 0, 0, 0, 0, 255])
    palette.putdata([0, 1])
    image = decode(save(palette, "PNG", transparency=transparency))
    assert image.source.mode == "P"
    np.testing.assert_array_equal(image.pixels[0], [[255, 255, 255], [0, 0, 255]])


def test_a_single_transparent_color_becomes_white() -> None:
    stored = np.array([[[255, 0, 0], [0, 0, 255]]], np.uint8)
    image = decode(encode(stored, "PNG", transparency=(255, 0, 0)))
    np.testing.assert_array_equal(image.pixels[0], [[255, 255, 255], [0, 0, 255]])


def test_black_and_white_and_gray_become_rgb() -> None:
    bits = Image.new("1", (2, 1))
    bits.putdata([0, 255])
    np.testing.assert_array_equal(decode(save(bits, "PNG")).pixels[0], [[0] * 3, [255] * 3])
    gray = decode(encode(SMALL[..., 0], "PNG")).pixels
    np.testing.assert_array_equal(gray, np.repeat(SMALL[..., :1], 3, axis=2))


@pytest.mark.parametrize("format", ["PNG", "TIFF"])
def test_sixteen_bits_are_rescaled_never_clipped(format: str) -> None:
    levels = np.array([[0, 256, 257, 32_768, 65_535]], np.uint16)
    image = decode(encode(levels, format))
    assert image.source.mode == "I;16"
    assert [int(each) for each in image.pixels[0, :, 0]] == [0, 1, 1, 128, 255]


def test_big_endian_sixteen_bits_are_the_same() -> None:
    levels = np.array([[0, 257, 65_535]], np.uint16)
    content = save(Image.frombytes("I;16B", (3, 1), levels.astype(">u2").tobytes()), "TIFF")
    assert [int(each) for each in decode(content).pixels[0, :, 0]] == [0, 1, 255]


def test_sixteen_bit_transparency_becomes_white() -> None:
    levels = np.array([[0, 30_000]], np.uint16)
    image = decode(encode(levels, "PNG", transparency=30_000))
    assert [int(each) for each in image.pixels[0, :, 0]] == [0, 255]


def test_floats_are_stretched_and_must_be_finite() -> None:
    image = decode(encode(np.array([[-2.0, 0.0, 2.0]], np.float32), "TIFF"))
    assert [int(each) for each in image.pixels[0, :, 0]] == [0, 128, 255]
    with pytest.raises(ImageCorrupt, match="NaN"):
        decode(encode(np.array([[0.0, np.nan]], np.float32), "TIFF"))


def gray_png(depth: int, data: bytes, transparent: int, width: int = 4) -> bytes:
    more = chunk(b"tRNS", struct.pack(">H", transparent))
    return png(width, 1, 0, b"\0" + data, depth, more)


@pytest.mark.parametrize(
    ("depth", "data", "shades"),
    [
        (1, b"\x50", [0, 255, 0, 255]),
        (2, b"\x1b", [0, 85, 170, 255]),
        (4, b"\x01\x2f", [0, 17, 34, 255]),
        (8, b"\x00\x01\x02\xff", [0, 1, 2, 255]),
    ],
)
@pytest.mark.parametrize("transparent", [0, 1])
def test_a_transparent_gray_counts_at_every_depth(
    depth: int, data: bytes, shades: list[int], transparent: int
) -> None:
    shades = [255 if shade == shades[transparent] else shade for shade in shades]
    if depth == 1:
        shades = [255] * 4 if transparent == 0 else [0, 255, 0, 255]
    pixels = decode(gray_png(depth, data, transparent)).pixels
    np.testing.assert_array_equal(pixels[0], np.repeat(np.array(shades)[:, None], 3, axis=1))


def test_a_transparent_color_of_sixteen_bits_becomes_white() -> None:
    data = b"\0" + struct.pack(">6H", 1000, 20_000, 3000, 50_000, 20_000, 3000)
    more = chunk(b"tRNS", struct.pack(">3H", 1000, 20_000, 3000))
    pixels = decode(png(2, 1, 2, data, 16, more)).pixels
    assert pixels[0, 0].tolist() == [255, 255, 255]
    expected = np.array([50_000, 20_000, 3000]) / 257
    assert np.abs(pixels[0, 1] - expected).max() <= 1


@pytest.mark.parametrize("mode", ["I;16", "I;16B", "I", "F"])
@pytest.mark.parametrize("compression", ["raw", "tiff_lzw"])
@pytest.mark.parametrize("orientation", [1, 6])
def test_deep_gray_tiffs_are_rescaled_and_turned(
    mode: str, compression: str, orientation: int
) -> None:
    values = np.array([[0, 257, 65_535], [300, 25_700, 40_000]])
    dtype = {"I;16": "<u2", "I;16B": ">u2", "I": "<i4", "F": "<f4"}[mode]
    stored = Image.frombytes(mode, (3, 2), values.astype(dtype).tobytes())
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    image = decode(save(stored, "TIFF", compression=compression, exif=exif))
    gray = np.rint(values / 257).astype(np.uint8)
    expected = gray if orientation == 1 else np.rot90(gray, -1)
    np.testing.assert_array_equal(image.pixels, np.repeat(expected[..., None], 3, axis=2))
