"""What a file seems to be that is no picture we take: the hint in its refusal."""

import re
from typing import Final

from core.images.formats import known
from core.images.formats.iso import is_heif, iso_name

_RAW: Final = "a camera's RAW file; develop it first, to JPEG for example"
_AS_TEXT: Final = "passed through text on its way; send the bytes as they are"

_MAGIC: Final = (
    (b"\0\0\0\x0cjP  \r\n\x87\n", "JPEG 2000"),
    (b"\xff\x4f\xff\x51", "JPEG 2000"),
    (b"\0\0\0\x0cJXL \r\n\x87\n", "JPEG XL"),
    (b"\xff\x0a", "JPEG XL"),
    (b"II\xbc", "JPEG XR"),
    (b"\0\0\1\0", "an icon (ICO)"),
    (b"icns", "an icon (ICNS)"),
    (b"8BPS", "a Photoshop document (PSD)"),
    (b"gimp xcf", "a GIMP document (XCF)"),
    (b"v/1\1", "OpenEXR"),
    (b"#?RADIANCE", "Radiance HDR"),
    (b"#?RGBE", "Radiance HDR"),
    (b"DDS ", "DDS, a texture"),
    (b"\xabKTX ", "KTX, a texture"),
    (b"qoif", "QOI"),
    (b"BPG\xfb", "BPG"),
    (b"FLIF", "FLIF"),
    (b"SIMPLE  =", "FITS"),
    (b"\x93NUMPY", "a NumPy array (.npy); save it as PNG"),
    (b"\x89HDF\r\n\x1a\n", "HDF5"),
    (b"IIU\0", _RAW),
    (b"IIRO", _RAW),
    (b"IIRS", _RAW),
    (b"MMOR", _RAW),
    (b"II\x1a\0\0\0HEAPCCDR", _RAW),
    (b"FUJIFILMCCD-RAW", _RAW),
    (b"\0MRM", _RAW),
    (b"FOVb", _RAW),
    (b"\xd7\xcd\xc6\x9a", "WMF, a drawing without pixels"),
    (b"\xc5\xd0\xd3\xc6", "PostScript"),
    (b"%!PS", "PostScript"),
    (b"%PDF", "PDF"),
    (b"AT&TFORM", "DjVu"),
    (b"\x1a\x45\xdf\xa3", "a film (WebM or Matroska); send one of its frames"),
    (b"\0\0\1\xba", "a film (MPEG); send one of its frames"),
    (b"\x30\x26\xb2\x75", "a film (WMV); send one of its frames"),
    (b"FLV\1", "a film (FLV); send one of its frames"),
    (b"OggS", "sound or a film (Ogg)"),
    (b"ID3", "sound (MP3)"),
    (b"PK\x03\x04", "a ZIP archive"),
    (b"Rar!", "a RAR archive"),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive"),
    (b"\x1f\x8b", "gzip; send the picture as it is"),
    (b"BZh", "bzip2; send the picture as it is"),
    (b"\xfd7zXZ", "xz; send the picture as it is"),
    (b"\x28\xb5\x2f\xfd", "Zstandard; send the picture as it is"),
    (
        b"version https://git-lfs",
        "a Git LFS pointer instead of the file; fetch it with git lfs pull",
    ),
    (b"data:image/", "a data: URI; send it as JSON in the field 'image'"),
    (b"/9j/", "a JPEG in base64; send it as JSON in the field 'image', or decode it first"),
    (b"iVBORw0KGgo", "a PNG in base64; send it as JSON in the field 'image', or decode it first"),
    (b"R0lGOD", "a GIF in base64; send it as JSON in the field 'image', or decode it first"),
    (b"[object ", "what a script prints for an object; send the picture's bytes"),
    (b"b'\\x", "what Python prints for bytes; send the bytes themselves"),
    (b"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd", f"a JPEG that {_AS_TEXT}"),
    (b"\xc3\xbf\xc3\x98\xc3\xbf", f"a JPEG that {_AS_TEXT}"),
    (b"\xef\xbf\xbdPNG", f"a PNG that {_AS_TEXT}"),
    (b"\xc2\x89PNG", f"a PNG that {_AS_TEXT}"),
    (b"\x89PNG", f"a PNG that {_AS_TEXT}"),
)
"""What other files begin with."""

