import struct

from tests.files import SMALL
from tests.pictures import encode


def chunk(kind: bytes, payload: bytes) -> bytes:
    return kind + struct.pack("<I", len(payload)) + payload + b"\0" * (len(payload) & 1)


def riff(*chunks: bytes) -> bytes:
    body = b"WEBP" + b"".join(chunks)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def lossless(size: tuple[int, int] = (60, 40)) -> bytes:
    """The VP8L chunk of the photo, cut to width x height."""
    content = encode(SMALL[: size[1], : size[0]], "WEBP", lossless=True)
    length = struct.unpack_from("<I", content, 16)[0]
    return chunk(b"VP8L", content[20 : 20 + length])


def extended(flags: int) -> bytes:
    """A VP8X chunk for 60 x 40 pixels: 0x20 ICC, 0x10 alpha, 8 EXIF, 4 XMP, 2 animation."""
    size = (59).to_bytes(3, "little") + (39).to_bytes(3, "little")
    return chunk(b"VP8X", bytes([flags, 0, 0, 0]) + size)


def frame(left: int, top: int, width: int, height: int) -> bytes:
    """One frame of an animation: the photo's corner, there on the canvas."""
    numbers = (left // 2, top // 2, width - 1, height - 1, 100)
    head = b"".join(each.to_bytes(3, "little") for each in numbers)
    return chunk(b"ANMF", head + b"\0" + lossless((width, height)))


ANIMATION = chunk(b"ANIM", b"\xff\0\0\xff\0\0")
