"""SQL that compares what has no item with its checksum: collections, projections, answers."""

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass

from core.errors import RecordDamaged
from core.gallery.records import Space
from core.gallery.sqlite import listing, rows, state, sums
from core.gallery.sqlite.transaction import SqliteTransaction


@dataclass(frozen=True, slots=True, kw_only=True)
class Damage:
    """Something stored that is not what was written.

    Attributes:
        key: of its collection.
        id: of the item or projection, the collection's name, the request's key.
        part: item, vector, pixels, thumbnail, original, collection, projection or answer.
        ordinal: of an item; of a projection, its row's id.
        number: of an item.
    """

    key: int
    id: str
    part: str
    wrong: str
    ordinal: int = 0
    number: int = 0

    @property
    def space(self) -> Space | None:
        """Where a search would meet it."""
        return {"vector": "features", "pixels": "pixels"}.get(self.part)  # type: ignore[return-value]

    def __str__(self) -> str:
        return f"the stored {self.part} of {self.id!r} is damaged ({self.wrong})"


def damages(connection: sqlite3.Connection) -> list[Damage]:
    """Rows that are not what was written; they are few beside items, and read at once.

    Raises:
        GalleryUnusable: the gallery's own row is damaged.
    """
    state.read(connection)
    with listing.tolerant(connection):
        return [*_collections(connection), *_kept(connection)]


def unsummed(connection: sqlite3.Connection) -> list[int]:
    """Keys of collections without a checksum: from an older version, and not written to since."""
    return [key for (key,) in connection.execute("SELECT key FROM collections WHERE sum IS NULL")]


def mark(tx: SqliteTransaction, each: Damage) -> None:
    """Have no list show a damaged row again.

    What a request was answered is forgotten a day after it was found damaged: until then a
    repetition is refused, as nobody knows whether it is one. A collection's row is compared
    whenever it is read.
    """
    match each.part:
        case "projection":
            query = "UPDATE projections SET sum = ? WHERE rowid = ?"
            tx.connection.execute(query, (sums.BAD, each.ordinal))
        case "answer":
            query = (
                "UPDATE idempotency SET sum = ?, at = ? WHERE collection = ? AND key = ? "
                "AND sum != ?"
            )
            values = (sums.BAD, rows.from_time(tx.now), each.key, each.id, sums.BAD)
            tx.connection.execute(query, values)


def _collections(connection: sqlite3.Connection) -> Iterator[Damage]:
    for row in connection.execute(f"SELECT {rows.COLLECTION_COLUMNS} FROM collections"):
        try:
            rows.collection_of(row)
        except RecordDamaged as error:
            yield Damage(key=row["key"], id=row["name"], part="collection", wrong=error.wrong)


def _kept(connection: sqlite3.Connection) -> Iterator[Damage]:
    for ordinal, *_ in connection.execute("SELECT rowid FROM projections").fetchall():
        query = "SELECT * FROM projections WHERE rowid = ?"
        for row in connection.execute(query, (ordinal,)):
            if wrong := rows.wrong_with(row):
                key, id = row["collection"], row["id"]
                yield Damage(key=key, id=id, part="projection", wrong=wrong, ordinal=ordinal)
    for row in connection.execute("SELECT * FROM idempotency"):
        if wrong := rows.wrong_with(row):
            yield Damage(key=row["collection"], id=row["key"], part="answer", wrong=wrong)
