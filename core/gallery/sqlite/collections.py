"""SQL that creates, drops and rebinds collections."""

from collections.abc import Iterable
from dataclasses import asdict

from core.errors import Conflict, InvalidValue, shown
from core.gallery.changes import Created, Dropped, Rebound
from core.gallery.records import Collection, CollectionSpec, Reembedded
from core.gallery.rules import require_rebindable, require_vector
from core.gallery.sqlite import listing, rows, sums
from core.gallery.sqlite.transaction import SqliteTransaction
from core.gallery.transaction import Effect


def create(tx: SqliteTransaction, spec: CollectionSpec) -> Effect[Collection]:
    """Make an empty collection.

    Raises:
        Conflict: the name is taken.
    """
    if listing.collection_or_none(tx.connection, spec.name) is not None:
        raise Conflict(f"there is a collection {shown(spec.name)} already")
    values = {**asdict(spec), "count": 0, "seq": tx.seq, "created_at": rows.from_time(tx.now)}
    tx.seal_collection(rows.insert(tx.connection, "collections", values))
    collection = listing.collection(tx.connection, spec.name)
    return Effect(collection, (Created(collection),))


def drop(tx: SqliteTransaction, name: str) -> Effect[Collection]:
    """Take a collection away with all that is in it, damaged or not; answers what it was.

    Raises:
        UnknownCollection: there is none of that name.
    """
    collection = listing.droppable(tx.connection, name)
    for statement in (
        "DELETE FROM vectors WHERE number IN (SELECT number FROM items WHERE collection = ?)",
        "DELETE FROM items WHERE collection = ?",
        "DELETE FROM collections WHERE key = ?",
    ):
        tx.change_row(statement, (collection.key,))
    return Effect(collection, (Dropped(collection.key),))


def rebind(
    tx: SqliteTransaction, spec: CollectionSpec, anew: Iterable[Reembedded]
) -> Effect[Collection]:
    """Give a collection another network: every item gets its vector, prediction and a new number.

    Raises:
        UnknownCollection: there is none of that name.
        UnknownItem: a vector is for an item that is not there.
        InvalidValue: metric, pixel space or originals are not the collection's, a vector has
            the wrong length, or an item got two.
        Conflict: an item got none.
    """
    before = listing.collection(tx.connection, spec.name)
    require_rebindable(before.spec, spec)
    values = {**asdict(spec), "seq": tx.seq}
    names = ", ".join(f"{name} = ?" for name in values)
    tx.connection.execute(
        f"UPDATE collections SET {names} WHERE key = ?", (*values.values(), before.key)
    )
    tx.seal_collection(before.key)
    after = listing.collection(tx.connection, spec.name)
    last_old = _last_number(tx)
    for each in anew:
        _give(tx, after, each, last_old)
    _check_none_left(tx, after, last_old)
    return Effect(after, (Rebound(after),))


def _give(tx: SqliteTransaction, collection: Collection, anew: Reembedded, last_old: int) -> None:
    stored = listing.item(tx.connection, collection.spec.name, anew.id)
    item, vector = stored.item, require_vector(anew.vector, collection.spec.dim)
    if item.number > last_old:
        raise InvalidValue("anew", anew.id, "one vector for each item")
    number = tx.add_vector(collection, vector)
    tx.connection.execute("UPDATE pixels SET number = ? WHERE number = ?", (number, item.number))
    best = anew.prediction
    tx.connection.execute(
        "UPDATE items SET number = ?, class_index = ?, class_label = ?, probability = ?, "
        "folded = ?, updated_at = ?, version = ? WHERE number = ?",
        (
            number, best.class_index, best.label, best.probability,
            rows.folded(item.id, item.label, best.label), rows.from_time(tx.now), tx.seq,
            item.number,
        ),
    )  # fmt: skip
    tx.connection.execute(
        "UPDATE items SET vector_sum = ? WHERE ordinal = ?",
        (sums.of_bytes(vector.data, collection.key), stored.ordinal),
    )
    tx.sealed(stored.ordinal)
    tx.connection.execute("DELETE FROM vectors WHERE number = ?", (item.number,))


def _check_none_left(tx: SqliteTransaction, collection: Collection, last_old: int) -> None:
    left = tx.connection.execute(
        "SELECT id FROM items WHERE collection = ? AND number <= ? LIMIT 1",
        (collection.key, last_old),
    ).fetchone()
    if left is not None:
        raise Conflict(f"the item {shown(left['id'])} got no vector; nothing was changed")


def _last_number(tx: SqliteTransaction) -> int:
    row = tx.connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'vectors'").fetchone()
    return 0 if row is None else int(row["seq"])
