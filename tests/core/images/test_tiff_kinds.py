"""TIFFs as Photoshop, ImageJ, NumPy users and cameras write them: read right, or named."""

import struct
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from skimage.color import lab2rgb

from core.errors import ImageCorrupt, ImageTooLarge, ImageUnsupported
from core.images.decode import ImageLimits, decode
from tests.files import FADE, GRAY, SMALL, save, white_behind
from tests.files.tiff import tiff, written

Array = NDArray[Any]
SIXTEEN = SMALL.astype(np.uint16) * 257
FADE16 = FADE.astype(np.uint16) * 257
STRETCHED = (GRAY - GRAY.min()) * (255 / (GRAY.max() - GRAY.min()))
UNIT = (SMALL / 255).astype(np.float32)
ALPHA: dict[str, Any] = {"extrasamples": ["unassalpha"]}
RGB: dict[str, Any] = {"photometric": "rgb"}
PLANES: dict[str, Any] = {"photometric": "rgb", "planarconfig": "separate"}
BLACK: dict[str, Any] = {"photometric": "minisblack"}
CMYK: dict[str, Any] = {"photometric": "separated"}
INKS = np.dstack([255 - SMALL, np.full(GRAY.shape, 20, np.uint8)])
PRINTED = SMALL * (235 / 255)  # those inks on paper: each color less the black


def three(gray: Array) -> Array:
    return np.repeat(gray[..., None], 3, axis=2)


def bands(*layers: Array) -> Array:
    return np.concatenate([each.reshape(*each.shape[:2], -1) for each in layers], axis=2)


