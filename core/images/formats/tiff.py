"""The directories of a TIFF: frames, strips and tiles, the first picture's tags."""

import struct
from collections.abc import Iterator
from itertools import islice
from typing import Final, NamedTuple

STRIP_OFFSETS: Final = 273
STRIP_BYTES: Final = 279
TILE_OFFSETS: Final = 324
TILE_BYTES: Final = 325

_ITEMS: Final = {1: "B", 3: "H", 4: "I", 13: "I", 16: "Q", 18: "Q"}
"""The whole numbers of TIFF and BigTIFF, by type."""

_MAX_ENTRIES: Final = 65_535
"""What a classic TIFF can say."""

_MAX_VALUES: Final = 64
"""Values of one tag that are read; those that describe a pixel have as many as it has samples."""


class TagEntry(NamedTuple):
    """One entry of a directory.

    Attributes:
        tag, type: as in the file.
        length: how many values there are.
        data: the values, or the offset where they stand, as in the file.
    """

    tag: int
    type: int
    length: int
    data: bytes


class ByteLayout(NamedTuple):
    """How numbers are written in a TIFF.

    Attributes:
        order: "<" or ">".
        big: offsets have 64 bits: BigTIFF.
    """

    order: str
    big: bool

    @property
    def entry_form(self) -> struct.Struct:
        """Tag, type, count, data."""
        return struct.Struct(self.order + ("HHQ8s" if self.big else "HHI4s"))

    @property
    def count_form(self) -> struct.Struct:
        """How many entries a directory has."""
        return struct.Struct(self.order + ("Q" if self.big else "H"))

    @property
    def link_form(self) -> struct.Struct:
        """Where something stands in the file."""
        return struct.Struct(self.order + ("Q" if self.big else "I"))


def layout(content: bytes) -> ByteLayout:
    """How numbers are written in a TIFF, by its first four bytes."""
    order = "<" if content[:2] == b"II" else ">"
    return ByteLayout(order, b"+" in content[2:4])


def tiff_frames(content: bytes, limit: int) -> int:
    """Frames of a TIFF, counted along its directories without reading them."""
    return max(sum(1 for _ in islice(_directories(content), limit)), 1)


def tiff_pieces(content: bytes) -> int:
    """How many strips or tiles the first picture of a TIFF claims to consist of."""
    counts = [
        each.length for each in _entries(content) if each.tag in (STRIP_OFFSETS, TILE_OFFSETS)
    ]
    return max(counts, default=0)


def tiff_tags(content: bytes) -> dict[int, TagEntry]:
    """The entries of the first picture by their tags; empty if there are none."""
    return {each.tag: each for each in _entries(content)}


def values(content: bytes, entry: TagEntry) -> bytes:
    """The bytes of an entry's whole numbers; empty if they are no such numbers or not there."""
    code = _ITEMS.get(entry.type)
    if code is None:
        return b""
    form = layout(content)
    size = entry.length * struct.calcsize(code)
    if size <= len(entry.data):
        return entry.data[:size]
    (at,) = form.link_form.unpack(entry.data)
    return content[at : at + size] if at + size <= len(content) else b""


def numbers(content: bytes, entry: TagEntry | None, default: tuple[int, ...]) -> tuple[int, ...]:
    """An entry's whole numbers, no more than a pixel may have; the default if there are none."""
    if entry is None or not 1 <= entry.length <= _MAX_VALUES or entry.type not in _ITEMS:
        return default
    data = values(content, entry)
    if not data:
        return default
    return struct.unpack(f"{layout(content).order}{entry.length}{_ITEMS[entry.type]}", data)


def item_bytes(entry: TagEntry) -> int:
    """How long one of an entry's whole numbers is; 0 if they are none."""
    code = _ITEMS.get(entry.type)
    return struct.calcsize(code) if code else 0


def _entries(content: bytes) -> Iterator[TagEntry]:
    """What the first directory holds, no more than a classic TIFF's may."""
    form = layout(content).entry_form
    tags = next(_directories(content), b"")
    entries = min(len(tags) // form.size, _MAX_ENTRIES)
    for entry in form.iter_unpack(tags[: entries * form.size]):
        yield TagEntry(*entry)


def _directories(content: bytes) -> Iterator[bytes]:
    """The entries of each directory, in order; ends at damage or where the chain turns back.

    Source: TIFF 6.0, section 2; BigTIFF as libtiff writes it.
    """
    form = layout(content)
    seen: set[int] = set()
    try:
        (at,) = form.link_form.unpack_from(content, 8 if form.big else 4)
        while at and at not in seen:
            seen.add(at)
            start = at + form.count_form.size
            end = start + form.count_form.unpack_from(content, at)[0] * form.entry_form.size
            yield content[start:end]
            (at,) = form.link_form.unpack_from(content, end)
    except (struct.error, OverflowError):  # cut off, or an offset beyond any file
        return
