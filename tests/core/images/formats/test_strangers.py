"""Files that are no picture we take: the answer says what they are."""

import io

import numpy as np
import pytest
from PIL import Image

from core.errors import ImageUnsupported
from core.images.decode import decode
from tests.files import SMALL, save
from tests.files.jpeg import PHOTO as JPEG
from tests.files.png import PHOTO as PNG


def npy() -> bytes:
    file = io.BytesIO()
    np.save(file, SMALL)
    return file.getvalue()


def by_pillow(format: str, mode: str = "RGB") -> bytes:
    return save(Image.fromarray(SMALL).convert(mode), format)


STRANGERS = {
    "JPEG 2000": [by_pillow("JPEG2000"), b"\xff\x4f\xff\x51\0\x29" + bytes(40)],
    "JPEG XL": [b"\xff\x0a\xfa\x7f", b"\0\0\0\x0cJXL \r\n\x87\n" + bytes(40)],
    "JPEG XR": [b"II\xbc\1" + bytes(40)],
    "an icon": [by_pillow("ICO"), b"icns" + bytes(40)],
    "a cursor": [b"\0\0\2\0\1\0\x20\x20" + bytes(40)],
    "Photoshop": [b"8BPS\0\1" + bytes(40)],
    "GIMP": [b"gimp xcf v011" + bytes(40)],
    "DICOM": [bytes(128) + b"DICM" + bytes(40)],
    "OpenEXR": [b"v/1\1\2\0\0\0" + bytes(40)],
    "Radiance": [b"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n\n-Y 1 +X 1\n" + bytes(4)],
    "DDS": [by_pillow("DDS")],
    "QOI": [by_pillow("QOI")],
    "TGA": [by_pillow("TGA"), by_pillow("TGA", "L"), by_pillow("TGA", "RGBA")],
    "PCX": [by_pillow("PCX")],
    "PNM": [by_pillow("PPM"), by_pillow("PPM", "L"), b"P3\n1 1\n255\n1 2 3\n"],
    "FITS": [b"SIMPLE  =                    T".ljust(2880)],
    "NumPy": [npy()],
    "RAW": [b"IIU\0\x18" + bytes(40), b"FUJIFILMCCD-RAW 0201FF" + JPEG, b"IIRO\x08" + bytes(40)],
    "a drawing without pixels": [
        b"\xd7\xcd\xc6\x9a" + bytes(40),
        b"\1\0\0\0".ljust(40, b"\0") + b" EMF",
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        b"<?xml version='1.0'?><svg/>",
    ],
    "a film": [
        b"\0\0\0\x18ftypisom" + bytes(40),
        b"\x1a\x45\xdf\xa3" + bytes(40),
        b"RIFF\0\0\0\0AVI LIST",
        b"\0\0\1\xba" + bytes(40),
    ],
    "PDF": [b"%PDF-1.7\n%" + JPEG],
    "HTML; perhaps an error page": [
        b"<!DOCTYPE html><html>",
        b"\r\n <html lang=en><body>502 Bad Gateway",
    ],
    "JSON; perhaps an error message": [b'{"error": "not found"}', b'[{"message": 1}]'],
    "XML; perhaps an error message": [b'<?xml version="1.0"?><Error><Code>AccessDenied</Code>'],
    "a Git LFS pointer": [b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 9\n"],
    "an address": [b"https://example.org/cat.jpg"],
    "base64": [b"/9j/4AAQSkZJRgABAQ", b"iVBORw0KGgoAAAANSUhEUg", b"R0lGODlhAQABAIAAAAAA"],
    "a data: URI": [b"data:image/png;base64,iVBORw0KGgo"],
    "what a script prints": [b"[object Blob]", b"[object File]"],
    "what Python prints": [repr(JPEG).encode()],
    "a multipart body": [b'------x\r\nContent-Disposition: form-data; name="image"\r\n\r\n' + JPEG],
    "a JPEG that passed through text": [
        JPEG.decode("utf-8", "replace").encode(),
        JPEG.decode("latin-1").encode(),
    ],
    "a PNG that passed through text": [
        PNG.replace(b"\r\n", b"\n"),
        PNG.decode("latin-1").encode(),
        PNG.decode("utf-8", "replace").encode(),
    ],
    "a JPEG behind 2 bytes": [b"\r\n" + JPEG],
    "a JPEG behind 3 bytes": [b"\xef\xbb\xbf" + JPEG],
    "a PNG behind 31 bytes": [b"Notice: undefined index in x.\r\n"[:31].ljust(31) + PNG],
    "text": [
        b"I am a text that somebody named cat.jpg",
        "кот".encode(),
        ("я" * 500).encode(),
        "a cat".encode("utf-16"),
    ],
    "nothing but zero bytes": [bytes(1000), b"\0"],
    "gzip": [b"\x1f\x8b\x08" + bytes(20)],
    "a ZIP archive": [b"PK\x03\x04" + bytes(20)],
}


@pytest.mark.parametrize("name", STRANGERS)
def test_a_file_that_is_no_picture_is_told_what_it_is(name: str) -> None:
    for content in STRANGERS[name]:
        with pytest.raises(ImageUnsupported, match=f"it is .*{name}.*; taken: JPEG, PNG"):
            decode(content)


@pytest.mark.parametrize("content", [b"\x7fELF\2\1\1", b"\x80\x04\x95", bytes([7]) * 50])
def test_nobody_knows_what_the_rest_is(content: bytes) -> None:
    with pytest.raises(ImageUnsupported, match=r"^not a picture we take; taken: JPEG"):
        decode(content)