READ = {
    "gray 16 with alpha": (bands(SIXTEEN[..., :1], FADE16), BLACK | ALPHA, (three(GRAY), FADE)),
    "gray 16, white is 0": (65535 - SIXTEEN[..., 0], {"photometric": "miniswhite"}, three(GRAY)),
    "gray 32": (SIXTEEN[..., 0].astype(np.uint32), {}, three(GRAY)),
    "gray 32, its whole range": (GRAY.astype(np.uint32) << 24, {}, three(STRETCHED)),
    "gray signed 8": ((GRAY // 2).astype(np.int8), {}, None),
    "RGB 16": (SIXTEEN, RGB, SMALL),
    "RGB 16 in planes": (np.moveaxis(SIXTEEN, -1, 0), PLANES, SMALL),
    "RGB 16 with two more": (bands(SIXTEEN, FADE16, FADE16), RGB | {"extrasamples": [0, 0]}, SMALL),
    "RGB 32": (SIXTEEN.astype(np.uint32), RGB, SMALL),
    "RGB float 16": (UNIT.astype(np.float16), RGB, SMALL),
    "RGB float 32": (UNIT, RGB, SMALL),
    "RGB float 64": (UNIT.astype(np.float64), RGB, SMALL),
    "RGB float in planes": (np.moveaxis(UNIT, -1, 0), PLANES, SMALL),
    "RGBA 8": (bands(SMALL, FADE), RGB | ALPHA, (SMALL, FADE)),
    "RGBA 16": (bands(SIXTEEN, FADE16), RGB | ALPHA, (SMALL, FADE)),
    "RGBA 16 in planes": (
        np.moveaxis(bands(SIXTEEN, FADE16), -1, 0),
        PLANES | ALPHA,
        (SMALL, FADE),
    ),
    "RGBA float": (bands(UNIT, (FADE / 255).astype(np.float32)), RGB | ALPHA, (SMALL, FADE)),
    "RGBA 32": (
        bands(SIXTEEN, FADE16).astype(np.uint32) * np.array([1, 1, 1, 65537], np.uint32),
        RGB | ALPHA,
        (SMALL, FADE),
    ),
    "CMYK": (INKS, CMYK, PRINTED),
    "CMYK with alpha": (bands(INKS, FADE), CMYK | ALPHA, (PRINTED, FADE)),
    "CMYK 16 with alpha": (
        bands(INKS, FADE).astype(np.uint16) * 257,
        CMYK | ALPHA,
        (PRINTED, FADE),
    ),
    "CMYK with a spot color": (bands(INKS, FADE), CMYK | {"extrasamples": [0]}, PRINTED),
}


def seen(expected: Any) -> Array:
    return white_behind(*expected) if isinstance(expected, tuple) else np.asarray(expected)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("storage", [{}, {"rowsperstrip": 7}, {"tile": (16, 32)}], ids=str)
@pytest.mark.parametrize("codec", [{}, {"compression": "zlib"}], ids=str)
@pytest.mark.parametrize("name", READ)
def test_a_tiff_is_read_as_its_samples_say(
    name: str, codec: dict[str, Any], storage: dict[str, Any], order: str
) -> None:
    pixels, options, expected = READ[name]
    content = written(pixels, byteorder=order, **codec, **storage, **options)
    image = decode(content)
    assert (image.source.width, image.source.height) == (60, 40)
    if expected is not None:
        assert np.abs(image.pixels - seen(expected)).max() <= 2
        assert np.abs(image.pixels - seen(expected)).mean() <= 0.6


@pytest.mark.parametrize("storage", [{"rowsperstrip": 7}, {"tile": (16, 32)}], ids=str)
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("pixels", [SIXTEEN.astype(np.uint32), SIXTEEN], ids=["32", "16"])
def test_differences_are_summed_up_before_samples_are_understood(
    pixels: Array, order: str, storage: dict[str, Any]
) -> None:
    """Predictor 2, which Photoshop's LZW and ZIP use; in planes, so that Pillow cannot help."""
    content = written(
        np.moveaxis(pixels, -1, 0),
        compression="zlib",
        predictor=True,
        byteorder=order,
        **storage,
        **PLANES,
    )
    np.testing.assert_array_equal(decode(content).pixels, SMALL)


def test_float_differences_are_summed_up_byte_by_byte() -> None:
    """Predictor 3, written here as the note that defines it says."""
    rows = UNIT.reshape(40, 180).astype(">f4").view(np.uint8).reshape(40, 180, 4)
    planes = rows.transpose(0, 2, 1).reshape(40, 240, 3)  # 720 bytes, differences three apart
    differences = np.diff(planes, axis=1, prepend=np.zeros((40, 1, 3), np.uint8))
    plain = written(UNIT, photometric="rgb")
    start = plain.index(UNIT.tobytes())
    content = bytearray(plain[:start] + differences.tobytes() + plain[start + UNIT.nbytes :])
    at = content.index(struct.pack("<HHI", 284, 3, 1))  # PlanarConfiguration says 1: the default
    content[at : at + 12] = struct.pack("<HHII", 317, 3, 1, 3)
    np.testing.assert_array_equal(decode(bytes(content)).pixels, SMALL)


@pytest.mark.parametrize("orientation", [1, 3, 6])
def test_such_tiffs_are_turned_too(orientation: int) -> None:
    extra = [(274, 3, 1, orientation, True)]
    image = decode(written(UNIT, photometric="rgb", extratags=extra))
    turned = {1: SMALL, 3: SMALL[::-1, ::-1], 6: np.rot90(SMALL, -1)}[orientation]
    np.testing.assert_array_equal(image.pixels, turned)
    assert image.source.orientation == orientation
    assert (image.source.format, image.source.mode, image.source.frames) == ("TIFF", "RGB;32F", 1)


def test_premultiplied_alpha_is_not_multiplied_again() -> None:
    premultiplied = np.rint(SMALL * (FADE[..., None] / 255)).astype(np.uint16) * 257
    content = written(
        np.moveaxis(bands(premultiplied, FADE16), -1, 0), **PLANES, extrasamples=["assocalpha"]
    )
    difference = decode(content).pixels - white_behind(SMALL, FADE)
    assert np.abs(difference).mean() < 1


@pytest.mark.parametrize("span", [(-3.0, 5.0), (0.0, 1000.0)])
def test_floats_of_three_colors_beyond_their_unit_are_stretched_together(
    span: tuple[float, float],
) -> None:
    low, high = span
    stored = (SMALL / 255 * (high - low) + low).astype(np.float32)
    stored[0, 0], stored[0, 1] = low, high
    expected = SMALL.copy()
    expected[0, 0], expected[0, 1] = 0, 255
    assert (
        np.abs(decode(written(stored, photometric="rgb")).pixels - expected.astype(int)).max() <= 1
    )


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_floats_of_three_colors_must_be_finite(value: float) -> None:
    stored = UNIT.copy()
    stored[3, 3, 1] = value
    with pytest.raises(ImageCorrupt, match="NaN or infinity"):
        decode(written(stored, photometric="rgb"))


def test_lab_is_converted_as_the_standard_says() -> None:
    lab = np.array([[[53.0, 60, 47], [60, -20, 40], [70, 10, -40], [100, 0, 0]]])
    stored = np.rint(lab * np.array([2.55, 1, 1])).astype(np.int64).astype(np.uint8)
    image = decode(written(stored, photometric="cielab"))
    assert image.source.mode == "LAB"
    assert np.abs(image.pixels - lab2rgb(lab) * 255).max() <= 15


NAMED = {
    "16-bit CIELab": written(SIXTEEN, photometric="cielab"),
    "8-bit ICCLab": written(SMALL, photometric="icclab"),
    "64-bit complex gray": written(GRAY.astype(np.complex64)),
    "64-bit gray": written(GRAY.astype(np.uint64)),
    "12-bit signed gray": tiff({256: 2, 257: 1, 258: 12, 259: 1, 262: 1, 273: 8, 279: 3, 339: 2}),
    "16-bit palette": tiff({256: 2, 257: 1, 258: 16, 259: 1, 262: 3, 273: 8, 279: 4}),
    "16-bit gray of 5 samples per pixel": written(
        bands(SIXTEEN, SIXTEEN[..., :2]), **BLACK, planarconfig="contig"
    ),
    "JPEG 2000": tiff({256: 2, 257: 1, 258: 8, 259: 34712, 262: 1, 273: 8, 279: 4}),
    "method 60000": tiff({256: 2, 257: 1, 258: 8, 259: 60000, 262: 1, 273: 8, 279: 4}),
    "subsampled YCbCr": tiff(
        {256: 2, 257: 2, 258: 8, 259: 1, 262: 6, 273: 8, 277: 3, 279: 6, 530: 2 | 2 << 16}
    ),
    "BigTIFF of big-endian": written(SMALL, bigtiff=True, byteorder=">"),
    "camera RAW": tiff({254: 1, 256: 2, 257: 1, 258: 8, 259: 1, 262: 2, 273: 8, 279: 6, 330: 8}),
}


@pytest.mark.parametrize("name", NAMED)
def test_a_kind_of_tiff_that_is_not_taken_is_named(name: str) -> None:
    with pytest.raises(ImageUnsupported, match=f"{name}.*, which is not taken; taken: JPEG"):
        decode(NAMED[name])


@pytest.mark.parametrize("sign", ["CR2", "DNG", "sensor"])
def test_camera_files_are_not_mistaken_for_their_previews(sign: str) -> None:
    tags = {256: 2, 257: 1, 258: 8, 259: 1, 262: 1, 273: 8, 279: 2}
    content = {
        "CR2": save(Image.fromarray(SMALL), "TIFF")[:8] + b"CR\2\0",
        "DNG": tiff(tags | {50706: 0x0104}),
        "sensor": tiff(tags | {262: 32803}),
    }[sign]
    if sign == "CR2":
        content = tiff(tags).replace(b"\x08\0\0\0", b"\x10\0\0\0", 1)
        content = content[:8] + b"CR\2\0\0\0\0\0" + content[8:]
    with pytest.raises(ImageUnsupported, match="camera RAW"):
        decode(content)


def test_a_page_of_a_pyramid_is_no_camera_file() -> None:
    """Small copies below a picture in full, as microscopes write them."""
    tags = {254: 0, 256: 2, 257: 1, 258: 8, 259: 1, 262: 1, 273: 8, 279: 2, 330: 8}
    assert decode(tiff(tags)).pixels.shape == (1, 2, 3)


def test_the_bytes_of_deep_pixels_are_limited() -> None:
    """Floats of three colors hold 12 bytes for each pixel, four times what RGBA does."""
    content = written(UNIT, photometric="rgb")
    with pytest.raises(ImageTooLarge, match="28800 bytes; at most 28796"):
        decode(content, ImageLimits(max_pixels=7199))
    assert decode(content, ImageLimits(max_pixels=7200))
    with pytest.raises(ImageTooLarge, match="60 x 40"):
        decode(content, ImageLimits(max_pixels=2399))


def test_tiles_of_deep_pixels_are_limited() -> None:
    tags = {256: 8, 257: 8, 258: 32, 259: 8, 262: 2, 277: 3, 322: 60_000, 323: 60_000, 324: 8}
    with pytest.raises(ImageTooLarge, match="bytes"):
        decode(tiff(tags | {325: 10, 339: 3}))


def test_tiles_without_a_size_are_damaged() -> None:
    tags = {256: 8, 257: 8, 258: 32, 259: 8, 262: 2, 277: 3, 322: 0, 323: 16, 324: 8, 325: 10}
    with pytest.raises(ImageCorrupt, match="0 x 16"):
        decode(tiff(tags | {339: 3}))


@pytest.mark.parametrize("share", [0.3, 0.9])
def test_a_cut_off_deep_tiff_is_corrupt(share: float) -> None:
    content = written(np.moveaxis(SIXTEEN, -1, 0), compression="zlib", **PLANES)
    with pytest.raises(ImageCorrupt, match="TIFF"):
        decode(content[: int(len(content) * share)])


def test_fax_and_bits_are_read() -> None:
    bits = Image.fromarray(SMALL).convert("1")
    for codec in ("group3", "group4", "packbits", "raw"):
        image = decode(save(bits, "TIFF", compression=codec))
        np.testing.assert_array_equal(image.pixels[..., 0], np.array(bits) * np.uint8(255))
