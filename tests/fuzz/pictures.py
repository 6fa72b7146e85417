"""Makes pictures that are nearly right: valid files of every kind, with something done to them."""

import random
import struct
import zlib
from collections.abc import Callable

from tests.files.kinds import kinds
from tests.fuzz.case import Case

_NUMBERS = (
    0,
    1,
    2,
    4,
    0x7F,
    0x80,
    0xFF,
    0x100,
    0x7FFF,
    0x8000,
    0xFFFF,
    2**24,
    2**31 - 1,
    2**32 - 1,
)
_MOST_STEPS = 5
_HEAD_BYTES = 200


def picture_case(rng: random.Random) -> Case:
    name, content = broken_picture(rng)
    return Case("pictures", name, content)


def broken_picture(rng: random.Random) -> tuple[str, bytes]:
    """A name that says what was done, and the file."""
    name = rng.choice(sorted(kinds()))
    content = bytearray(kinds()[name])
    notes = [name]
    for _ in range(rng.randint(1, _MOST_STEPS)):
        step = rng.choice(_STEPS)
        if content:
            content = step(rng, content)
            notes.append(step.__name__.strip("_"))
    return ", ".join(notes), bytes(content)


def _at(rng: random.Random, content: bytearray, room: int = 1) -> int:
    """Somewhere in the file, half of the time in its head."""
    reach = len(content) if rng.random() < 0.5 else min(len(content), _HEAD_BYTES)
    return rng.randrange(max(reach - room + 1, 1))


def _byte(rng: random.Random, content: bytearray) -> bytearray:
    content[_at(rng, content)] = rng.randrange(256)
    return content


def _bit(rng: random.Random, content: bytearray) -> bytearray:
    content[_at(rng, content)] ^= 1 << rng.randrange(8)
    return content


def _number(rng: random.Random, content: bytearray) -> bytearray:
    code = rng.choice(("<H", ">H", "<I", ">I"))
    size = struct.calcsize(code)
    at = _at(rng, content, size)
    content[at : at + size] = struct.pack(code, rng.choice(_NUMBERS) % 2 ** (8 * size))
    return content


def _cut(rng: random.Random, content: bytearray) -> bytearray:
    return content[: rng.randrange(1, len(content) + 1)]


def _dropped(rng: random.Random, content: bytearray) -> bytearray:
    at = _at(rng, content)
    return content[:at] + content[at + rng.randrange(1, 64) :]


def _doubled(rng: random.Random, content: bytearray) -> bytearray:
    at = _at(rng, content)
    piece = content[at : at + rng.randrange(1, 4096)]
    return content[:at] + piece * rng.randint(2, 20) + content[at:]


def _zeroed(rng: random.Random, content: bytearray) -> bytearray:
    at, length = _at(rng, content), rng.randrange(1, 512)
    content[at : at + length] = bytes(len(content[at : at + length]))
    return content


def _spliced(rng: random.Random, content: bytearray) -> bytearray:
    other = kinds()[rng.choice(sorted(kinds()))]
    return content[: _at(rng, content)] + other[rng.randrange(len(other)) :]


def _appended(rng: random.Random, content: bytearray) -> bytearray:
    return content + kinds()[rng.choice(sorted(kinds()))]


def _structured(rng: random.Random, content: bytearray) -> bytearray:
    """Something that only this format has."""
    for magic, step in _BY_MAGIC:
        if content.startswith(magic) and len(content) > 64:
            return step(rng, content)
    return _number(rng, content)


def _png_chunks(rng: random.Random, content: bytearray) -> bytearray:
    """Chunks lost, doubled, moved, renamed or changed, most with the right checksum."""
    chunks, at = [], 8
    while at + 12 <= len(content) and len(chunks) < 1000:
        length = int.from_bytes(content[at : at + 4], "big")
        chunks.append(
            (bytes(content[at + 4 : at + 8]), bytearray(content[at + 8 : at + 8 + length]))
        )
        at += 12 + length
    i = rng.randrange(len(chunks))
    kind, payload = chunks[i]
    match rng.randrange(5):
        case 0:
            del chunks[i]
        case 1:
            chunks.insert(rng.randrange(len(chunks) + 1), chunks[i])
        case 2:
            rng.shuffle(chunks)
        case 3:
            kind = rng.choice(
                (b"IDAT", b"tRNS", b"PLTE", b"acTL", b"fcTL", b"fdAT", b"eXIf", b"iTXt")
            )
            chunks[i] = kind, payload
        case _ if payload:
            chunks[i] = kind, _number(rng, payload)
    out = bytearray(content[:8])
    for kind, payload in chunks:
        checksum = zlib.crc32(kind + payload) if rng.random() < 0.9 else rng.randrange(2**32)
        out += struct.pack(">I", len(payload)) + kind + payload + struct.pack(">I", checksum)
    return out


def _tiff_entry(rng: random.Random, content: bytearray) -> bytearray:
    """One entry of the first directory of a little-endian TIFF: tag, type, count or value."""
    at = int.from_bytes(content[4:8], "little")
    if at + 2 > len(content):
        return _number(rng, content)
    entries = int.from_bytes(content[at : at + 2], "little")
    start = at + 2 + 12 * rng.randrange(max(min(entries, 40), 1))
    field, size = rng.choice(((0, 2), (2, 2), (4, 4), (8, 4)))
    value = rng.choice((*_NUMBERS, 256, 257, 258, 259, 262, 277, 284, 317, 322, 338, 339, 34712))
    content[start + field : start + field + size] = (value % 2 ** (8 * size)).to_bytes(
        size, "little"
    )
    return content


def _jpeg_segment(rng: random.Random, content: bytearray) -> bytearray:
    """A segment's length, its marker, or bytes of the frame header."""
    marks = [i for i in range(2, min(len(content) - 10, 2000)) if content[i] == 0xFF]
    at = rng.choice(marks or [2])
    if rng.random() < 0.5:
        content[at + 2 : at + 4] = struct.pack(">H", rng.choice(_NUMBERS) % 65536)
    else:
        content[at + 1] = rng.choice((*range(0xC0, 0xD0), 0xD9, 0xDA, 0xE1, 0xE2, 0xEE, 0xFE))
    return content


_Step = Callable[[random.Random, bytearray], bytearray]
_BY_MAGIC: tuple[tuple[bytes, _Step], ...] = (
    (b"\x89PNG", _png_chunks),
    (b"II*\0", _tiff_entry),
    (b"\xff\xd8", _jpeg_segment),
)
_STEPS: tuple[_Step, ...] = (
    _byte,
    _bit,
    _number,
    _cut,
    _dropped,
    _doubled,
    _zeroed,
    _spliced,
    _appended,
    _structured,
    _structured,
    _structured,
)
