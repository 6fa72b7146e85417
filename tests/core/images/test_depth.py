"""Pictures of cameras that see 10, 12 or 14 bits, in files of 16: neither black nor made up."""

import struct
from typing import Any

import numpy as np
import pytest
from PIL import ExifTags, Image

from core.errors import InvalidValue
from core.images.decode import decode
from core.types import ImageFile
from tests.files import FADE, GRAY, SMALL, save, white_behind
from tests.files.deep import Array, camera, deep_png, sbit, shades, three
from tests.files.png import chunk, png
from tests.files.tiff import written
from tests.pictures import encode


@pytest.mark.parametrize("format", ["PNG", "TIFF"])
@pytest.mark.parametrize("bits", [10, 12, 14])
def test_gray_of_a_camera_fills_the_range_it_was_seen_in(bits: int, format: str) -> None:
    levels = camera(bits, GRAY)
    image = decode(encode(levels, format))
    assert (image.source.bits, image.source.mode) == (bits, "I;16")
    np.testing.assert_array_equal(image.pixels, three(shades(levels, bits)))


def test_the_values_of_a_camera_by_hand() -> None:
    image = decode(encode(np.array([[0, 1, 1365, 2048, 4095]], np.uint16), "PNG"))
    assert image.pixels[0, :, 0].tolist() == [0, 0, 85, 128, 255]  # each / 4095 * 255
    assert image.source.bits == 12


def test_what_is_above_fourteen_bits_keeps_the_whole_range() -> None:
    levels = np.array([[0, 301, 16_384]], np.uint16)
    image = decode(encode(levels, "PNG"))
    assert image.source.bits == 16
    assert image.pixels[0, :, 0].tolist() == [0, 1, 64]


def test_a_dim_picture_is_not_stretched_to_its_own_largest_value() -> None:
    """Ten bits are the fewest that are guessed: what a camera hardly sees stays dark."""
    levels = camera(12, GRAY) // 64  # at most 63
    image = decode(encode(levels, "PNG"))
    assert image.source.bits == 10
    assert image.pixels.max() <= 16