_RIFF: Final = {b"AVI ": "a film (AVI); send one of its frames", b"WAVE": "sound (WAV)"}
_ELSEWHERE: Final = (
    (128, b"DICM", "DICOM, a medical picture; export it as PNG"),
    (40, b" EMF", "EMF, a drawing without pixels"),
    (257, b"ustar", "a tar archive"),
)
_TEXTS: Final = (
    (re.compile(rb"<!doctype html|<html|<head|<body"), "HTML; perhaps an error page"),
    (re.compile(rb"<\?xml"), "XML; perhaps an error message"),
    (re.compile(rb"[{\[]"), "JSON; perhaps an error message"),
    (re.compile(rb"https?://"), "an address; addresses are not fetched, send the bytes"),
    (re.compile(rb"p[1-7]\s|pf\s"), "PNM"),
)
_MULTIPART: Final = re.compile(rb"--[^\r\n]+\r?\ncontent-", re.IGNORECASE)
_JUNK_BYTES: Final = 4096
_SIGNS: Final = [(magic, name) for magic, name in known.MAGIC if len(magic) > 2 and name != "TIFF"]


def hint(content: bytes) -> str:
    """What a file that is not a picture we take seems to be; empty if nobody knows."""
    name = _by_magic(content) or _behind_junk(content) or _as_text(content) or _as_header(content)
    return f"it is {name}" if name else ""


def _by_magic(content: bytes) -> str:
    if is_heif(content):
        return "HEIC, which needs the extra: pip install 'seethrough[heic]'"
    for start, name in _MAGIC:
        if content.startswith(start):
            return name
    for at, sign, name in _ELSEWHERE:
        if content.startswith(sign, at):
            return name
    if _MULTIPART.match(content):
        return "a multipart body sent as a picture"
    if content[:4] == b"RIFF" and content[8:12] in _RIFF:
        return _RIFF[content[8:12]]
    return iso_name(content)


def _behind_junk(content: bytes) -> str:
    """A picture with bytes before it: a line break, a byte order mark, a script's warning."""
    start = content[:_JUNK_BYTES]
    found = [(start.find(magic), name) for magic, name in _SIGNS]
    behind = [each for each in found if each[0] > 0]
    if not behind:
        return ""
    at, name = min(behind)
    return f"a {name} behind {at} bytes that do not belong to it"


def _as_text(content: bytes) -> str:
    if not content.strip(b"\0"):
        return "nothing but zero bytes"
    head = content[:512].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if b"<svg" in head:
        return "SVG, a drawing without pixels"
    for pattern, name in _TEXTS:
        if pattern.match(head):
            return name
    if content[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return "text"
    try:
        text = content[:512].decode()
    except UnicodeDecodeError as error:
        text = content[: error.start].decode() if error.start > 508 else "\0"
    return "text" if all(each.isprintable() or each in "\t\r\n\ufeff" for each in text) else ""


def _as_header(content: bytes) -> str:
    """What has no sign of its own, but a header that makes sense."""
    if content[:3] == b"\0\0\2" and content[4:6] not in (b"\0\0", b""):
        return "a cursor (CUR)"
    if content[:1] == b"\n" and content[1:3] in (b"\0\1", b"\2\1", b"\3\1", b"\4\1", b"\5\1"):
        return "PCX"
    kind, depth = content[2:3], content[16:17]
    is_tga = len(content) > 18 and content[1] < 2 and kind in (b"\1", b"\2", b"\3", b"\t", b"\n")
    if is_tga and depth in (b"\x08", b"\x0f", b"\x10", b"\x18", b"\x20"):
        return "TGA"
    return ""
