import hashlib
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
from core.images import MAX_COUNTED_FRAMES, MAX_TIFF_PIECES, ImageLimits, decode
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


def chunk(kind: bytes, payload: bytes) -> bytes:
    checked = kind + payload
    return struct.pack(">I", len(payload)) + checked + struct.pack(">I", zlib.crc32(checked))


def png(
    width: int,
    height: int,
    color_type: int = 2,
    data: bytes = b"",
    depth: int = 8,
    more: bytes = b"",
) -> bytes:
    """A PNG by hand; `more` stands before the pixels."""
    header = struct.pack(">IIBBBBB", width, height, depth, color_type, 0, 0, 0)
    body = chunk(b"IHDR", header) + more + chunk(b"IDAT", zlib.compress(data))
    return b"\x89PNG\r\n\x1a\n" + body + chunk(b"IEND", b"")


def tiff(tags: dict[int, int | tuple[int, int]], data: bytes = b"") -> bytes:
    """A TIFF by hand: tag -> value, or (count, offset); `data` stands at 10 + 12 * tags + 4."""
    entries = b"".join(
        struct.pack("<HHII", tag, 4, *(value if isinstance(value, tuple) else (1, value)))
        for tag, value in sorted(tags.items())
    )
    return b"II*\0\x08\0\0\0" + struct.pack("<H", len(tags)) + entries + b"\0\0\0\0" + data


def webp(kind: bytes, payload: bytes) -> bytes:
    body = b"WEBP" + kind + struct.pack("<I", len(payload)) + payload
    return b"RIFF" + struct.pack("<I", len(body)) + body


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


def test_a_webp_is_counted_by_its_header() -> None:
    lossless = webp(b"VP8L", b"\x2f" + struct.pack("<I", 16_382 | 16_382 << 14) + bytes(8))
    lossy = webp(b"VP8 ", b"\x30\1\0\x9d\x01\x2a" + struct.pack("<HH", 16_383, 16_383) + bytes(8))
    canvas = webp(b"VP8X", bytes(4) + (16_382).to_bytes(3, "little") * 2)
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


def grey_png(depth: int, data: bytes, transparent: int, width: int = 4) -> bytes:
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
def test_a_transparent_grey_counts_at_every_depth(
    depth: int, data: bytes, shades: list[int], transparent: int
) -> None:
    shades = [255 if shade == shades[transparent] else shade for shade in shades]
    if depth == 1:
        shades = [255] * 4 if transparent == 0 else [0, 255, 0, 255]
    pixels = decode(grey_png(depth, data, transparent)).pixels
    np.testing.assert_array_equal(pixels[0], np.repeat(np.array(shades)[:, None], 3, axis=1))


def test_a_transparent_colour_of_sixteen_bits_becomes_white() -> None:
    data = b"\0" + struct.pack(">6H", 1000, 20_000, 3000, 50_000, 20_000, 3000)
    more = chunk(b"tRNS", struct.pack(">3H", 1000, 20_000, 3000))
    pixels = decode(png(2, 1, 2, data, 16, more)).pixels
    assert pixels[0, 0].tolist() == [255, 255, 255]
    expected = np.array([50_000, 20_000, 3000]) / 257
    assert np.abs(pixels[0, 1] - expected).max() <= 1


@pytest.mark.parametrize("mode", ["I;16", "I;16B", "I", "F"])
@pytest.mark.parametrize("compression", ["raw", "tiff_lzw"])
@pytest.mark.parametrize("orientation", [1, 6])
def test_deep_grey_tiffs_are_rescaled_and_turned(
    mode: str, compression: str, orientation: int
) -> None:
    values = np.array([[0, 257, 65_535], [300, 25_700, 40_000]])
    dtype = {"I;16": "<u2", "I;16B": ">u2", "I": "<i4", "F": "<f4"}[mode]
    stored = Image.frombytes(mode, (3, 2), values.astype(dtype).tobytes())
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    image = decode(save(stored, "TIFF", compression=compression, exif=exif))
    grey = np.rint(values / 257).astype(np.uint8)
    expected = grey if orientation == 1 else np.rot90(grey, -1)
    np.testing.assert_array_equal(image.pixels, np.repeat(expected[..., None], 3, axis=2))


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


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize(
    "exif",
    [
        b"Exif\0\0rubbish and more rubbish",
        b"Exif\0\0II*\0\xff\xff\xff\xff",
        b"Exif\0\0MM\0*\0\0\0\x08\xff\xff",
        b"Exif\0\0",
        b"rubbish",
    ],
)
def test_damaged_exif_is_no_reason_to_refuse(format: str, exif: bytes) -> None:
    image = decode(encode(SMALL, format, exif=exif))
    assert image.source.orientation == 1
    assert image.pixels.shape == SMALL.shape


