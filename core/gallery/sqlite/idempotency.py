"""Answers kept by idempotency key, so that a repeated request is applied once."""

import json
import sqlite3
from datetime import datetime, timedelta

from core.errors import Conflict, shown
from core.gallery.records import Collection, Idempotency, Written
from core.gallery.sqlite.listing import row_at
from core.gallery.sqlite.rows import from_time, item_of
from core.gallery.sqlite.transaction import Transaction

KEPT = timedelta(hours=24)
"""So long a repeated request gets the answer of the first."""


def answered(
    connection: sqlite3.Connection, collection: Collection, promise: Idempotency, now: datetime
) -> Written | None:
    """The answer to an earlier request with this key; None if there was none.

    It holds the item as it stands now; if it has been removed, as it was answered.

    Raises:
        Conflict: there was one, and it said something else.
    """
    found = connection.execute(
        "SELECT fingerprint, ordinal, answer, seq, created FROM idempotency "
        "WHERE collection = ? AND key = ? AND at > ?",
        (collection.key, promise.key, from_time(now - KEPT)),
    ).fetchone()
    if found is None:
        return None
    fingerprint, ordinal, answer, seq, created = found
    if fingerprint != promise.fingerprint:
        raise Conflict(f"the idempotency key {shown(promise.key)} came with another request before")
    item = item_of(row_at(connection, ordinal) or json.loads(answer))
    return Written(item, seq, bool(created), replayed=True)


def remember(
    tx: Transaction, collection: Collection, promise: Idempotency, ordinal: int, written: Written
) -> None:
    """Keep an answer, and forget what is too old; both with the write or not at all."""
    tx.connection.execute("DELETE FROM idempotency WHERE at <= ?", (from_time(tx.now - KEPT),))
    answer = json.dumps(row_at(tx.connection, ordinal))
    tx.connection.execute(
        "INSERT INTO idempotency "
        "(collection, key, fingerprint, ordinal, answer, seq, created, at) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (
            collection.key, promise.key, promise.fingerprint, ordinal, answer, written.seq,
            int(written.created), from_time(tx.now),
        ),
    )  # fmt: skip
