"""`Transaction` and `Effect`: what one write gets, and what it gives back."""

import sqlite3
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, TypeVar

from core.gallery.sqlite.changes import Change

T = TypeVar("T")


@dataclass(frozen=True, slots=True, eq=False)
class Transaction:
    """What a write works with.

    Attributes:
        connection: inside the transaction, at a savepoint of this write's own.
        seq: the number of the change, if it becomes one.
        now: in UTC.
    """

    connection: sqlite3.Connection
    seq: int
    now: datetime


@dataclass(frozen=True, slots=True, eq=False)
class Effect(Generic[T]):
    """What became of a write.

    Attributes:
        answer: what its future will hold.
        changes: what an index needs to know; empty where only metadata changed.
        counts: whether the transaction's `seq` is used up; not if nothing was written.
    """

    answer: T
    changes: tuple[Change, ...] = ()
    counts: bool = True
