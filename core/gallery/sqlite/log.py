"""Whether a write-ahead log holds changes that SQLite would drop without a word.

SQLite reads a log up to the first page whose checksum is wrong: so ends a log whose last change was
cut short by a kill or a power cut, and nobody was told that it is stored. Where a disk has changed
a byte it looks the same; but then later changes follow, each begun only when those before it were
on the disk.

Source: https://www.sqlite.org/fileformat2.html#the_write_ahead_log
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import BinaryIO, Final

import numpy as np
from numpy.typing import NDArray

from core.errors import GalleryUnusable

_HEAD_BYTES: Final = 32
_FRAME_HEAD_BYTES: Final = 24
_ORDERS: Final = {0x377F0682: "<u4", 0x377F0683: ">u4"}
"""How the words that are summed lie in the file, by its first four bytes."""
_MASK: Final = 2**32 - 1

Words = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class _Frame:
    """A page in the log.

    Attributes:
        is_whole: its checksum, which is of all before it, too, is right.
        is_current: it says that it belongs to this log; others are left from an earlier one.
        is_last: of a change.
    """

    offset: int
    is_whole: bool
    is_current: bool
    is_last: bool


def require_whole(log: Path) -> str:
    """Compare a log that nobody has open with its checksums.

    Returns:
        What is wrong with its end, in words; empty = nothing.

    Raises:
        GalleryUnusable: changes that were acknowledged cannot be read any more.
    """
    if not log.exists() or log.stat().st_size <= _HEAD_BYTES:
        return ""
    with log.open("rb") as source:
        frames = _frames(source, log)
        broken = next((each for each in frames if not each.is_whole), None)
        if broken is None:
            return ""
        later = [each for each in (broken, *frames) if each.is_current]
    ends = [number for number, each in enumerate(later) if each.is_last]
    if ends and ends[0] < len(later) - 1:
        raise GalleryUnusable(
            f"{log} is damaged at byte {broken.offset}, and with it what was stored after: bring "
            f"back a backup, or cut it off there (truncate -s {broken.offset}) to go on without"
        )
    if not ends:  # one that was never finished
        return ""
    return (
        f"the last change in {log.name} is not whole: it was cut short before it was "
        "acknowledged, or is damaged and lost"
    )


def _frames(source: BinaryIO, log: Path) -> Iterator[_Frame]:
    """Every page, in order.

    Raises:
        GalleryUnusable: the head is damaged.
    """
    head = source.read(_HEAD_BYTES)
    magic, _, page_bytes, _, *salts, first, second = _words(head)
    order = _ORDERS.get(magic, "<u4")
    total = _summed((0, 0), head[:24], order)
    if magic not in _ORDERS or total != (first, second):
        raise GalleryUnusable(
            f"the head of {log} is damaged, and with it what was stored last: bring back a "
            "backup, or delete it to go on without"
        )
    offset, whole, frame_bytes = _HEAD_BYTES, True, _FRAME_HEAD_BYTES + page_bytes
    while len(frame := source.read(frame_bytes)) == frame_bytes:
        _, size, *rest = _words(frame[:_FRAME_HEAD_BYTES])
        if whole:
            total = _summed(total, frame[:8] + frame[_FRAME_HEAD_BYTES:], order)
            whole = (*salts, *total) == tuple(rest)
        current = rest[0] == salts[0] or rest[1] == salts[1]  # one of them may be damaged
        yield _Frame(offset, whole, current, bool(size))
        offset += len(frame)


def _words(content: bytes) -> Words:
    return tuple(np.frombuffer(content, ">u4").tolist())


def _summed(start: Words, content: bytes, order: str) -> Words:
    """SQLite's checksum of pairs of words: `s += x + t; t += y + s`, modulo 2 ** 32.

    It is linear, so that the k-th word from the end counts as often as a Fibonacci number says.
    """
    words = np.frombuffer(content, order).astype(np.uint32)
    times = _fibonacci(len(words) + 2)
    back = np.arange(len(words), 0, -2)  # F(0) = 0; words from each pair to the end
    pairs = ((back - 1, back - 2), (back, back - 1))
    s, t = (
        int((words[0::2] * times[x]).sum(dtype=np.uint32))
        + int((words[1::2] * times[y]).sum(dtype=np.uint32))
        for x, y in pairs
    )
    before, at, after = map(int, times[len(words) - 1 :])
    s += start[0] * before + start[1] * at
    t += start[0] * at + start[1] * after
    return s & _MASK, t & _MASK


@cache
def _fibonacci(count: int) -> NDArray[np.uint32]:
    """The first of them, modulo 2 ** 32."""
    found = [0, 1]
    while len(found) < count:
        found.append((found[-1] + found[-2]) & _MASK)
    return np.array(found, np.uint32)
