import io
import struct
import threading
import zlib
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageOps

from core.errors import (
    ImageCorrupt,
    ImageTooLarge,
    ImageUnsupported,
    InvalidValue,
    RequestUnreadable,
    SeethroughError,
)
from core.formats import FORMATS
from core.images import MAX_COUNTED_FRAMES, ImageLimits, decode
from tests.pictures import encode, jpeg, photo

Gray = NDArray[np.uint8]
SMALL = photo("chelsea")[100:140, 100:160]  # 40 x 60
INVERSE = {1: 1, 2: 2, 3: 3, 4: 4, 5: 5, 6: 8, 7: 7, 8: 6}


def save(image: Image.Image, format: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, format, **options)
    return file.getvalue()


def oriented(pixels: Gray, orientation: int) -> tuple[Image.Image, Image.Exif]:
    """A picture stored so that its orientation makes it upright, by Pillow's own transposes."""
    turn = Image.Exif()
    turn[ExifTags.Base.Orientation] = INVERSE[orientation]
    image = Image.fromarray(pixels)
    file = io.BytesIO(save(image, "PNG", exif=turn))
    stored = ImageOps.exif_transpose(Image.open(file))
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    return Image.fromarray(np.array(stored)), exif


def png(width: int, height: int, color_type: int = 2, data: bytes = b"") -> bytes:
    header = struct.pack(">IIBBBBB", width, height, 8, color_type, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(data)), (b"IEND", b"")]
    body = b"".join(
        struct.pack(">I", len(payload))
        + kind
        + payload
        + struct.pack(">I", zlib.crc32(kind + payload))
        for kind, payload in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + body


# ---- what is refused ----


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


# ---- what the pixels are ----


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


def test_grey_with_alpha_is_composited_on_white() -> None:
    stored = np.zeros((1, 3, 2), np.uint8)
    stored[0, :, 1] = 0, 128, 255  # black; transparent, half, opaque
    image = decode(encode(stored, "PNG"))
    assert image.source.mode == "LA"
    assert [tuple(each) for each in image.pixels[0]] == [(255,) * 3, (127,) * 3, (0,) * 3]


def test_colour_with_alpha_is_composited_on_white() -> None:
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


def test_a_single_transparent_colour_becomes_white() -> None:
    stored = np.array([[[255, 0, 0], [0, 0, 255]]], np.uint8)
    image = decode(encode(stored, "PNG", transparency=(255, 0, 0)))
    np.testing.assert_array_equal(image.pixels[0], [[255, 255, 255], [0, 0, 255]])


def test_black_and_white_and_grey_become_rgb() -> None:
    bits = Image.new("1", (2, 1))
    bits.putdata([0, 255])
    np.testing.assert_array_equal(decode(save(bits, "PNG")).pixels[0], [[0] * 3, [255] * 3])
    grey = decode(encode(SMALL[..., 0], "PNG")).pixels
    np.testing.assert_array_equal(grey, np.repeat(SMALL[..., :1], 3, axis=2))


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


# ---- orientation ----


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("format", ["PNG", "WEBP", "TIFF", "JPEG", "AVIF"])
def test_every_orientation_gives_the_upright_picture(format: str, orientation: int) -> None:
    stored, exif = oriented(SMALL, orientation)
    options: dict[str, Any] = {"WEBP": {"lossless": True}, "AVIF": {"quality": 100}}.get(format, {})
    if format == "JPEG":
        options = {"quality": 100, "subsampling": 0}
    image = decode(save(stored, format, exif=exif, **options))
    assert image.pixels.shape == SMALL.shape
    tolerance = 12 if format in ("JPEG", "AVIF") else 0
    assert np.abs(image.pixels.astype(int) - SMALL).max() <= tolerance
    assert image.source.orientation == orientation
    assert (image.source.width, image.source.height) == stored.size


@pytest.mark.parametrize("orientation", [0, 9, 65_535])
def test_a_meaningless_orientation_means_upright(orientation: int) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    image = decode(save(Image.fromarray(SMALL), "PNG", exif=exif))
    np.testing.assert_array_equal(image.pixels, SMALL)
    assert image.source.orientation == 1


def test_damaged_exif_is_no_reason_to_refuse() -> None:
    image = decode(encode(SMALL, "JPEG", quality=95, exif=b"Exif\0\0rubbish and more rubbish"))
    assert image.source.orientation == 1


# ---- frames ----


def frames(format: str, count: int, **options: Any) -> bytes:
    made = [Image.new("RGB", (8, 8), (250 - 20 * i, 20 * i, 0)) for i in range(count)]
    return save(made[0], format, save_all=True, append_images=made[1:], **options)


@pytest.mark.parametrize("format", ["GIF", "WEBP", "PNG", "TIFF", "AVIF"])
def test_the_first_frame_of_several_is_taken(format: str) -> None:
    image = decode(frames(format, 3))
    assert image.source.frames == 3
    assert np.abs(image.pixels.astype(int) - (250, 0, 0)).max() <= 8


def test_a_phones_multi_picture_jpeg_is_a_jpeg() -> None:
    image = decode(frames("MPO", 2))
    assert (image.source.format, image.source.frames) == ("JPEG", 2)


def test_a_still_picture_has_one_frame() -> None:
    for format in FORMATS:
        if format != "HEIF":
            assert decode(encode(SMALL, format)).source.frames == 1


def test_frames_are_counted_no_further_than_a_bound() -> None:
    single = save(Image.new("P", (1, 1)), "GIF")
    start = single.index(b"\x2c")
    gif = single[:start] + single[start:-1] * (MAX_COUNTED_FRAMES + 50) + b";"
    assert decode(gif).source.frames == MAX_COUNTED_FRAMES


def test_a_chain_of_tiff_directories_is_counted_no_further_than_a_bound() -> None:
    tags = struct.pack("<HHII", 256, 4, 1, 1), struct.pack("<HHII", 257, 4, 1, 1)
    strip = struct.pack("<HHII", 273, 4, 1, 8), struct.pack("<HHII", 279, 4, 1, 1)
    bits = struct.pack("<HHII", 258, 3, 1, 8), struct.pack("<HHII", 262, 3, 1, 1)
    entries = b"".join((*tags, *bits, *strip))
    size = 2 + len(entries) + 4
    body = b"".join(
        struct.pack("<H", 6) + entries + struct.pack("<I", 9 + (i + 1) * size)
        for i in range(MAX_COUNTED_FRAMES + 50)
    )
    image = decode(b"II*\0" + struct.pack("<I", 9) + b"\x7f" + body)
    assert image.source.frames == MAX_COUNTED_FRAMES


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


# ---- under stress ----


def test_threads_decode_independently() -> None:
    contents = [jpeg(), encode(SMALL, "PNG"), frames("GIF", 2), encode(SMALL, "AVIF")]
    expected = [decode(each).pixels for each in contents]
    wrong: list[int] = []

    def work() -> None:
        for _ in range(3):
            for i, content in enumerate(contents):
                if not np.array_equal(decode(content).pixels, expected[i]):
                    wrong.append(i)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


@pytest.mark.filterwarnings("default")  # in production a decoder's warning is only printed
@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF"])
def test_no_mutation_of_a_file_escapes_the_error_tree(format: str) -> None:
    random = np.random.default_rng(7)
    whole = bytearray(encode(SMALL, format))
    messages: list[str] = []
    for _ in range(80):
        mutated = bytearray(whole)
        for at in random.integers(0, len(mutated), size=random.integers(1, 12)):
            mutated[at] = random.integers(0, 256)
        content = bytes(mutated[: random.integers(1, len(mutated) + 1)])
        try:
            assert decode(content).pixels.shape[2] == 3
        except SeethroughError as error:
            messages.append(str(error))
    assert not [text for text in messages if "<_io" in text or " at 0x" in text]
