"""SQL that reads vectors as matrices, whole or in blocks, and the items that they belong to."""

import logging
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from itertools import islice

import numpy as np

from core.errors import UnknownItem
from core.gallery.distances import PIXEL_DIM
from core.gallery.records import Collection, Item, Numbers, Space
from core.gallery.sqlite import sums
from core.gallery.sqlite.listing import collection, fetch, item_or_none, tolerant
from core.gallery.sqlite.rows import ITEM_COLUMNS, to_matrix
from core.types import FloatArray

_log = logging.getLogger("seethrough")

# Where a space's rows are: table and column.
_TABLES: dict[Space, tuple[str, str]] = {
    "features": ("vectors", "features"),
    "pixels": ("pixels", "pixels"),
}

# Of the values that one statement may bind; SQLite's own limit was 999 once.
_CHUNK = 500


def live(connection: sqlite3.Connection, key: int) -> tuple[Numbers, list[str | None]]:
    """Every vector's number, ascending, and its item's label; damaged ones are left out."""
    rows = fetch(
        connection,
        "SELECT number, label FROM items WHERE collection = ? "
        "AND number NOT IN (SELECT number FROM damaged) ORDER BY number",
        (key,),
    )
    known: dict[str | None, str | None] = {}  # one string per label, not one per row
    labels = {  # a damaged number may be another's, or none
        row["number"]: known.setdefault(row["label"], row["label"])
        for row in rows
        if type(row["number"]) is int
    }
    return np.fromiter(labels, np.int64, len(labels)), list(labels.values())


def vectors_of(
    connection: sqlite3.Connection, key: int, numbers: Sequence[int] | Numbers, space: Space
) -> tuple[Numbers, FloatArray]:
    """The vectors of those numbers that are still there, ascending.

    Returns:
        (m,) int64 and (m, D) float32; pixels (m, 3072) in 0..1.
    """
    table, column = _TABLES[space]
    wanted = np.unique(np.asarray(numbers, np.int64)).tolist()
    found: list[sqlite3.Row] = []
    for chunk in _chunks(wanted):
        marks = ", ".join("?" * len(chunk))
        query = (
            f"SELECT number, CAST({column} AS BLOB) AS vector FROM {table} "
            f"WHERE number IN ({marks}) AND collection = ? ORDER BY number"
        )
        found += connection.execute(query, (*chunk, key))
    return _stacked(found, space, _dim(connection, key, space))


def scan(
    snapshot: sqlite3.Connection, key: int, space: Space, block: int
) -> Iterator[tuple[Numbers, FloatArray]]:
    """All vectors of a collection, numbers ascending, in blocks."""
    table, column = _TABLES[space]
    dim = _dim(snapshot, key, space)
    cursor = snapshot.execute(
        f"SELECT number, CAST({column} AS BLOB) AS vector FROM items "
        f"CROSS JOIN {table} USING (number) "
        "WHERE items.collection = ? AND number NOT IN (SELECT number FROM damaged) "
        "ORDER BY items.number",
        (key,),
    )
    try:
        while found := cursor.fetchmany(block):
            yield _stacked(found, space, dim)
    finally:
        cursor.close()


def items_of(
    connection: sqlite3.Connection, key: int, numbers: Sequence[int] | Numbers
) -> list[Item | None]:
    """The items of these vectors, in the order given; None where one is gone or damaged."""
    found: dict[int, Item | None] = {}
    wanted = np.asarray(numbers, np.int64).tolist()
    for chunk in _chunks(wanted):
        marks = ", ".join("?" * len(chunk))
        query = f"SELECT {ITEM_COLUMNS} FROM items WHERE number IN ({marks}) AND collection = ?"
        rows = fetch(connection, query, (*chunk, key))
        found |= {row["number"]: item_or_none(row) for row in rows}
    return [found.get(number) for number in wanted]


def blocks(
    snapshot: sqlite3.Connection, name: str, ids: Sequence[str] | None, block: int
) -> Iterator[tuple[list[Item], FloatArray]]:
    """Items and their vectors: of these ids in their order, or all in the listing's order.

    Damaged ones are left out, and the log names them.

    Raises:
        UnknownCollection, UnknownItem: there is none of that name or id.
    """
    bound = collection(snapshot, name)
    dim = bound.spec.dim
    next_rows = _all(snapshot, bound) if ids is None else _listed(snapshot, bound, ids)
    with tolerant(snapshot):
        while rows := next_rows(block):
            sound = [(item, row["features"]) for row in rows if (item := _sound_item(row, dim))]
            matrix = to_matrix([vector for _, vector in sound], "features", dim)
            yield [item for item, _ in sound], matrix


def _sound_item(row: sqlite3.Row, dim: int) -> Item | None:
    item = item_or_none(row)
    features, known = row["features"], row["vector_sum"]
    if item is None:
        return None
    is_whole = features is not None and len(features) == 4 * dim
    if is_whole and known in (None, sums.of_bytes(features, row["collection"])):
        return item
    _log.warning("left out of an answer: the stored vector of %r is damaged", item.id)
    return None


Fetch = Callable[[int], list[sqlite3.Row]]
_JOINED = (
    f"SELECT {ITEM_COLUMNS}, CAST(features AS BLOB) AS features FROM items "
    "CROSS JOIN vectors ON vectors.number = items.number WHERE items.collection = ?"
)


def _all(snapshot: sqlite3.Connection, bound: Collection) -> Fetch:
    return snapshot.execute(f"{_JOINED} ORDER BY ordinal", (bound.key,)).fetchmany


def _listed(snapshot: sqlite3.Connection, bound: Collection, ids: Sequence[str]) -> Fetch:
    left = iter(ids)

    def fetch(block: int) -> list[sqlite3.Row]:
        rows = []
        for id in islice(left, block):
            row = snapshot.execute(f"{_JOINED} AND id = ?", (bound.key, id)).fetchone()
            if row is None:
                raise UnknownItem(id, bound.spec.name)
            rows.append(row)
        return rows

    return fetch


def _stacked(found: Sequence[sqlite3.Row], space: Space, dim: int) -> tuple[Numbers, FloatArray]:
    """What has another length was damaged, and is left out: `verify` names it."""
    size_bytes = PIXEL_DIM if space == "pixels" else 4 * dim
    whole = [row for row in found if row["vector"] is not None and len(row["vector"]) == size_bytes]
    numbers = np.fromiter((row["number"] for row in whole), np.int64, len(whole))
    return numbers, to_matrix([row["vector"] for row in whole], space, dim)


def _dim(connection: sqlite3.Connection, key: int, space: Space) -> int:
    if space == "pixels":
        return PIXEL_DIM
    row = connection.execute("SELECT dim FROM collections WHERE key = ?", (key,)).fetchone()
    return 0 if row is None else int(row["dim"])


def _chunks(numbers: list[int]) -> Iterator[list[int]]:
    return (numbers[start : start + _CHUNK] for start in range(0, len(numbers), _CHUNK))
