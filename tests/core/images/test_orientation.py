from typing import Any

import numpy as np
import pytest
from PIL import ExifTags, Image

from core.images.decode import decode
from tests.files import SMALL, frames, save
from tests.files.oriented import oriented
from tests.files.png import chunk, png
from tests.files.tiff import tiff
from tests.pictures import encode


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
