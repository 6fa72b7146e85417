"""AVIF and HEIC from phones and converters, by whichever brand they are called."""

import io

import numpy as np
import pytest
from PIL import Image

from core.errors import ImageUnsupported
from core.images.decode import decode
from core.images.formats import known, strangers
from core.images.formats.known import sniff
from tests.files import FADE, SMALL, white_behind
from tests.pictures import encode

AVIF = encode(SMALL, "AVIF", quality=95)
HEVC_BRANDS = [b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"]


def box(major: bytes, *compatible: bytes) -> bytes:
    body = b"ftyp" + major + bytes(4) + b"".join(compatible)
    return (4 + len(body)).to_bytes(4, "big") + body + bytes(40)


@pytest.mark.parametrize("major", [b"avif", b"avis", b"mif1", b"msf1"])
def test_avif_is_known_by_any_of_its_brands(major: bytes) -> None:
    assert sniff(box(major, b"mif1", b"avif", b"miaf")) == "AVIF"


def test_an_avif_that_calls_itself_mif1_is_read() -> None:
    image = decode(AVIF.replace(b"ftypavif", b"ftypmif1", 1))
    assert image.source.format == "AVIF"
    assert np.abs(image.pixels.astype(int) - SMALL).mean() < 3


def test_avif_with_alpha_is_composited_on_white() -> None:
    image = decode(encode(np.dstack([SMALL, FADE]), "AVIF", quality=100))
    assert np.abs(image.pixels - white_behind(SMALL, FADE)).mean() < 4


@pytest.mark.parametrize("major", HEVC_BRANDS)
def test_heic_without_the_extra_is_told_what_it_needs(
    major: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(known, "HAS_HEIF", False)
    content = box(major, b"mif1", b"heic")
    assert sniff(content) is None
    assert "HEIC, which needs the extra" in strangers.hint(content)


@pytest.mark.parametrize("major", HEVC_BRANDS)
def test_heic_is_known_where_the_extra_is_installed(
    major: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(known, "HAS_HEIF", True)
    assert sniff(box(major, b"mif1", b"heic")) == "HEIF"


@pytest.mark.parametrize("orientation", [None, 6])
@pytest.mark.parametrize("major", [b"heic", b"hevc", b"mif1"])
def test_heic_is_read_upright(major: bytes, orientation: int | None) -> None:
    heif = pytest.importorskip("pillow_heif")
    file = io.BytesIO()
    exif = Image.Exif()
    stored = SMALL if orientation is None else np.rot90(SMALL)
    if orientation is not None:
        exif[0x112] = orientation
    image = heif.from_bytes("RGB", stored.shape[1::-1], np.ascontiguousarray(stored).tobytes())
    image.save(file, quality=95, exif=exif.tobytes() if orientation else None)
    decoded = decode(file.getvalue().replace(b"ftypheic", b"ftyp" + major, 1))
    assert decoded.source.format == "HEIF"
    assert np.abs(decoded.pixels.astype(int) - SMALL).mean() < 4


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (box(b"isom", b"isom", b"mp42"), "a film"),
        (box(b"mp42", b"isom"), "a film"),
        (box(b"qt  ", b"qt  "), "QuickTime"),
        (box(b"crx ", b"crx "), "CR3"),
        (box(b"M4A ", b"M4A "), "sound"),
        (box(b"avci", b"mif1", b"avci"), "H.264"),
        (box(b"j2ki", b"mif1", b"j2ki"), "JPEG 2000"),
        (box(b"MiHE", b"mif1", b"heic"), "HEIF of the brand 'MiHE'"),
        (b"\0\0\0\x08ftyp", "a film"),
    ],
)
def test_other_files_of_boxes_are_named(content: bytes, name: str) -> None:
    with pytest.raises(ImageUnsupported, match=f"it is .*{name}"):
        decode(content)
