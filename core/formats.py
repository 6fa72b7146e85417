"""Owns what a picture's bytes tell before a decoder sees them; refuses to decode anything."""

import struct
from collections.abc import Iterator
from importlib.util import find_spec
from itertools import islice

_HEIF_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
_AVIF_BRANDS = (b"avif", b"avis")

HAS_HEIF = find_spec("pillow_heif") is not None
"""Whether the extra `heic` is installed."""

FORMATS: tuple[str, ...] = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF") + (
    ("HEIF",) if HAS_HEIF else ()
)
"""The formats taken."""


def sniff(content: bytes) -> str | None:
    """The format the first bytes announce, or None if it is not one we take."""
    for magic, name in _MAGIC:
        if content.startswith(magic):
            return name
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return "WEBP"
    if content[4:8] == b"ftyp":
        return _iso_format(content[8:12])
    return None


def hint(content: bytes) -> str:
    """What a file that is not a picture we take seems to be; empty if nobody knows."""
    head = content[:512].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if content[4:8] == b"ftyp" and content[8:12] in _HEIF_BRANDS:
        return "it is HEIC, which needs the extra: pip install 'seethrough[heic]'"
    if b"<svg" in head:
        return "it is SVG, a drawing without pixels"
    for start, name in _STRANGERS:
        if head.startswith(start):
            return f"it is {name}"
    return ""


_MAGIC = (
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
    (b"II*\0", "TIFF"),
    (b"MM\0*", "TIFF"),
    (b"II+\0", "TIFF"),
    (b"MM\0+", "TIFF"),
    (b"BM", "BMP"),
)

_STRANGERS = (
    (b"<!doctype html", "HTML"),
    (b"<html", "HTML"),
    (b"<?xml", "XML"),
    (b"%pdf", "PDF"),
    (b"%!ps", "PostScript"),
    (b"pk\x03\x04", "a ZIP archive"),
    (b"\x1f\x8b", "gzip; send the picture as it is"),
)


def _iso_format(brand: bytes) -> str | None:
    if brand in _AVIF_BRANDS:
        return "AVIF"
    return "HEIF" if HAS_HEIF and brand in _HEIF_BRANDS else None


def gif_frames(content: bytes, limit: int) -> int:
    """Frames of a GIF, counted along its blocks without decoding, no further than the limit.

    Source: GIF89a specification, sections 18 to 25.
    """
    at = 13 + _color_table_bytes(content[10])
    frames = 0
    try:
        while frames < limit:
            block = content[at]
            if block == 0x21:  # an extension: label, then data
                at = _after_data(content, at + 2)
            elif block == 0x2C:  # an image: descriptor, colours, code size, then data
                at += 10 + _color_table_bytes(content[at + 9])
                at = _after_data(content, at + 1)
                frames += 1
            else:
                break
    except IndexError:  # cut off after a frame that could be decoded
        pass
    return max(frames, 1)


def _color_table_bytes(flags: int) -> int:
    return int(3 * 2 ** ((flags & 7) + 1)) if flags & 0x80 else 0


def _after_data(content: bytes, at: int) -> int:
    while length := content[at]:
        at += length + 1
    return at + 1


def webp_size(content: bytes) -> tuple[int, int] | None:
    """Width and height a WebP claims; None if its first chunk does not tell.

    Source: RFC 9649, sections 2.5 to 2.7.
    """
    chunk, body = content[12:16], content[20:30]
    if len(body) < 10:
        return None
    if chunk == b"VP8X":
        return int.from_bytes(body[4:7], "little") + 1, int.from_bytes(body[7:10], "little") + 1
    if chunk == b"VP8L" and body[:1] == b"\x2f":
        bits = int.from_bytes(body[1:5], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if chunk == b"VP8 " and body[3:6] == b"\x9d\x01\x2a":
        width, height = struct.unpack("<HH", body[6:10])
        return width & 0x3FFF, height & 0x3FFF
    return None


_STRIP_OFFSETS = 273
_TILE_OFFSETS = 324


def tiff_frames(content: bytes, limit: int) -> int:
    """Frames of a TIFF, counted along its directories without reading them."""
    return max(sum(1 for _ in islice(_tiff_directories(content), limit)), 1)


def tiff_pieces(content: bytes) -> int:
    """How many strips or tiles the first picture of a TIFF claims to consist of."""
    tags = next(_tiff_directories(content), b"")
    order, big = _tiff_layout(content)
    entry = struct.Struct(order + ("HHQ8x" if big else "HHI4x"))
    whole = tags[: len(tags) // entry.size * entry.size]
    counts = [n for tag, _, n in entry.iter_unpack(whole) if tag in (_STRIP_OFFSETS, _TILE_OFFSETS)]
    return max(counts, default=0)


def _tiff_layout(content: bytes) -> tuple[str, bool]:
    """Byte order, and whether offsets have 64 bits. BigTIFF only as Pillow reads it: II."""
    return "<" if content[:2] == b"II" else ">", content[2:3] == b"+"


def _tiff_directories(content: bytes) -> Iterator[bytes]:
    """The entries of each directory, in order; ends at damage or where the chain turns back."""
    order, big = _tiff_layout(content)
    count = struct.Struct(order + ("Q" if big else "H"))
    link = struct.Struct(order + ("Q" if big else "I"))
    entry_bytes = 20 if big else 12
    seen: set[int] = set()
    try:
        (at,) = link.unpack_from(content, 8 if big else 4)
        while at and at not in seen:
            seen.add(at)
            start = at + count.size
            end = start + count.unpack_from(content, at)[0] * entry_bytes
            yield content[start:end]
            (at,) = link.unpack_from(content, end)
    except (struct.error, OverflowError):  # cut off, or an offset beyond any file
        return
