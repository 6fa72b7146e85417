"""One write's view of a SQLite gallery, as the rules ask for it."""

import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from core.errors import RecordDamaged
from core.gallery.records import Collection, NewItem
from core.gallery.sqlite import listing, rows, sums
from core.gallery.transaction import Remembered, StoredItem
from core.types import FloatArray

# What a statement ends with where a row is not found by the keys that it has now.
_OF_AN_INDEX: Final = (sqlite3.SQLITE_CORRUPT_INDEX, sqlite3.SQLITE_CONSTRAINT_FOREIGNKEY)


@dataclass(frozen=True, slots=True, eq=False)
class SqliteTransaction:
    """What a write works with; see `Transaction`.

    Attributes:
        connection: inside the transaction, at a savepoint of this write's own.
        seq: the number of the change, if it becomes one.
        now: in UTC.
    """

    connection: sqlite3.Connection
    seq: int
    now: datetime

    def collection(self, name: str) -> Collection:
        """See `Transaction.collection`."""
        return listing.collection(self.connection, name)

    def find(self, collection: Collection, id: str) -> StoredItem | None:
        """See `Transaction.find`."""
        return listing.stored(self.connection, "collection = ? AND id = ?", collection.key, id)

    def at(self, ordinal: int) -> StoredItem | None:
        """See `Transaction.at`."""
        return listing.stored(self.connection, "ordinal = ?", ordinal)

    def oldest(self, collection: Collection, sha256: str) -> StoredItem | None:
        """See `Transaction.oldest`."""
        return listing.stored(
            self.connection,
            "collection = ? AND sha256 = ? ORDER BY ordinal LIMIT 1",
            collection.key,
            sha256,
        )

    def insert(self, collection: Collection, id: str, new: NewItem) -> StoredItem:
        """See `Transaction.insert`."""
        number = self.add_vector(collection, new.vector)
        self._add_pixels(collection, number, new)
        values = {
            **self._values(id, number, new),
            **_sums_of(collection, new),
            "collection": collection.key,
            "created_at": rows.from_time(new.created_at or self.now),
        }
        ordinal = self._insert("items", values)
        self._insert("pictures", {"ordinal": ordinal, **_files(new)})
        self.count(collection, +1)
        return self.sealed(ordinal)

    def replace(self, collection: Collection, stored: StoredItem, new: NewItem) -> StoredItem:
        """See `Transaction.replace`."""
        number = self.add_vector(collection, new.vector)
        self._add_pixels(collection, number, new)
        values = {
            **self._values(new.id or stored.item.id, number, new),
            **_sums_of(collection, new),
            "collection": collection.key,
            "sum": None,
        }
        if stored.damage:
            values["created_at"] = rows.from_time(new.created_at or self.now)
        self._update("items", stored.ordinal, values)
        self._update("pictures", stored.ordinal, _files(new))
        self.connection.execute("DELETE FROM vectors WHERE number = ?", (stored.item.number,))
        self.count(collection, 0)
        return self.sealed(stored.ordinal)

    def change(
        self,
        collection: Collection,
        stored: StoredItem,
        label: str | None,
        metadata: Mapping[str, Any],
    ) -> StoredItem:
        """See `Transaction.change`."""
        item = stored.item
        values = {
            "label": label,
            "folded": rows.folded(item.id, label, item.prediction.label),
            "metadata": rows.from_metadata(metadata),
            **self._stamp(),
        }
        self._update("items", stored.ordinal, values)
        self.count(collection, 0)
        return self.sealed(stored.ordinal)

    def delete(self, collection: Collection, stored: StoredItem) -> None:
        """See `Transaction.delete`."""
        self.change_row("DELETE FROM items WHERE ordinal = ?", (stored.ordinal,))
        self.connection.execute("DELETE FROM vectors WHERE number = ?", (stored.item.number,))
        self.count(collection, -1)

    def remembered(self, collection: Collection, key: str, since: datetime) -> Remembered | None:
        """See `Transaction.remembered`."""
        query = "SELECT * FROM idempotency WHERE collection = ? AND key = ?"
        found = listing.fetch(self.connection, query, (collection.key, key))
        if not found:
            return None
        if wrong := rows.wrong_with(found[0]):
            raise RecordDamaged("answer to the request", key, wrong)
        values = dict(found[0])
        if values["at"] <= rows.from_time(since):
            return None
        names = ("fingerprint", "ordinal", "answer", "seq")
        return Remembered(**{name: values[name] for name in names}, created=bool(values["created"]))

    def remember(self, collection: Collection, key: str, request: Remembered) -> None:
        """See `Transaction.remember`."""
        values = {
            "collection": collection.key,
            "key": key,
            "fingerprint": request.fingerprint,
            "ordinal": request.ordinal,
            "answer": request.answer,
            "seq": request.seq,
            "created": int(request.created),
            "at": rows.from_time(self.now),
        }
        self._insert("idempotency", values | {"sum": sums.of_values(values)})

    def forget(self, until: datetime) -> None:
        """See `Transaction.forget`."""
        self.connection.execute("DELETE FROM idempotency WHERE at <= ?", (rows.from_time(until),))

    def add_vector(self, collection: Collection, vector: FloatArray) -> int:
        """Store (D,) float32; answers its number."""
        return self._insert("vectors", {"collection": collection.key, "features": vector.data})

    def count(self, collection: Collection, more: int) -> None:
        """Keep the collection's number of items and of its last change."""
        self.connection.execute(
            "UPDATE collections SET count = count + ?, seq = ? WHERE key = ?",
            (more, self.seq, collection.key),
        )
        self.seal_collection(collection.key)

    def seal_collection(self, key: int) -> None:
        """Give a collection's row, as it stands, its sum; whoever changed it had compared it."""
        query = f"SELECT {rows.COLLECTION_COLUMNS} FROM collections WHERE key = ?"
        row = self.connection.execute(query, (key,)).fetchone()
        self.connection.execute(
            "UPDATE collections SET sum = ? WHERE key = ?", (sums.of_collection(row), key)
        )

    def sealed(self, ordinal: int) -> StoredItem:
        """The item as it was just written, with the sum of its row."""
        query = f"SELECT {rows.ITEM_COLUMNS} FROM items WHERE ordinal = ?"
        row = self.connection.execute(query, (ordinal,)).fetchone()
        self._update("items", ordinal, {"sum": sums.of_row(row)})
        return StoredItem(ordinal, rows.item_of(row))

    def sum_up(self, ordinal: int, version: int) -> None:
        """Give sums to an item of an older version, unless it has changed since."""
        query = (
            f"SELECT {rows.ITEM_COLUMNS}, {rows.BLOB_COLUMNS} FROM {rows.BLOBS_JOINED} "
            "WHERE ordinal = ? AND version = ? AND items.sum IS NULL"
        )
        row = self.connection.execute(query, (ordinal, version)).fetchone()
        if row is not None:
            known = {f"{part}_sum": actual for part, _, actual in rows.blob_sums(row)}
            self._update("items", ordinal, known)
            self.sealed(ordinal)

    def _add_pixels(self, collection: Collection, number: int, new: NewItem) -> None:
        if new.pixels is not None:
            values = {"number": number, "collection": collection.key, "pixels": new.pixels.data}
            self._insert("pixels", values)

    def _values(self, id: str, number: int, new: NewItem) -> dict[str, Any]:
        """Columns of `items` that every new picture sets."""
        prediction = new.prediction
        return {
            "id": id,
            "number": number,
            "label": new.label,
            "folded": rows.folded(id, new.label, prediction.label),
            "sha256": new.sha256,
            "width": int(new.width),
            "height": int(new.height),
            "class_index": int(prediction.class_index),
            "class_label": prediction.label,
            "probability": float(prediction.probability),
            "metadata": rows.from_metadata(new.metadata),
            **self._stamp(),
        }

    def _stamp(self) -> dict[str, int]:
        return {"updated_at": rows.from_time(self.now), "version": self.seq}

    def _insert(self, table: str, values: Mapping[str, Any]) -> int:
        return rows.insert(self.connection, table, values)

    def _update(self, table: str, ordinal: int, values: Mapping[str, Any]) -> None:
        names = ", ".join(f"{name} = ?" for name in values)
        self.change_row(
            f"UPDATE {table} SET {names} WHERE ordinal = ?", (*values.values(), ordinal)
        )

    def change_row(self, statement: str, values: Sequence[object]) -> int:
        """Run a statement; indexes that have other keys than a damaged row are mended first.

        Returns:
            Rows changed.
        """
        try:
            return self.connection.execute(statement, values).rowcount
        except sqlite3.DatabaseError as error:
            if error.sqlite_errorcode not in _OF_AN_INDEX:
                raise
            self.connection.execute("REINDEX")
            return self.connection.execute(statement, values).rowcount


def _sums_of(collection: Collection, new: NewItem) -> dict[str, int | None]:
    """Columns of `items` that say what its blobs are."""
    key, original = collection.key, new.original
    return {
        "vector_sum": sums.of_bytes(new.vector.data, key),
        "pixels_sum": None if new.pixels is None else sums.of_bytes(new.pixels.data, key),
        "thumbnail_sum": sums.of_bytes(new.thumbnail),
        "original_sum": None
        if original is None
        else sums.of_bytes(original.content, original.bits),
    }


def _files(new: NewItem) -> dict[str, Any]:
    """Columns of `pictures`."""
    original = new.original
    return {
        "thumbnail": new.thumbnail,
        "original": None if original is None else original.content,
        "bits": None if original is None else original.bits,
    }
