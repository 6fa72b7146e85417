"""The chunks of a WebP: its size, its first frame, and the file without metadata."""

import struct
from collections.abc import Iterator

_PIXELS = {b"VP8 ", b"VP8L", b"ALPH", b"ANIM", b"ANMF"}
_ANIMATED = 0x02
_METADATA = 0x20 | 0x08 | 0x04  # ICC, EXIF, XMP


def webp_size(content: bytes) -> tuple[int, int] | None:
    """Width and height a WebP claims; None if its first chunk does not tell.

    Source: RFC 9649, sections 2.5 to 2.7.
    """
    chunk, body = content[12:16], content[20:30]
    if len(body) < 10:
        return None
    if chunk == b"VP8X":
        return _triple(body, 4) + 1, _triple(body, 7) + 1
    if chunk == b"VP8L" and body[:1] == b"\x2f":
        bits = int.from_bytes(body[1:5], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if chunk == b"VP8 " and body[3:6] == b"\x9d\x01\x2a":
        width, height = struct.unpack("<HH", body[6:10])
        return width & 0x3FFF, height & 0x3FFF
    return None


def webp_first_box(content: bytes) -> tuple[int, int, int, int] | None:
    """Left, top, right, bottom of an animation's first frame on its canvas; None for a still."""
    if content[12:16] != b"VP8X" or not content[20:21] or not content[20] & _ANIMATED:
        return None
    for kind, at, end in _chunks(content):
        if kind == b"ANMF" and end - at >= 12:
            left, top = 2 * _triple(content, at), 2 * _triple(content, at + 3)
            return (
                left,
                top,
                left + _triple(content, at + 6) + 1,
                top + _triple(content, at + 9) + 1,
            )
    return None


def webp_pixels_only(content: bytes) -> bytes:
    """The same picture without profile, EXIF and XMP, in a RIFF of the right length."""
    kept = bytearray()
    for kind, at, end in _chunks(content):
        body = content[at:end]
        if kind == b"VP8X" and body:
            body = bytes([body[0] & ~_METADATA]) + body[1:]
        elif kind not in _PIXELS:
            continue
        kept += kind + struct.pack("<I", len(body)) + body + b"\0" * (len(body) & 1)
    return b"RIFF" + struct.pack("<I", 4 + len(kept)) + b"WEBP" + bytes(kept)


def _chunks(content: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Kind, start and end of every chunk that is there in full.

    Source: RFC 9649, section 2.3.
    """
    at = 12
    while at + 8 <= len(content):
        start = at + 8
        end = start + int.from_bytes(content[at + 4 : start], "little")
        if end > len(content):
            return
        yield content[at : at + 4], start, end
        at = end + (end - start & 1)


def _triple(content: bytes, at: int) -> int:
    return int.from_bytes(content[at : at + 3], "little")
