"""Writes that wait for the writer, and what becomes of those that share a transaction."""

from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from core.gallery.changes import Change
from core.gallery.records import Put, Write
from core.gallery.sqlite.transaction import SqliteTransaction
from core.gallery.transaction import Effect


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteLimits:
    """How many writes share a commit, and how many may wait for theirs.

    Pictures' files are kept whole until they are on disk: the bytes bound the memory they take.
    """

    group: int = 256
    group_bytes: int = 64 * 2**20
    waiting: int = 1024
    waiting_bytes: int = 512 * 2**20


@dataclass(eq=False, slots=True)
class QueuedWrite:
    """A write that waits, see `Writer.submit`."""

    apply: Callable[[SqliteTransaction], Effect[Any]]
    size_bytes: int
    alone: bool
    frees: bool
    future: "Future[Any]" = field(default_factory=Future)


@dataclass(eq=False, slots=True)
class Group:
    """What became of the writes of one transaction, until it is committed."""

    seq: int
    answers: list[tuple[QueuedWrite, Any]] = field(default_factory=list)
    errors: list[tuple[QueuedWrite, BaseException]] = field(default_factory=list)
    changes: list[Change] = field(default_factory=list)

    def add(self, job: QueuedWrite, outcome: Effect[Any]) -> None:
        """Note what a write answered."""
        self.answers.append((job, outcome.answer))
        self.changes.extend(outcome.changes)
        self.seq += outcome.counts


def size_bytes_of(write: Write) -> int:
    """About the memory that a write holds while it waits."""
    if not isinstance(write, Put):
        return 0
    item = write.item
    original = b"" if item.original is None else item.original.content
    return item.vector.nbytes + len(item.thumbnail) + len(original)
