"""SQL that reads collections, items, labels and pages; writes nothing."""

import logging
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from core.errors import InvalidValue, RecordDamaged, UnknownCollection, UnknownItem
from core.gallery import cursors
from core.gallery.records import Collection, Item, Page
from core.gallery.sqlite import state
from core.gallery.sqlite.rows import (
    COLLECTION_COLUMNS,
    ITEM_COLUMNS,
    Unreadable,
    collection_of,
    fold,
    item_of,
    left_of_collection,
    stored_of,
    to_text,
)
from core.gallery.transaction import StoredItem

T = TypeVar("T")

_log = logging.getLogger("seethrough")


def collections(connection: sqlite3.Connection) -> list[Collection]:
    """Every sound collection, by name."""
    query = f"SELECT {COLLECTION_COLUMNS} FROM collections ORDER BY name"
    rows = fetch(connection, query, ())
    return [each for row in rows if (each := sound_or_none(collection_of, row))]


def collection(connection: sqlite3.Connection, name: str) -> Collection:
    """One collection.

    Raises:
        UnknownCollection: there is none of that name.
        RecordDamaged: its row is not what was written.
    """
    found = collection_or_none(connection, name)
    if found is None:
        raise UnknownCollection(name, [each.spec.name for each in collections(connection)])
    return found


def collection_or_none(connection: sqlite3.Connection, name: str) -> Collection | None:
    """One collection, if it is there.

    Raises:
        RecordDamaged: its row is not what was written.
    """
    query = f"SELECT {COLLECTION_COLUMNS} FROM collections WHERE name = ?"
    found = fetch(connection, query, (name,))
    return collection_of(found[0]) if found else None


def droppable(connection: sqlite3.Connection, name: str) -> Collection:
    """A collection, or what is left of a damaged one: enough to take it away.

    Raises:
        UnknownCollection: there is none of that name.
    """
    try:
        return collection(connection, name)
    except RecordDamaged:
        query = f"SELECT {COLLECTION_COLUMNS} FROM collections WHERE name = ?"
        return left_of_collection(fetch(connection, query, (name,))[0], name)


def stored(connection: sqlite3.Connection, where: str, *values: object) -> StoredItem | None:
    """The item that a condition finds, if there is one; it may be damaged."""
    query = f"SELECT {ITEM_COLUMNS} FROM items WHERE {where}"
    found = fetch(connection, query, values)
    return stored_of(found[0]) if found else None


def item(connection: sqlite3.Connection, name: str, id: str) -> StoredItem:
    """One item.

    Raises:
        UnknownCollection, UnknownItem: there is none of that name or id.
        RecordDamaged: what is stored of it is not what was written.
    """
    key = collection(connection, name).key
    found = stored(connection, "collection = ? AND id = ?", key, id)
    if found is None:
        raise UnknownItem(id, name)
    if found.damage:
        raise RecordDamaged("item", id, found.damage)
    return found


def labels(connection: sqlite3.Connection, key: int) -> list[tuple[str | None, int]]:
    """Every label and how many items have it, most frequent first, ties by label."""
    counted: Counter[str | None] = Counter()
    counting = "SELECT label, count(*) AS n FROM items WHERE collection = ?{} GROUP BY label"
    for more, sign in (("", 1), (" AND sum < 0", -1)):  # what was found damaged is not listed
        for row in fetch(connection, counting.format(more), (key,)):
            if isinstance(row["label"], str | None) and not isinstance(row["label"], Unreadable):
                counted[row["label"]] += sign * row["n"]
    found = [(label, count) for label, count in counted.items() if count > 0]
    return sorted(found, key=lambda each: (-each[1], each[0] is not None, each[0]))


def page(
    connection: sqlite3.Connection,
    name: str,
    label: str | None,
    text: str | None,
    cursor: str | None,
    limit: int,
) -> Page:
    """Items in the order in which they were stored; see `Gallery.items`."""
    if limit < 1:
        raise InvalidValue("limit", limit, "at least 1")
    listed = collection(connection, name)
    secret = state.read(connection).secret
    listing = (listed.key, label, text)
    after = 0 if cursor is None else cursors.decode(cursor, secret, *listing)
    where, values = _matching(listed.key, label, text)
    rows = fetch(
        connection,
        f"SELECT {ITEM_COLUMNS} FROM items WHERE {where} AND ordinal > ? ORDER BY ordinal LIMIT ?",
        (*values, after, limit + 1),
    )
    more = len(rows) > limit
    rows = rows[:limit]
    return Page(
        items=tuple(filter(None, map(item_or_none, rows))),
        next_cursor=cursors.encode(rows[-1]["ordinal"], secret, *listing) if more else None,
        total=_total(connection, listed, where, values),
    )


def item_or_none(row: sqlite3.Row) -> Item | None:
    """A row's item; see `sound_or_none`."""
    return sound_or_none(item_of, row)


def sound_or_none(record_of: Callable[[sqlite3.Row], T], row: sqlite3.Row) -> T | None:
    """A row's record; None of a damaged one, which the log names: those beside it are sound."""
    try:
        return record_of(row)
    except RecordDamaged as error:
        _log.warning("left out of an answer: %s", error)
        return None


def fetch(
    connection: sqlite3.Connection, query: str, values: Sequence[object]
) -> list[sqlite3.Row]:
    """All rows; text that is not UTF-8 is `Unreadable` and hides none of the others."""
    try:
        return connection.execute(query, values).fetchall()
    except sqlite3.OperationalError as error:
        if "UTF-8" not in str(error):
            raise
    with tolerant(connection):
        return connection.execute(query, values).fetchall()


@contextmanager
def tolerant(connection: sqlite3.Connection) -> Iterator[None]:
    """Text that is not UTF-8 fails no row meanwhile; each text takes a little longer."""
    connection.text_factory = to_text
    try:
        yield
    finally:
        connection.text_factory = str


def _matching(key: int, label: str | None, text: str | None) -> tuple[str, list[Any]]:
    where = "collection = ?"
    values: list[Any] = [key]
    if label is not None:
        where, values = f"{where} AND label = ?", [*values, label]
    if text:
        where, values = f"{where} AND instr(folded, ?)", [*values, fold(text)]
    return where, values


def _total(
    connection: sqlite3.Connection, listed: Collection, where: str, values: list[Any]
) -> int:
    if len(values) == 1:  # no filter: it is counted already
        return listed.count
    query = f"SELECT count(*) FROM items WHERE {where}"
    return int(connection.execute(query, values).fetchone()[0])
