"""Owns what an index asks of whoever keeps the vectors; refuses to know how they are kept."""

from collections.abc import Iterator
from typing import Protocol

from core.gallery.index.nearest import Numbers
from core.types import FloatArray


class VectorSource(Protocol):
    """The vectors on disk, the truth that an index is made from; any thread may ask.

    A change is here before the index is told of it.
    """

    def vectors_of(self, numbers: Numbers) -> tuple[Numbers, FloatArray]:
        """Those of the numbers that still exist, (m,), and their vectors, (m, D)."""

    def scan(self) -> Iterator[tuple[Numbers, FloatArray]]:
        """All of them in blocks, by ascending number, as of one moment."""