def test_damaged_exif_of_an_avif_is_no_reason_to_refuse() -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.ImageDescription] = "a cat"
    content = encode(SMALL, "AVIF", exif=exif.tobytes())
    damaged = content.replace(b"MM\0*\0\0\0\x08", b"MM\0*\xff\xff\xff\xff")
    assert damaged != content
    assert decode(damaged).pixels.shape == SMALL.shape


CUT_OFF_EXIF = b"MM\0*\0\0\0\x08\0\x02\x01\x12\0\3\0\0\0\1\0\6\0\0"


@pytest.mark.filterwarnings("error")
def test_a_warning_made_an_error_does_not_change_the_orientation() -> None:
    """Pillow warns of what is cut off after the orientation, and has read the orientation."""
    upright = np.rot90(SMALL, -1)
    image = decode(encode(SMALL, "PNG", exif=CUT_OFF_EXIF))
    np.testing.assert_array_equal(image.pixels, upright)
    assert image.source.orientation == 6


@pytest.mark.filterwarnings("error")
def test_a_warning_made_an_error_does_not_refuse_a_picture() -> None:
    phone = frames("MPO", 2).replace(b"MPF\0", b"MPF\0rubbish", 1)
    assert decode(phone).source.frames == 1
    no_animation = chunk(b"acTL", bytes(8))
    assert decode(png(1, 1, 2, bytes(4), more=no_animation)).pixels.tolist() == [[[0, 0, 0]]]


def test_exif_behind_the_pixels_of_a_png_counts() -> None:
    content = encode(SMALL, "PNG")
    end = len(content) - len(chunk(b"IEND", b""))
    image = decode(content[:end] + chunk(b"eXIf", CUT_OFF_EXIF) + content[end:])
    np.testing.assert_array_equal(image.pixels, np.rot90(SMALL, -1))
    assert image.source.orientation == 6
    assert (image.source.width, image.source.height) == (60, 40)


@pytest.mark.parametrize("offset", [0, 5, 0xFFFFFFFF])
def test_a_damaged_exif_directory_of_a_tiff_is_no_reason_to_refuse(offset: int) -> None:
    tags = {256: 2, 257: 1, 258: 8, 259: 1, 262: 1, 273: 122, 274: 3, 279: 2, 0x8769: offset}
    image = decode(tiff(tags, b"\x07\x08"))
    assert image.pixels[..., 0].tolist() == [[8, 7]]
    assert image.source.orientation == 3


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


def test_what_was_received_is_known_by_its_digest() -> None:
    content = jpeg()
    assert decode(content).source.sha256 == hashlib.sha256(content).hexdigest()


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


def grown() -> dict[str, bytes]:
    """One file of every kind that takes its own way through a decoder."""
    _, exif = oriented(SMALL, 6)
    plain = {
        format: encode(SMALL, format, exif=exif)
        for format in ("JPEG", "PNG", "WEBP", "TIFF", "AVIF")
    }
    several = {f"{format} frames": frames(format, 3) for format in ("GIF", "PNG", "WEBP", "TIFF")}
    deep = Image.fromarray(np.arange(600, dtype=np.uint16).reshape(20, 30))
    palette = Image.fromarray(SMALL).quantize(16)
    return (
        plain
        | several
        | {
            "BMP": encode(SMALL, "BMP"),
            "MPO": frames("MPO", 2),
            "JPEG progressive": encode(SMALL, "JPEG", progressive=True),
            "JPEG CMYK": save(Image.fromarray(SMALL).convert("CMYK"), "JPEG"),
            "PNG deep": save(deep, "PNG"),
            "PNG palette": save(palette, "PNG", transparency=bytes(range(16))),
            "TIFF deep": save(deep, "TIFF", compression="tiff_lzw"),
            "TIFF float": save(deep.convert("F"), "TIFF"),
        }
    )


@pytest.mark.parametrize("kind", sorted(grown()))
def test_no_mutation_of_a_file_escapes_the_error_tree(kind: str) -> None:
    whole = grown()[kind]
    random = np.random.default_rng(sum(kind.encode()))
    messages: list[str] = []
    for _ in range(40):
        mutated = bytearray(whole)
        reach = len(mutated) if random.random() < 0.5 else min(len(mutated), 200)
        for at in random.integers(0, reach, size=random.integers(1, 12)):
            mutated[at] = random.integers(0, 256)
        end = random.integers(1, len(mutated)) if random.random() < 0.5 else len(mutated)
        try:
            image = decode(bytes(mutated[:end]), ImageLimits(max_pixels=1_000_000))
            assert image.pixels.dtype == np.uint8
            assert image.pixels.shape[2] == 3
        except SeethroughError as error:
            messages.append(str(error))
    assert not [text for text in messages if "<_io" in text or " at 0x" in text or "/" in text]


@pytest.mark.parametrize("format", ["JPEG", "PNG"])
def test_a_file_cut_off_anywhere_before_its_last_pixels_is_corrupt(format: str) -> None:
    content = encode(SMALL, format)
    for end in range(12, len(content) - 40, len(content) // 25):
        with pytest.raises(ImageCorrupt, match=format):
            decode(content[:end])
