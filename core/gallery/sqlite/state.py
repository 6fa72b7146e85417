"""SQL of a gallery's one row: the number of its last change, and the secret of its cursors."""

import sqlite3
from dataclasses import dataclass

from core.errors import GalleryUnusable
from core.gallery.sqlite import sums

_READ = (
    "SELECT count(*) OVER () AS rows, one, seq, CAST(secret AS BLOB) AS secret, sum FROM gallery"
)


@dataclass(frozen=True, slots=True)
class State:
    """The row.

    Attributes:
        seq: number of the last change.
        secret: what listings' cursors are signed with.
    """

    seq: int
    secret: bytes


def read(connection: sqlite3.Connection) -> State:
    """The row as it was written.

    Raises:
        GalleryUnusable: it is missing or damaged: without it no change can be numbered.
    """
    row = connection.execute(_READ).fetchone()
    if row is None:
        raise GalleryUnusable("its table of one row is empty")
    state = State(row["seq"], row["secret"])
    if row["rows"] != 1 or row["sum"] not in (None, _sum_of(state)):
        raise GalleryUnusable("its table of one row is damaged: bring back a backup")
    return state


def write(connection: sqlite3.Connection, state: State) -> None:
    """Put another in its place."""
    connection.execute("UPDATE gallery SET seq = ?, sum = ?", (state.seq, _sum_of(state)))


def _sum_of(state: State) -> int:
    return sums.of_bytes(state.secret or b"", state.seq)
