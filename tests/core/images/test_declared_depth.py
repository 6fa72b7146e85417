"""Files that say how many bits their samples have, and whether these bear it out."""

import numpy as np
import pytest

from core.images.decode import decode
from tests.files import GRAY, SMALL
from tests.files.deep import camera, deep_png, sbit, shades, three
from tests.files.png import chunk
from tests.files.tiff import written


@pytest.mark.parametrize(
    ("color_type", "said"), [(0, (11,)), (2, (11, 9, 11)), (4, (11, 11)), (6, (10, 11, 10, 11))]
)
def test_a_png_says_its_bits_and_its_samples_bear_it_out(
    color_type: int, said: tuple[int, ...]
) -> None:
    channels = {0: GRAY[..., None], 2: SMALL, 4: np.dstack([GRAY, GRAY])}
    levels = camera(11, channels.get(color_type, np.dstack([SMALL, GRAY])))
    image = decode(deep_png(levels, color_type, sbit(*said)))
    assert image.source.bits == 11
    if color_type in (0, 2):
        np.testing.assert_array_equal(
            image.pixels, np.broadcast_to(shades(levels, 11), SMALL.shape)
        )


@pytest.mark.parametrize("color_type", [0, 2])
def test_samples_that_were_scaled_up_as_png_asks_keep_the_whole_range(color_type: int) -> None:
    """`sBIT` says how many bits there were; a writer that follows the rules has spread them."""
    levels = camera(12, SMALL if color_type == 2 else GRAY)
    said = sbit(*(12,) * (3 if color_type == 2 else 1))
    for dimmer in (1, 64):  # the second below 2048 even when scaled up
        spread = levels // dimmer << 4 | levels // dimmer >> 8
        image = decode(deep_png(spread, color_type, said))
        assert image.source.bits == 16
        expected = shades(spread, 16)
        expected = expected if color_type == 2 else three(expected)
        np.testing.assert_array_equal(image.pixels, expected)


@pytest.mark.parametrize(
    "said",
    [
        sbit(16),
        sbit(12, 12),
        sbit(),
        sbit(0),
        sbit(17),
        chunk(b"sBIT", b"\x0b", checksum=1),
    ],
)
def test_a_png_that_says_nothing_sane_is_guessed_and_one_that_says_all_is_not(said: bytes) -> None:
    image = decode(deep_png(camera(14, GRAY), 0, said))
    assert image.source.bits == (16 if said == sbit(16) else 14)


def test_samples_above_what_the_png_says_keep_the_whole_range() -> None:
    assert decode(deep_png(camera(13, GRAY), 0, sbit(11))).source.bits == 16


def largest(value: int) -> list[tuple[int, int, int, int, bool]]:
    return [(281, 3, 1, value, True)]


@pytest.mark.parametrize("shape", ["gray", "RGB", "RGB in planes"])
def test_a_tiff_says_its_largest_value(shape: str) -> None:
    levels = camera(11, GRAY if shape == "gray" else SMALL)
    options = {
        "gray": {"photometric": "minisblack"},
        "RGB": {"photometric": "rgb"},
        "RGB in planes": {"photometric": "rgb", "planarconfig": "separate"},
    }[shape]
    stored = np.moveaxis(levels, -1, 0) if shape == "RGB in planes" else levels
    image = decode(written(stored, extratags=largest(2047), **options))
    assert image.source.bits == 11
    expected = shades(levels, 11)
    np.testing.assert_array_equal(image.pixels, three(expected) if shape == "gray" else expected)


@pytest.mark.parametrize("value", [0, 255, 3000, 65_535])
def test_a_largest_value_that_is_no_range_is_what_the_picture_happens_to_hold(value: int) -> None:
    levels = camera(12, SMALL)
    image = decode(written(levels, photometric="rgb", extratags=largest(value)))
    assert image.source.bits == 16


def test_samples_above_the_largest_value_refute_it() -> None:
    levels = camera(13, SMALL)
    image = decode(written(levels, photometric="rgb", extratags=largest(4095)))
    assert image.source.bits == 16
