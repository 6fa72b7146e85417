import struct
import zlib

from tests.files import SMALL
from tests.pictures import encode

PHOTO = encode(SMALL, "PNG")
HEADER_END = 33
FOOTER = 12  # bytes of IEND


def chunk(kind: bytes, payload: bytes, checksum: int | None = None) -> bytes:
    checked = kind + payload
    right = zlib.crc32(checked) if checksum is None else checksum
    return struct.pack(">I", len(payload)) + checked + struct.pack(">I", right)


def png(
    width: int,
    height: int,
    color_type: int = 2,
    data: bytes = b"",
    depth: int = 8,
    more: bytes = b"",
) -> bytes:
    """A PNG by hand; `more` stands before the pixels."""
    header = struct.pack(">IIBBBBB", width, height, depth, color_type, 0, 0, 0)
    body = chunk(b"IHDR", header) + more + chunk(b"IDAT", zlib.compress(data))
    return b"\x89PNG\r\n\x1a\n" + body + chunk(b"IEND", b"")


def before_pixels(*chunks: bytes) -> bytes:
    """The photo with chunks behind its header."""
    return PHOTO[:HEADER_END] + b"".join(chunks) + PHOTO[HEADER_END:]


def behind_pixels(*chunks: bytes) -> bytes:
    """The photo with chunks before its IEND."""
    return PHOTO[:-FOOTER] + b"".join(chunks) + PHOTO[-FOOTER:]


def profile(size: int) -> bytes:
    """An iCCP chunk that unpacks to so many bytes."""
    return chunk(b"iCCP", b"scanner\0\0" + zlib.compress(bytes(size)))
