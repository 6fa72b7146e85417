"""One small valid file of every kind that takes its own way through a decoder."""

import io
from functools import cache

import numpy as np
from PIL import ExifTags, Image

from core.images.formats.known import HAS_HEIF
from tests.files import FADE, GRAY, SMALL, frames, save
from tests.files import bmp as bmps
from tests.files import jpeg as jpegs
from tests.files import png as pngs
from tests.files import webp as webps
from tests.files.gif import gif
from tests.files.tiff import written
from tests.pictures import encode


@cache
def kinds() -> dict[str, bytes]:
    """Name -> file, all of them taken by `decode`."""
    return _jpeg() | _png() | _tiff() | _bmp() | _animated() | _iso()


def _exif() -> Image.Exif:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    exif[ExifTags.Base.ImageDescription] = "a cat"
    exif[ExifTags.Base.XResolution] = 72.0
    return exif


def _jpeg() -> dict[str, bytes]:
    photo = Image.fromarray(SMALL)
    profile = b"ICC_PROFILE\0\1\1" + bytes(200)
    return {
        "JPEG": encode(SMALL, "JPEG", exif=_exif()),
        "JPEG progressive": encode(SMALL, "JPEG", progressive=True),
        "JPEG gray": save(photo.convert("L"), "JPEG"),
        "JPEG CMYK": save(photo.convert("CMYK"), "JPEG"),
        "JPEG profile": jpegs.with_segments(jpegs.segment(0xE2, profile)),
        "JPEG MPO": frames("MPO", 2),
    }


def _png() -> dict[str, bytes]:
    photo = Image.fromarray(SMALL)
    deep = Image.fromarray(GRAY.astype(np.uint16) * 257)
    return {
        "PNG": encode(SMALL, "PNG", exif=_exif(), dpi=(72, 72)),
        "PNG bits": save(photo.convert("1"), "PNG"),
        "PNG alpha": encode(np.dstack([SMALL, FADE]), "PNG"),
        "PNG gray alpha": encode(np.dstack([GRAY, FADE]), "PNG"),
        "PNG deep": save(deep, "PNG"),
        "PNG palette": save(photo.quantize(16), "PNG", transparency=bytes(range(16))),
        "PNG texts": pngs.before_pixels(
            pngs.profile(5000), pngs.chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0<x/>")
        ),
        "PNG frames": frames("PNG", 3),
    }


def _tiff() -> dict[str, bytes]:
    photo, deep = Image.fromarray(SMALL), GRAY.astype(np.uint16) * 257
    unit = (SMALL / 255).astype(np.float32)
    planes = np.moveaxis(SMALL.astype(np.uint16) * 257, -1, 0)
    return {
        "TIFF": encode(SMALL, "TIFF", exif=_exif()),
        "TIFF LZW": encode(SMALL, "TIFF", compression="tiff_lzw"),
        "TIFF JPEG": encode(SMALL, "TIFF", compression="jpeg"),
        "TIFF fax": save(photo.convert("1"), "TIFF", compression="group4"),
        "TIFF deep": save(Image.fromarray(deep), "TIFF", compression="tiff_lzw"),
        "TIFF float": save(Image.fromarray(GRAY.astype(np.float32)), "TIFF"),
        "TIFF tiles": written(unit, photometric="rgb", tile=(16, 16), compression="zlib"),
        "TIFF planes": written(
            planes, photometric="rgb", planarconfig="separate", predictor=True, compression="zlib"
        ),
        "TIFF gray alpha": written(
            np.dstack([deep, deep]), photometric="minisblack", extrasamples=["unassalpha"]
        ),
        "TIFF big": written(SMALL, photometric="rgb", bigtiff=True, rowsperstrip=7),
        "TIFF frames": frames("TIFF", 3),
    }


def _bmp() -> dict[str, bytes]:
    masks = (*bmps.RGB_MASKS, bmps.ALPHA_MASK)
    runs = bmps.bmp(b"\x3c\5\0\0" * 40 + b"\0\1", 8, 1, palette=bytes(range(256)) * 4)
    return {
        "BMP": encode(SMALL, "BMP"),
        "BMP alpha": bmps.bmp(bmps.rows(128), compression=3, header=124, masks=masks),
        "BMP runs": runs,
    }


def _animated() -> dict[str, bytes]:
    exif = webps.chunk(b"EXIF", _exif().tobytes())
    return {
        "GIF": gif((6, 5), (2, 1, 3, 2), [0, 1, 2, 3, 1, 0], transparent=2),
        "GIF frames": frames("GIF", 3),
        "WEBP": encode(SMALL, "WEBP"),
        "WEBP extended": webps.riff(webps.extended(8), webps.lossless(), exif),
        "WEBP frames": webps.riff(
            webps.extended(2),
            webps.ANIMATION,
            webps.frame(10, 6, 20, 16),
            webps.frame(0, 0, 60, 40),
        ),
    }


def _iso() -> dict[str, bytes]:
    found = {
        "AVIF": encode(SMALL, "AVIF", exif=_exif().tobytes()),
        "AVIF alpha": encode(np.dstack([SMALL, FADE]), "AVIF"),
        "AVIF frames": frames("AVIF", 3),
    }
    if HAS_HEIF:
        import pillow_heif

        file = io.BytesIO()
        pillow_heif.from_bytes("RGB", (60, 40), SMALL.tobytes()).save(file)
        found["HEIF"] = file.getvalue()
    return found
