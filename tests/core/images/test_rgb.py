import numpy as np
import pytest
from PIL import Image

from core.errors import ImageCorrupt
from core.images.rgb import to_rgb


def test_alpha_is_composited_as_arithmetic_says() -> None:
    random = np.random.default_rng(0)
    rgba = random.integers(0, 256, (16, 16, 4), dtype=np.uint8)
    alpha = rgba[..., 3:] / 255
    expected = np.floor(rgba[..., :3] * alpha + 255 * (1 - alpha) + 0.5)
    difference = to_rgb(Image.fromarray(rgba)) - expected
    assert np.abs(difference).max() <= 1
    assert np.mean(difference != 0) < 0.01


@pytest.mark.parametrize(
    "mode", ["1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr", "HSV"]
)
def test_every_layout_becomes_contiguous_writable_rgb(mode: str) -> None:
    pixels = to_rgb(Image.new(mode, (3, 2)))
    assert pixels.shape == (2, 3, 3)
    assert pixels.dtype == np.uint8
    assert pixels.flags.c_contiguous
    assert pixels.flags.writeable


def test_every_sixteen_bit_value_is_rescaled_to_the_nearest_of_eight_bits() -> None:
    values = np.arange(65_536, dtype=np.uint16).reshape(256, 256)
    expected = np.rint(values / 257)
    np.testing.assert_array_equal(to_rgb(Image.fromarray(values))[..., 0], expected)


def test_integers_beyond_sixteen_bits_are_stretched() -> None:
    values = np.array([[-100, 0, 100]], np.int32)
    assert to_rgb(Image.fromarray(values))[0, :, 0].tolist() == [0, 128, 255]
    assert to_rgb(Image.fromarray(values * 10**7))[0, :, 0].tolist() == [0, 128, 255]


def test_a_flat_float_picture_is_black() -> None:
    assert not to_rgb(Image.fromarray(np.full((2, 2), 7.5, np.float32))).any()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_floats_must_be_finite(value: float) -> None:
    with pytest.raises(ImageCorrupt, match="NaN or infinity"):
        to_rgb(Image.fromarray(np.array([[0, value]], np.float32)))


def test_the_widest_floats_do_not_overflow() -> None:
    largest = np.finfo(np.float32).max
    values = np.array([[-largest, largest]], np.float32)
    assert to_rgb(Image.fromarray(values))[0, :, 0].tolist() == [0, 255]


@pytest.mark.filterwarnings("error")
def test_a_signalling_nan_is_refused_like_any_other() -> None:
    signalling = np.array([[0x7F800001]], np.uint32).view(np.float32)
    with pytest.raises(ImageCorrupt, match="NaN or infinity"):
        to_rgb(Image.frombytes("F", (1, 1), signalling.tobytes()))
