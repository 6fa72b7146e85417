"""The chunks of a PNG: which of them a picture needs, and how many frames there are."""

import zlib
from collections.abc import Iterator
from typing import Final, NamedTuple

from core.errors import ImageCorrupt

MAX_CHUNKS: Final = 100_000
"""Chunks of one file. A big honest one has some thousand; one of 20 MB made of empty chunks has
1.7 million, each of them read in Python."""

_MAX_METADATA_BYTES: Final = 2**20
"""What orientation may be looked for in, unpacked; Pillow refuses the picture above it."""

_DEEP: Final = 16
_PALETTE_TYPE: Final = 3
_CHANNELS: Final = {0: 1, 2: 3, 4: 2, 6: 4}  # by color type
_TRANSPARENT_BYTES: Final = {0: 2, 2: 6}  # one color: by its gray, or by red, green and blue
_ITXT_XMP: Final = b"XML:com.adobe.xmp\0"
_ZTXT_EXIF: Final = b"Raw profile type exif\0"


class NeededPng(NamedTuple):
    """A PNG reduced to what its first picture needs.

    Attributes:
        content: the file; the very one received if nothing had to go.
        frames: of the animation, at least 1.
        bits: that samples of 16 bits had before, by sBIT, 8 to 16; None = nothing says.
    """

    content: bytes
    frames: int
    bits: int | None

    @property
    def is_gray(self) -> bool:
        """Whether it has a single channel, without a palette."""
        return self.content[25] == 0

    @property
    def is_deep_color(self) -> bool:
        """Whether it has 16 bits in more than one channel, of which Pillow keeps 8."""
        return self.content[24] == _DEEP and not self.is_gray


class _Chunk(NamedTuple):
    kind: bytes
    start: int
    end: int


def is_cgbi(content: bytes) -> bool:
    """Whether it is what Xcode makes of the PNGs in an app: no PNG that others can read."""
    return content[12:16] == b"CgBI"


def needed(content: bytes) -> NeededPng:
    """What decoding and turning the first picture need; all else costs nothing and breaks nothing.

    Color profiles, texts, times, and the other frames of an animation are left out: decoders
    unpack them, bound them, check them, and refuse a whole picture for them.

    Raises:
        ImageCorrupt: more chunks than MAX_CHUNKS.
    """
    view = memoryview(content)
    kept: list[memoryview] = [view[:8]]
    announced, led, seen_pixels, frames, end = 0, False, False, 1, 8
    bits: int | None = None
    for count, chunk in enumerate(_chunks(content)):
        if count >= MAX_CHUNKS:
            raise ImageCorrupt(f"a PNG of more than {MAX_CHUNKS} chunks")
        end = chunk.end
        if _is_needed(content, chunk):
            kept.append(view[chunk.start : end])
        elif chunk.kind == b"acTL" and not seen_pixels and end - chunk.start == 20:
            announced = announced or int.from_bytes(view[chunk.start + 8 : chunk.start + 12], "big")
        elif chunk.kind == b"sBIT" and not seen_pixels:
            bits = _original_bits(content, chunk)
        led = led or (chunk.kind == b"fcTL" and not seen_pixels)
        seen_pixels = seen_pixels or chunk.kind == b"IDAT"
        if chunk.kind == b"IEND":
            break
    else:
        kept.append(_rest(view, end, seen_pixels))
    if 0 < announced < 2**31:
        frames = announced + (not led)  # a picture without fcTL stands before the animation
    if sum(map(len, kept)) == len(content):
        return NeededPng(content, frames, bits)
    return NeededPng(b"".join(kept), frames, bits)


def _chunks(content: bytes) -> Iterator[_Chunk]:
    """Every chunk that is there in full, up to the first that is none.

    Source: PNG specification (third edition), section 5.3.
    """
    at = 8
    while at + 12 <= len(content):
        kind = content[at + 4 : at + 8]
        end = at + 12 + int.from_bytes(content[at : at + 4], "big")
        if end > len(content) or not (kind.isalpha() and kind.isascii()):
            return
        yield _Chunk(kind, at, end)
        at = end


def _rest(view: memoryview, at: int, seen_pixels: bool) -> memoryview:
    """What stands behind the last whole chunk: perhaps pixels that end early."""
    kind = bytes(view[at + 4 : at + 8])
    return view[at:] if kind == b"IDAT" or not seen_pixels else view[:0]


def _is_needed(content: bytes, chunk: _Chunk) -> bool:
    kind = chunk.kind
    if kind in (b"IHDR", b"IDAT", b"IEND"):
        return True
    if kind == b"tRNS":
        length, color = chunk.end - chunk.start - 12, content[25]
        return length > 0 if color == _PALETTE_TYPE else length == _TRANSPARENT_BYTES.get(color)
    if kind == b"PLTE":  # elsewhere it only suggests colors
        return content[25] == _PALETTE_TYPE
    if kind == b"eXIf":
        return _is_intact(content, chunk)
    if kind in (b"iTXt", b"zTXt", b"tEXt"):
        return _may_hold_orientation(content, chunk) and _is_intact(content, chunk)
    return False


def _original_bits(content: bytes, chunk: _Chunk) -> int | None:
    """The most bits that any channel had, of those whose samples have 16."""
    said = content[chunk.start + 8 : chunk.end - 4]
    is_sane = len(said) == _CHANNELS.get(content[25]) and all(8 <= bits <= _DEEP for bits in said)
    if content[24] != _DEEP or not is_sane or not _is_intact(content, chunk):
        return None
    return max(said)


def _is_intact(content: bytes, chunk: _Chunk) -> bool:
    view = memoryview(content)
    checksum = int.from_bytes(view[chunk.end - 4 : chunk.end], "big")
    return zlib.crc32(view[chunk.start + 4 : chunk.end - 4]) == checksum


def _may_hold_orientation(content: bytes, chunk: _Chunk) -> bool:
    """Whether it is XMP or an EXIF profile, of a bounded size."""
    start, end = chunk.start + 8, chunk.end - 4
    if end - start > _MAX_METADATA_BYTES:
        return False
    if content.startswith(_ITXT_XMP, start):
        flag = start + len(_ITXT_XMP)
        packed = content[flag + 2 : end].split(b"\0", 2)  # language, translated keyword, text
        return content[flag : flag + 1] != b"\1" or (len(packed) == 3 and _unpacks(packed[2]))
    if content.startswith(_ZTXT_EXIF, start):
        data = content[start + len(_ZTXT_EXIF) : end]
        return chunk.kind == b"tEXt" or (data[:1] == b"\0" and _unpacks(data[1:]))
    return False


def _unpacks(packed: bytes) -> bool:
    unpacker = zlib.decompressobj()
    try:
        unpacker.decompress(packed, _MAX_METADATA_BYTES)
    except zlib.error:
        return False
    return not unpacker.unconsumed_tail
