"""PNGs as scanners, screenshots and editors write them, damaged ones among them."""

import struct
import tracemalloc
import zlib

import numpy as np
import pytest

from core.errors import ImageCorrupt, ImageUnsupported
from core.images.decode import decode
from core.images.formats.png import MAX_CHUNKS, needed
from tests.files import SMALL, frames
from tests.files.png import PHOTO, before_pixels, behind_pixels, chunk, png, profile

BIG = zlib.compress(bytes(1_100_000))
LARGE = {
    "iCCP": profile(1_100_000),  # a scanner's
    "zTXt": chunk(b"zTXt", b"Comment\0\0" + BIG),
    "iTXt": chunk(b"iTXt", b"parameters\0\1\0\0\0" + BIG),  # a picture generator's workflow
    "XMP": chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + BIG),
    "EXIF": chunk(b"zTXt", b"Raw profile type exif\0\0" + BIG),
}


@pytest.mark.parametrize("name", LARGE)
@pytest.mark.parametrize("put", [before_pixels, behind_pixels], ids=["before", "behind"])
def test_a_text_or_profile_above_one_megabyte_does_not_hide_the_pixels(
    name: str, put: type
) -> None:
    np.testing.assert_array_equal(decode(put(LARGE[name])).pixels, SMALL)


SMALL_CHUNKS = {
    "tEXt": b"Title\0a cat",
    "zTXt": b"Title\0\0" + zlib.compress(b"a cat"),
    "gAMA": struct.pack(">I", 45_455),
    "pHYs": struct.pack(">IIB", 2835, 2835, 1),
    "iCCP": b"sRGB\0\0" + zlib.compress(bytes(500)),
    "tIME": bytes(7),
    "prVt": b"of somebody's own",
    "eXIf": b"MM\0*\0\0\0\x08\0\1\x01\x12\0\3\0\0\0\1\0\6\0\0\0\0\0\0",
}


@pytest.mark.parametrize("name", SMALL_CHUNKS)
@pytest.mark.parametrize("put", [before_pixels, behind_pixels], ids=["before", "behind"])
def test_a_wrong_checksum_beside_the_pixels_is_no_reason_to_refuse(name: str, put: type) -> None:
    image = decode(put(chunk(name.encode(), SMALL_CHUNKS[name], checksum=1)))
    np.testing.assert_array_equal(image.pixels, SMALL)
    assert image.source.orientation == 1


@pytest.mark.parametrize("name", ["gAMA", "pHYs", "cHRM", "iCCP", "sRGB", "acTL", "fcTL"])
def test_a_chunk_too_short_for_what_it_says_is_no_reason_to_refuse(name: str) -> None:
    image = decode(
        before_pixels(chunk(b"acTL", struct.pack(">II", 2, 0)), chunk(name.encode(), b""))
    )
    np.testing.assert_array_equal(image.pixels, SMALL)


@pytest.mark.parametrize("cut", [1, 4, 5, 8, 12, 14, 16])
def test_a_png_that_ends_behind_its_pixels_is_read(cut: int) -> None:
    """IEND is 12 bytes, the checksum of the pixels before it 4."""
    np.testing.assert_array_equal(decode(PHOTO[:-cut]).pixels, SMALL)


def test_a_text_cut_off_behind_the_pixels_is_no_reason_to_refuse() -> None:
    whole = behind_pixels(chunk(b"tEXt", b"Comment\0" + bytes(100)))
    np.testing.assert_array_equal(decode(whole[:-50]).pixels, SMALL)


def test_pixels_that_are_missing_are_a_reason_to_refuse() -> None:
    with pytest.raises(ImageCorrupt, match="cut off"):
        decode(PHOTO[:-40])


@pytest.mark.parametrize("kind", [b"IHDR", b"PLTE", b"tRNS"])
def test_a_wrong_checksum_of_what_pixels_are_made_of_is_a_reason_to_refuse(kind: bytes) -> None:
    palette = chunk(b"PLTE", bytes(6)) + chunk(b"tRNS", b"\0")
    content = bytearray(png(1, 1, 3, b"\0\0", more=palette))
    at = content.index(kind)
    length = struct.unpack_from(">I", content, at - 4)[0]
    content[at + 4 + length] ^= 0xFF
    with pytest.raises(ImageCorrupt):
        decode(bytes(content))


def test_trailing_bytes_are_left_alone() -> None:
    np.testing.assert_array_equal(decode(PHOTO + b"appended by a virus scanner").pixels, SMALL)


@pytest.mark.parametrize("kind", [b"zTXt", b"iCCP", b"iTXt"])
def test_a_bomb_in_a_text_costs_nothing(kind: bytes) -> None:
    bomb = zlib.compress(zlib.compress(bytes(200_000_000), 9), 9)
    content = before_pixels(
        chunk(kind, b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(bytes(10**8)))
    )
    assert len(bomb) < 5000  # the worst that fits into a chunk this small
    tracemalloc.start()
    decode(content)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4 * 2**20


XMP = b'<x:xmpmeta><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'


@pytest.mark.parametrize(
    "text",
    [
        chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + XMP),
        chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(XMP)),
        chunk(b"eXIf", SMALL_CHUNKS["eXIf"]),
        chunk(
            b"zTXt",
            b"Raw profile type exif\0\0"
            + zlib.compress(b"\nexif\n32\n" + (b"Exif\0\0" + SMALL_CHUNKS["eXIf"]).hex().encode()),
        ),
    ],
    ids=["XMP", "XMP packed", "EXIF", "ImageMagick's EXIF"],
)
@pytest.mark.parametrize("put", [before_pixels, behind_pixels], ids=["before", "behind"])
def test_orientation_is_found_where_people_write_it(text: bytes, put: type) -> None:
    image = decode(put(text, profile(2_000_000)))
    np.testing.assert_array_equal(image.pixels, np.rot90(SMALL, -1))
    assert image.source.orientation == 6


def test_apples_png_is_named() -> None:
    content = PHOTO[:8] + chunk(b"CgBI", b"\x50\0\x20\2") + PHOTO[8:]
    with pytest.raises(ImageUnsupported, match="CgBI"):
        decode(content)


def test_what_needs_no_change_is_not_copied() -> None:
    assert needed(PHOTO).content is PHOTO


def test_more_chunks_than_any_picture_has_are_refused() -> None:
    with pytest.raises(ImageCorrupt, match=f"{MAX_CHUNKS} chunks"):
        decode(before_pixels(chunk(b"prVt", b"") * MAX_CHUNKS))


@pytest.mark.parametrize(
    ("announced", "led", "counted"), [(3, True, 3), (3, False, 4), (0, True, 1)]
)
def test_frames_are_counted_as_pillow_counts_them(announced: int, led: bool, counted: int) -> None:
    control = struct.pack(">IIIIIHHBB", 0, 60, 40, 0, 0, 1, 10, 0, 0)
    more = [chunk(b"acTL", struct.pack(">II", announced, 0))]
    assert needed(before_pixels(*more, *([chunk(b"fcTL", control)] * led))).frames == counted


def test_only_the_first_frame_is_handed_on() -> None:
    whole = frames("PNG", 9)
    reduced = needed(whole)
    assert reduced.frames == 9
    assert b"fdAT" in whole
    assert b"fdAT" not in reduced.content


@pytest.mark.parametrize("length", [0, 1, 3, 7])
def test_a_transparent_color_of_a_wrong_length_is_none(length: int) -> None:
    broken = before_pixels(chunk(b"tRNS", bytes(length)))
    np.testing.assert_array_equal(decode(broken).pixels, SMALL)