@pytest.mark.parametrize("largest", [20, 60])
@pytest.mark.parametrize(
    "scaled",
    [
        lambda dark: dark.astype(np.uint16) * 257,
        lambda dark: dark.astype(np.uint16) << 8,
    ],
)
def test_a_dark_photo_of_eight_bits_that_was_scaled_up_to_sixteen_stays_dark(
    scaled: Any, largest: int
) -> None:
    dark = (GRAY // (256 // largest)).astype(np.uint8)
    levels = scaled(dark)
    assert levels.max() < 2**14
    image = decode(encode(levels, "PNG"))
    assert image.source.bits == 16
    assert np.abs(image.pixels[..., 0].astype(int) - dark).max() <= 1


@pytest.mark.parametrize("said", [b"", sbit(12)])
@pytest.mark.parametrize(
    "spread", [lambda photo: photo << 4, lambda photo: photo * np.uint16(4095) // np.uint16(255)]
)
def test_a_photo_of_eight_bits_in_twelve_is_the_photo(spread: Any, said: bytes) -> None:
    levels = spread(GRAY.astype(np.uint32)).astype(np.uint16)
    image = decode(deep_png(levels, 0, said))
    assert image.source.bits == 12
    assert np.abs(image.pixels[..., 0].astype(int) - GRAY).max() <= 1


@pytest.mark.parametrize("bits", [10, 14])
def test_a_photo_of_eight_bits_that_was_shifted_to_those_of_a_camera_is_the_photo(
    bits: int,
) -> None:
    image = decode(encode(GRAY.astype(np.uint16) << (bits - 8), "TIFF"))
    assert image.source.bits == bits
    assert np.abs(image.pixels[..., 0].astype(int) - GRAY).max() <= 1


@pytest.mark.parametrize("level", [0, 65_535])
def test_black_is_black_and_white_is_white(level: int) -> None:
    image = decode(encode(np.full((4, 5), level, np.uint16), "PNG"))
    assert (image.source.bits, image.pixels.max()) == (16, level // 257)


@pytest.mark.parametrize("name", ["RGB", "RGBA", "LA"])
def test_color_and_alpha_are_not_guessed(name: str) -> None:
    bands = {"RGB": 3, "RGBA": 4, "LA": 2}[name]
    levels = camera(12, np.dstack([SMALL, FADE])[..., -bands:])
    image = decode(deep_png(levels, {3: 2, 4: 6, 2: 4}[bands]))
    assert image.source.bits == 16
    if name == "RGB":
        assert image.pixels.max() <= 16


def test_samples_of_eight_bits_have_no_bits_to_speak_of() -> None:
    for content in (encode(SMALL, "JPEG"), encode(GRAY, "PNG"), encode(SMALL, "TIFF")):
        assert decode(content).source.bits is None
        np.testing.assert_array_equal(decode(content, bits=12).pixels, decode(content).pixels)


def test_floats_and_what_is_stretched_have_none_either() -> None:
    for levels in (GRAY.astype(np.float32), GRAY.astype(np.int32) - 99):
        assert decode(encode(levels, "TIFF")).source.bits is None


def test_integers_of_thirty_two_bits_are_guessed_as_those_of_sixteen() -> None:
    levels = camera(12, GRAY)
    for deep in (levels.astype(np.int32), levels.astype(np.uint32), levels.astype(np.int16)):
        image = decode(written(deep))
        assert image.source.bits == 12
        np.testing.assert_array_equal(image.pixels, three(shades(levels, 12)))


def test_where_white_is_zero_the_largest_value_is_black() -> None:
    levels = camera(12, GRAY)
    image = decode(written(levels, photometric="miniswhite"))
    np.testing.assert_array_equal(image.pixels, three(255 - shades(levels, 12)))


@pytest.mark.parametrize("bits", [9, 12, 15])
@pytest.mark.parametrize("format", ["PNG", "TIFF"])
@pytest.mark.parametrize("shape", ["gray", "RGB"])
def test_the_callers_bits_are_the_range_of_every_channel(
    shape: str, format: str, bits: int
) -> None:
    levels = camera(bits, SMALL if shape == "RGB" else GRAY)
    content = written(levels, photometric="rgb" if shape == "RGB" else "minisblack")
    if format == "PNG":
        content = deep_png(levels, 2 if shape == "RGB" else 0)
    image = decode(content, bits=bits)
    assert image.source.bits == bits
    expected = shades(levels, bits)
    np.testing.assert_array_equal(image.pixels, expected if shape == "RGB" else three(expected))
    assert image.pixels.flags.writeable
    assert image.pixels.flags.c_contiguous


def test_the_callers_bits_beat_guess_and_file() -> None:
    levels = camera(10, GRAY)
    for content in (encode(levels, "PNG"), deep_png(levels, 0, sbit(12))):
        assert decode(content, bits=16).source.bits == 16
        np.testing.assert_array_equal(decode(content, bits=16).pixels, three(shades(levels, 16)))
        np.testing.assert_array_equal(decode(content, bits=14).pixels, three(shades(levels, 14)))


@pytest.mark.parametrize("color_type", [4, 6])
@pytest.mark.parametrize("alpha_bits", [12, 16])
def test_alpha_is_on_the_scale_of_its_colors_or_on_its_own(
    color_type: int, alpha_bits: int
) -> None:
    color = camera(12, SMALL if color_type == 6 else GRAY[..., None])
    alpha = np.rint(FADE * ((2**alpha_bits - 1) / 255)).astype(np.uint16)
    image = decode(deep_png(np.dstack([color, alpha]), color_type), bits=12)
    expected = white_behind(shades(color, 12), shades(alpha, alpha_bits))
    assert np.abs(image.pixels - expected).max() <= 1


def test_the_color_that_is_transparent_is_found_by_all_its_bits() -> None:
    levels = np.array([[[1000, 20, 3], [1000, 20, 4]]], np.uint16)
    content = deep_png(levels, 2, chunk(b"tRNS", struct.pack(">3H", 1000, 20, 3)))
    image = decode(content, bits=10)
    assert image.pixels[0].tolist() == [[255, 255, 255], [249, 5, 1]]  # each / 1023 * 255


@pytest.mark.parametrize("orientation", [1, 6])
def test_a_deep_picture_is_turned_and_interlaced_ones_are_whole(orientation: int) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    levels = camera(12)
    content = deep_png(levels, 2, chunk(b"eXIf", exif.tobytes().removeprefix(b"Exif\0\0")))
    expected = shades(levels, 12)
    upright = expected if orientation == 1 else np.rot90(expected, -1)
    np.testing.assert_array_equal(decode(content, bits=12).pixels, upright)


def interlaced(levels: Array) -> bytes:
    """RGB of 16 bits in the seven passes of Adam7."""
    passes = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2),
              (1, 0, 2, 1))  # fmt: skip
    parts = [levels[top::down, left::right] for top, left, down, right in passes]
    rows = [b"\0" + row.astype(">u2").tobytes() for part in parts for row in part if row.size]
    height, width = levels.shape[:2]
    content = bytearray(png(width, height, 2, b"".join(rows), 16))
    header = content[12:28] + b"\1"
    return bytes(content[:8] + chunk(b"IHDR", bytes(header[4:])) + content[33:])


def test_an_interlaced_picture_is_read_to_its_last_bit() -> None:
    levels = camera(12)
    np.testing.assert_array_equal(decode(interlaced(levels), bits=12).pixels, shades(levels, 12))


@pytest.mark.parametrize(
    ("levels", "bits", "allowed"),
    [
        (np.array([[0, 4096]], np.uint16), 12, "13 to 16: the largest sample is 4096"),
        (np.array([[0, 300]], np.uint16), 8, "9 to 16: the largest sample is 300"),
        (np.array([[-5, 300]], np.int32), 12, "left out: samples from -5 to 300 are stretched"),
        (np.array([[0, 70_000]], np.int32), 16, "left out: samples from 0 to 70000 are stretched"),
    ],
)
def test_bits_that_do_not_hold_the_samples_are_refused(
    levels: Array, bits: int, allowed: str
) -> None:
    with pytest.raises(InvalidValue, match=f"bits.*{bits}.*{allowed}"):
        decode(encode(levels, "TIFF"), bits=bits)


@pytest.mark.parametrize("bits", [-1, 0, 7, 17])
def test_bits_out_of_range_are_refused(bits: int) -> None:
    with pytest.raises(InvalidValue, match="8 to 16"):
        ImageFile(b"", bits)


def test_the_saved_file_of_pillow_is_the_file_made_by_hand() -> None:
    levels = camera(12, GRAY)
    by_pillow = decode(save(Image.fromarray(levels), "PNG"))
    np.testing.assert_array_equal(by_pillow.pixels, decode(deep_png(levels, 0)).pixels)
