import struct

from tests.files import SMALL
from tests.pictures import encode

PHOTO = encode(SMALL, quality=90)


def segment(marker: int, payload: bytes) -> bytes:
    return bytes([0xFF, marker]) + struct.pack(">H", len(payload) + 2) + payload


def with_segments(*segments: bytes) -> bytes:
    """The photo with segments at its start."""
    return PHOTO[:2] + b"".join(segments) + PHOTO[2:]


def with_frame(marker: int = 0xC0, at: int = 0, value: bytes = b"") -> bytes:
    """The photo with another process in its frame header, or other bytes in it."""
    content = bytearray(PHOTO)
    start = content.index(b"\xff\xc0")
    content[start + 1] = marker
    content[start + 4 + at : start + 4 + at + len(value)] = value
    return bytes(content)
