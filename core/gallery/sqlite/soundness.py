"""SQL that compares what is stored with its checksums, some items at a time, and marks it."""

import hashlib
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from core.gallery.changes import Change, Rebound, Removed
from core.gallery.sqlite import listing, small_rows, sums
from core.gallery.sqlite.listing import tolerant
from core.gallery.sqlite.rows import (
    BLOB_COLUMNS,
    BLOBS_JOINED,
    ITEM_COLUMNS,
    blob_sums,
    stored_of,
)
from core.gallery.sqlite.small_rows import Damage
from core.gallery.sqlite.transaction import SqliteTransaction
from core.gallery.transaction import Effect

_JOINED: Final = (
    f"SELECT {ITEM_COLUMNS}, {BLOB_COLUMNS} FROM {BLOBS_JOINED} WHERE ordinal > ? ORDER BY ordinal"
)


@dataclass(slots=True)
class Examined:
    """What was found among some items.

    Attributes:
        last: ordinal of the last of them; None = there was none, and all other rows were compared.
        count: of rows.
        size_bytes: read.
        damages: what is not what was written.
        unsummed: ordinals and versions of sound items without checksums: from an older version.
        collections: keys of those without checksums.
    """

    last: int | None = None
    count: int = 0
    size_bytes: int = 0
    damages: list[Damage] = field(default_factory=list)
    unsummed: list[tuple[int, int]] = field(default_factory=list)
    collections: list[int] = field(default_factory=list)


def examine(connection: sqlite3.Connection, after: int, least_bytes: int) -> Examined:
    """Compare items behind an ordinal with their sums until so many bytes have been read.

    Behind the last of them, all rows that are not of items.
    """
    found = Examined()
    with tolerant(connection):
        for row in connection.execute(_JOINED, (after,)):
            found.last = row["ordinal"]
            found.count += 1
            found.size_bytes += sum(len(row[name] or b"") for name in _BLOBS)
            damages = list(_damages(row))
            found.damages += damages
            if row["sum"] is None and not damages:
                found.unsummed.append((row["ordinal"], row["version"]))
            if found.size_bytes >= least_bytes:
                break
    if found.last is None:
        found.damages = small_rows.damages(connection)
        found.collections = small_rows.unsummed(connection)
    return found


def mark(tx: SqliteTransaction, found: Examined) -> Effect[None]:
    """Have reads and searches leave out what is damaged, and give sums to what has none."""
    for ordinal, version in found.unsummed:
        tx.sum_up(ordinal, version)
    for key in found.collections:
        tx.seal_collection(key)
    changes: list[Change] = []
    for each in found.damages:
        small_rows.mark(tx, each)
        if each.part == "item":
            tx.connection.execute(
                "UPDATE items SET sum = ? WHERE ordinal = ?", (sums.BAD, each.ordinal)
            )
        if each.part in ("vector", "pixels"):
            done = tx.connection.execute(
                "INSERT OR IGNORE INTO damaged SELECT number FROM vectors WHERE number = ?",
                (each.number,),
            )
            changes += [Removed(each.key, each.number)] * done.rowcount
    return Effect(None, tuple(changes), counts=bool(changes))


def index_anew(tx: SqliteTransaction) -> Effect[None]:
    """Make SQLite's indexes from the rows, and have ours made from what they say then."""
    tx.connection.execute("REINDEX")
    every = listing.collections(tx.connection)
    return Effect(None, tuple(map(Rebound, every)), counts=bool(every))


def structure(connection: sqlite3.Connection) -> list[str]:
    """What SQLite itself finds wrong with the file, in words."""
    found = [text for (text,) in connection.execute("PRAGMA integrity_check")]
    loose = [str(row[0]) for row in connection.execute("PRAGMA foreign_key_check")]
    lines = [line for text in found for line in text.splitlines()]
    wrong = [line for line in lines if line != "ok" and not line.startswith("***")]
    return [f"the database is damaged: {line}" for line in wrong] + [
        f"a row of {table} belongs to nothing" for table in loose
    ]


def count_damaged(connection: sqlite3.Connection, key: int) -> int:
    """Items of a collection that no search finds."""
    query = "SELECT count(*) FROM items JOIN damaged USING (number) WHERE collection = ?"
    return int(connection.execute(query, (key,)).fetchone()[0])


_BLOBS: Final = ("features", "pixels", "thumbnail", "original")


def _damages(row: sqlite3.Row) -> Iterator[Damage]:
    stored = stored_of(row)
    wrong = [("item", stored.damage)] if stored.damage else list(_wrong_blobs(row))
    for part, text in wrong:
        yield Damage(
            key=row["collection"],
            ordinal=row["ordinal"],
            number=stored.item.number,
            id=stored.item.id,
            part=part,
            wrong=text,
        )


def _wrong_blobs(row: sqlite3.Row) -> Iterator[tuple[str, str]]:
    for part, known, actual in blob_sums(row):
        if known is not None and known != actual:
            yield part, "its checksum is wrong"
    original = row["original"]
    if original is None or row["original_sum"] is not None:
        return
    if hashlib.sha256(original).hexdigest() != row["sha256"]:
        yield "original", "its SHA-256 is wrong"
