"""The segments of a JPEG: its kind, and the file without metadata."""

from collections.abc import Iterator
from typing import Final, NamedTuple

_START_OF_SCAN: Final = 0xDA
_NOT_FRAMES: Final = (0xC4, 0xC8, 0xCC)  # Huffman tables, reserved, arithmetic conditioning
_ADOBE: Final = 0xEE  # says how four colors, and RGB, are stored

_LOSSLESS: Final = (0xC3, 0xC7, 0xCB, 0xCF)
_HIERARCHICAL: Final = (0xC5, 0xC6, 0xC7, 0xCD, 0xCE, 0xCF)
_JPEG_LS: Final = 0xF7
_PROGRESSIVE: Final = (0xC2, 0xC6, 0xCA, 0xCE)


class _Segment(NamedTuple):
    marker: int
    start: int
    end: int


def jpeg_pixels_only(content: bytes) -> bytes:
    """The same picture without EXIF, profiles, comments and whatever else is no pixels."""
    kept = bytearray(content[:2])
    at = 2
    for marker, start, at in _segments(content):
        is_metadata = 0xE0 <= marker <= 0xEF or marker == 0xFE
        if not is_metadata or (marker == _ADOBE and at - start >= 16):
            kept += content[start:at]
    return bytes(kept) + content[at:]


def jpeg_oddity(content: bytes) -> str:
    """What kind of JPEG it is, if it is one that hardly anybody decodes; else empty.

    Source: ITU-T T.81, section B.2.2.
    """
    for marker, start, end in _segments(content):
        if marker == _JPEG_LS:
            return "a JPEG-LS"
        if 0xC0 <= marker <= 0xCF and marker not in _NOT_FRAMES and end - start >= 10:
            return _frame_oddity(marker, content[start + 4 : start + 10])
    return ""


def jpeg_keeps_coefficients(content: bytes) -> bool:
    """Whether decoding it keeps all of its coefficients: it comes in more than one scan.

    Source: ITU-T T.81, sections B.2.2 and B.2.3.
    """
    components, at = 0, 2
    for marker, start, at in _segments(content):
        if marker in _PROGRESSIVE:
            return True
        if 0xC0 <= marker <= 0xCF and marker not in _NOT_FRAMES and at - start >= 10:
            components = content[start + 9]
    scan = content[at + 4 : at + 5]  # behind its marker and length: how many components it has
    return not scan or scan[0] < components


def _frame_oddity(marker: int, frame: bytes) -> str:
    bits, height, components = frame[0], frame[1:3], frame[5]
    lossless = "lossless " if marker in _LOSSLESS else ""
    if marker in _HIERARCHICAL:
        return f"a hierarchical {lossless}JPEG"
    if bits != 8:
        return f"a {lossless}JPEG of {bits} bits per sample"
    if height == b"\0\0":
        return "a JPEG that does not say its height"
    return "" if components in (1, 3, 4) else f"a JPEG of {components} components"


def _segments(content: bytes) -> Iterator[_Segment]:
    """Every segment before the first scan that is there in full, up to the first that is none.

    Source: ITU-T T.81, section B.1.1.
    """
    at = 2
    while at + 4 <= len(content) and content[at] == 0xFF:
        marker = content[at + 1]
        if marker == 0xFF:  # fill
            at += 1
            continue
        end = at + 2 + int.from_bytes(content[at + 2 : at + 4], "big")
        if marker == _START_OF_SCAN or marker < 0xC0 or end < at + 4 or end > len(content):
            return
        yield _Segment(marker, at, end)
        at = end
