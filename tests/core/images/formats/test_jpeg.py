"""JPEGs as phones, cameras and web servers send them."""

import io
import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from core.errors import ImageCorrupt, ImageUnsupported
from core.images.decode import decode
from tests.files import SMALL, frames, save
from tests.files.jpeg import PHOTO, segment, with_frame, with_segments
from tests.pictures import encode

EXPECTED = np.array(Image.open(io.BytesIO(PHOTO)))


@pytest.mark.parametrize(
    "odd",
    [
        segment(0xE0, b"JFIF"),
        segment(0xEE, b"Adobe"),
        segment(0xE2, b"ICC_PROFILE\0"),
        segment(0xE2, b"MPF\0"),
        segment(0xED, b"Photoshop 3.0\x008BIM"),
        segment(0xE1, b"Exif\0\0II*\0\xff\xff\xff\xff"),
    ],
    ids=["JFIF", "Adobe", "profile", "MPF", "Photoshop", "EXIF"],
)
def test_damaged_metadata_of_a_jpeg_is_no_reason_to_refuse(odd: bytes) -> None:
    np.testing.assert_array_equal(decode(with_segments(odd)).pixels, EXPECTED)


def test_a_profile_of_two_megabytes_is_no_reason_to_refuse() -> None:
    parts = [b"ICC_PROFILE\0" + bytes([i + 1, 40]) + bytes(60_000) for i in range(40)]
    content = with_segments(*(segment(0xE2, each) for each in parts))
    np.testing.assert_array_equal(decode(content).pixels, EXPECTED)


@pytest.mark.parametrize(
    "behind",
    [
        b"\0\0\0\x18ftypmp42" + bytes(5000),  # a phone's Motion Photo
        encode(SMALL[:20, :20]),  # an Ultra HDR gain map
        b"\r\n",
    ],
)
def test_what_phones_append_is_left_alone(behind: bytes) -> None:
    np.testing.assert_array_equal(decode(PHOTO + behind).pixels, EXPECTED)


@pytest.mark.parametrize("cut", [1, 2])
def test_a_jpeg_that_lacks_only_its_end_mark_is_read(cut: int) -> None:
    np.testing.assert_array_equal(decode(PHOTO[:-cut]).pixels, EXPECTED)


@pytest.mark.parametrize("cut", [3, 10, 200])
def test_a_jpeg_that_ends_early_is_refused_and_told_how(cut: int) -> None:
    with pytest.raises(ImageCorrupt, match="JPEG file is cut off: it ends before its pixels do"):
        decode(PHOTO[:-cut])


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (with_frame(0xC1, 0, b"\x0c"), "a JPEG of 12 bits per sample"),
        (with_frame(0xC3, 0, b"\x10"), "a lossless JPEG of 16 bits per sample"),
        (with_frame(0xC5), "a hierarchical JPEG"),
        (with_frame(0xC0, 1, b"\0\0"), "a JPEG that does not say its height"),
        (with_frame(0xC0, 5, b"\2"), "a JPEG of 2 components"),
        (b"\xff\xd8" + segment(0xF7, b"\x08\0\x28\0\x3c\1\1\x11\0") + bytes(50), "a JPEG-LS"),
    ],
)
def test_a_jpeg_that_hardly_anybody_decodes_is_named(content: bytes, kind: str) -> None:
    with pytest.raises(ImageUnsupported, match=f"{kind}, which is not taken; taken: JPEG"):
        decode(content)


def test_four_colors_are_read_as_adobe_stores_them_with_or_without_ycc() -> None:
    """CMYK and YCCK of the same inks: the transform in the Adobe marker is all that differs."""
    inks = np.zeros((16, 16, 4), np.uint8) + np.array([0, 255, 255, 0], np.uint8)
    stored = save(Image.fromarray(inks, "CMYK"), "JPEG", quality=100)
    assert np.abs(decode(stored).pixels.astype(int) - (255, 0, 0)).max() < 4
    at = stored.index(b"Adobe")
    ycck = stored[: at + 11] + b"\2" + stored[at + 12 :]
    y, cb, cr = 255, 0 - 128, 0 - 128  # what the same bytes mean then
    inverted = y + 1.402 * cr, y - 0.344 * cb - 0.714 * cr, y + 1.772 * cb
    assert np.abs(decode(ycck).pixels[0, 0] - (255 - np.clip(inverted, 0, 255))).max() < 4


def test_a_jpeg_of_gray_or_in_scans_is_read() -> None:
    gray = decode(save(Image.fromarray(SMALL).convert("L"), "JPEG", progressive=True))
    assert gray.source.mode == "L"
    luma = SMALL @ np.array([0.299, 0.587, 0.114])
    assert np.abs(gray.pixels[..., 0] - luma).mean() < 4


def test_a_multi_picture_jpeg_with_a_damaged_index_is_read() -> None:
    phone = frames("MPO", 2)
    at = phone.index(b"MPF\0") + 4
    damaged = phone[: at + 8] + struct.pack("<H", 0xFFFF) + phone[at + 10 :]
    assert np.abs(decode(damaged).pixels.astype(int) - (250, 0, 0)).max() <= 8


def test_the_examples_are_read_as_before() -> None:
    for file in sorted(Path("examples").glob("*.jpg")):
        expected = np.array(Image.open(file).convert("RGB"))
        np.testing.assert_array_equal(decode(file.read_bytes()).pixels, expected)
