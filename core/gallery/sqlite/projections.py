"""SQL that keeps, reads and removes projections."""

import json
import sqlite3

from core.errors import UnknownProjection
from core.gallery.records import ENDED, Collection, StoredProjection
from core.gallery.sqlite import listing
from core.gallery.sqlite.rows import from_time, to_time
from core.gallery.sqlite.transaction import SqliteTransaction
from core.gallery.transaction import Effect

_COLUMNS = (
    "id, collections.name AS collection_name, parameters, status, reason, "
    "projections.count AS count, projections.seq AS seq, "
    "projections.created_at AS created_at, ended_at"
)
_TABLE = "projections JOIN collections ON collections.key = projections.collection"


def of_collection(connection: sqlite3.Connection, collection: Collection) -> list[StoredProjection]:
    """Newest first."""
    rows = connection.execute(
        f"SELECT {_COLUMNS} FROM {_TABLE} WHERE collection = ? "
        "ORDER BY projections.created_at DESC, id DESC",
        (collection.key,),
    )
    return [_projection(row) for row in rows]


def unfinished(connection: sqlite3.Connection) -> list[StoredProjection]:
    """Of all collections, those that have not ended."""
    marks = ", ".join("?" * len(ENDED))
    rows = connection.execute(
        f"SELECT {_COLUMNS} FROM {_TABLE} WHERE status NOT IN ({marks})", ENDED
    )
    return [_projection(row) for row in rows]


def one(connection: sqlite3.Connection, collection: Collection, id: str) -> StoredProjection:
    """One of a collection.

    Raises:
        UnknownProjection: there is none of that id.
    """
    row = connection.execute(
        f"SELECT {_COLUMNS} FROM {_TABLE} WHERE collection = ? AND id = ?", (collection.key, id)
    ).fetchone()
    if row is None:
        raise UnknownProjection(id, collection.spec.name)
    return _projection(row)


def kept(
    connection: sqlite3.Connection, collection: Collection, id: str
) -> tuple[bytes | None, bytes | None]:
    """Result and placement of one.

    Raises:
        UnknownProjection: there is none of that id.
    """
    row = connection.execute(
        "SELECT result, placement FROM projections WHERE collection = ? AND id = ?",
        (collection.key, id),
    ).fetchone()
    if row is None:
        raise UnknownProjection(id, collection.spec.name)
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
    names, marks = ", ".join(values), ", ".join("?" * len(values))
    tx.connection.execute(
        f"INSERT OR REPLACE INTO projections ({names}) VALUES ({marks})", tuple(values.values())
    )
    return Effect(None, counts=False)


def remove(tx: SqliteTransaction, collection: str, id: str) -> Effect[None]:
    """Take one away.

    Raises:
        UnknownCollection, UnknownProjection: there is none of that name or id.
    """
    found = one(tx.connection, listing.collection(tx.connection, collection), id)
    tx.connection.execute("DELETE FROM projections WHERE id = ?", (found.id,))
    return Effect(None, counts=False)


def _projection(row: sqlite3.Row) -> StoredProjection:
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
