"""Which byte of a data folder is flipped next."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from core.gallery.sqlite.schema import PAGE_SIZE_BYTES
from tests.flips.sample import CLOSED, KILLED

_TREES = {2: 12, 5: 12, 10: 8, 13: 8}
"""Kinds of pages that hold rows or keys, and the length of their heads."""
_ROW_START = 40


@dataclass(frozen=True, slots=True)
class Flip:
    """One byte of one file.

    Attributes:
        kind: of file and place, in words.
        mask: the bits that change.
    """

    kind: str
    file: Path
    offset: int
    mask: int

    def __str__(self) -> str:
        return f"{self.file} at {self.offset} ^ {self.mask}"

    @property
    def state(self) -> str:
        """Whose folder it is in."""
        return self.file.parts[0]

    def apply(self, folder: Path) -> None:
        """Change the file in a copy of that folder."""
        with folder.joinpath(*self.file.parts[1:]).open("r+b") as out:
            out.seek(self.offset)
            (old,) = out.read(1)
            out.seek(self.offset)
            out.write(bytes([old ^ self.mask]))


def flips(folder: Path, count: int, seed: int) -> Iterator[Flip]:
    """As many as asked for, of all files of `make`; most in those that hold most."""
    random = np.random.default_rng(seed)
    known = list(_places(folder))
    shares = np.array([share for share, *_ in known], dtype=float)
    for picked in random.choice(len(known), count, p=shares / shares.sum()):
        _, kind, file, pick = known[picked]
        yield Flip(kind, file, pick(random), int(random.integers(1, 256)))


Pick = Callable[[np.random.Generator], int]


def _places(folder: Path) -> Iterator[tuple[int, str, Path, Pick]]:
    """Share of the flips, kind, file and how a byte of it is drawn."""
    for path in _files(folder):
        file, size = path.relative_to(folder), path.stat().st_size
        anywhere = partial(_anywhere, size)
        match path.name:
            case "seethrough.db":
                yield 30, "database, anywhere", file, anywhere
                yield 30, "database, where pages and rows begin", file, _starts(path.read_bytes())
            case "seethrough.db-wal":
                yield 15, "write-ahead log", file, anywhere
            case "seethrough.db-shm":
                yield 2, "shared memory of the log", file, anywhere
            case name if name.endswith(".index"):
                yield 5, "index of vectors", file, anywhere
            case name:
                yield 2, name, file, anywhere


def _files(folder: Path) -> list[Path]:
    """Of the closed gallery, and those that only a killed one has."""
    closed, killed = folder / CLOSED, folder / KILLED
    found = [each for each in sorted(closed.rglob("*")) if each.is_file()]
    return found + [each for each in sorted(killed.iterdir()) if not (closed / each.name).exists()]


def _anywhere(size: int, random: np.random.Generator) -> int:
    return int(random.integers(size))


def _starts(content: bytes) -> Pick:
    """Heads of pages, and of rows and keys in them: what says where and how long all else is."""
    found = list(range(100))
    for start in range(0, len(content), PAGE_SIZE_BYTES):
        head = start + (100 if start == 0 else 0)
        length = _TREES.get(content[head])
        if length is None:
            continue
        cells = int.from_bytes(content[head + 3 : head + 5])
        found += range(head, head + length + 2 * cells)
        for cell in range(cells):
            place = head + length + 2 * cell
            row = start + int.from_bytes(content[place : place + 2])
            found += range(row, min(row + _ROW_START, start + PAGE_SIZE_BYTES))
    return lambda random: int(random.choice(found))
