"""SQL that keeps, reads and removes projections."""

import json
import sqlite3

from core.errors import RecordDamaged, UnknownProjection
from core.gallery.records import ENDED, Collection, StoredProjection
from core.gallery.sqlite import listing, sums
from core.gallery.sqlite.rows import from_time, insert, to_time, wrong_with
from core.gallery.sqlite.transaction import SqliteTransaction
from core.gallery.transaction import Effect

_COLUMNS = (
    "id, collections.name AS collection_name, parameters, status, reason, "
    "projections.count AS count, projections.seq AS seq, "
    "projections.created_at AS created_at, ended_at, projections.sum AS sum"
)
_TABLE = "projections JOIN collections ON collections.key = projections.collection"


def of_collection(connection: sqlite3.Connection, collection: Collection) -> list[StoredProjection]:
    """Newest first."""
    rows = listing.fetch(
        connection,
        f"SELECT {_COLUMNS} FROM {_TABLE} WHERE collection = ? "
        "ORDER BY projections.created_at DESC, id DESC",
        (collection.key,),
    )
    return [each for row in rows if (each := listing.sound_or_none(_projection, row))]


def unfinished(connection: sqlite3.Connection) -> list[StoredProjection]:
    """Of all collections, those that have not ended."""
    marks = ", ".join("?" * len(ENDED))
    query = f"SELECT {_COLUMNS} FROM {_TABLE} WHERE status NOT IN ({marks})"
    rows = listing.fetch(connection, query, ENDED)
    return [each for row in rows if (each := listing.sound_or_none(_projection, row))]


def one(connection: sqlite3.Connection, collection: Collection, id: str) -> StoredProjection:
    """One of a collection.

    Raises:
        UnknownProjection: there is none of that id.
    """
    query = f"SELECT {_COLUMNS} FROM {_TABLE} WHERE collection = ? AND id = ?"
    found = listing.fetch(connection, query, (collection.key, id))
    if not found:
        raise UnknownProjection(id, collection.spec.name)
    return _projection(found[0])


def kept(
    connection: sqlite3.Connection, collection: Collection, id: str
) -> tuple[bytes | None, bytes | None]:
    """Result and placement of one.

    Raises:
        UnknownProjection: there is none of that id.
        RecordDamaged: it is not what was written.
    """
    query = "SELECT * FROM projections WHERE collection = ? AND id = ?"
    found = listing.fetch(connection, query, (collection.key, id))
    if not found:
        raise UnknownProjection(id, collection.spec.name)
    row = found[0]
    if wrong := wrong_with(row):
        raise RecordDamaged("projection", id, wrong)
    return row["result"], row["placement"]


def keep(
    tx: SqliteTransaction,
    projection: StoredProjection,
    result: bytes | None,
    placement: bytes | None,
) -> Effect[None]:
    """Store one, in place of what is known of that id.

    Raises:
        UnknownCollection: there is none of that name.
    """
    collection = listing.collection(tx.connection, projection.collection)
    ended = projection.ended_at
    values = {
        "id": projection.id,
        "collection": collection.key,
        "parameters": json.dumps(projection.parameters),
        "status": projection.status,
        "reason": projection.reason,
        "count": projection.count,
        "seq": projection.seq,
        "created_at": from_time(projection.created_at),
        "ended_at": None if ended is None else from_time(ended),
        "result": result,
        "placement": placement,
    }
    values["sum"] = sums.of_values(values)
    insert(tx.connection, "projections", values, replace=True)
    return Effect(None, counts=False)


def remove(tx: SqliteTransaction, collection: str, id: str) -> Effect[None]:
    """Take one away.

    Raises:
        UnknownCollection, UnknownProjection: there is none of that name or id.
    """
    key = listing.collection(tx.connection, collection).key
    done = tx.change_row(
        "DELETE FROM projections WHERE id = ? AND (collection = ? OR sum = ?)", (id, key, sums.BAD)
    )
    if not done:
        raise UnknownProjection(id, collection)
    return Effect(None, counts=False)


def _projection(row: sqlite3.Row) -> StoredProjection:
    """A row that was not found damaged; its sum is not worked out, as its blobs are long."""
    try:
        if row["sum"] == sums.BAD:
            raise ValueError("its checksum is wrong")
        return _readable(row)
    except (TypeError, ValueError, OverflowError) as error:
        raise RecordDamaged("projection", row["id"], str(error)) from error


def _readable(row: sqlite3.Row) -> StoredProjection:
    ended = row["ended_at"]
    return StoredProjection(
        id=row["id"],
        collection=row["collection_name"],
        parameters=json.loads(row["parameters"]),
        status=row["status"],
        reason=row["reason"],
        count=row["count"],
        seq=row["seq"],
        created_at=to_time(row["created_at"]),
        ended_at=None if ended is None else to_time(ended),
    )
