"""SQL that creates, drops and rebinds collections."""

from collections.abc import Iterable
from dataclasses import replace

from core.errors import Conflict, InvalidValue, shown
from core.gallery.records import Collection, CollectionSpec, Reembedded
from core.gallery.sqlite import listing, rows
from core.gallery.sqlite.changes import Created, Dropped, Rebound
from core.gallery.sqlite.transaction import Effect, Transaction

_SPEC_COLUMNS = (
    "name, model, digest, layer, at, pool, dim, metric, pixel_space, keep_originals"  # in order
)


def create(tx: Transaction, spec: CollectionSpec) -> Effect[Collection]:
    """Make an empty collection.

    Raises:
        Conflict: the name is taken.
    """
    if listing.collection_or_none(tx.connection, spec.name) is not None:
        raise Conflict(f"there is a collection {shown(spec.name)} already")
    tx.connection.execute(
        f"INSERT INTO collections ({_SPEC_COLUMNS}, count, seq, created_at) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0, ?, ?)",
        (*rows.spec_values(spec), tx.seq, rows.from_time(tx.now)),
    )
    collection = listing.collection(tx.connection, spec.name)
    return Effect(collection, (Created(collection),))


def drop(tx: Transaction, name: str) -> Effect[Collection]:
    """Take a collection away with all that is in it; answers what it was.

    Raises:
        UnknownCollection: there is none of that name.
    """
    collection = listing.collection(tx.connection, name)
    for statement in (
        "DELETE FROM vectors WHERE number IN (SELECT number FROM items WHERE collection = ?)",
        "DELETE FROM items WHERE collection = ?",
        "DELETE FROM collections WHERE key = ?",
    ):
        tx.connection.execute(statement, (collection.key,))
    return Effect(collection, (Dropped(collection.key),))


def rebind(tx: Transaction, spec: CollectionSpec, anew: Iterable[Reembedded]) -> Effect[Collection]:
    """Give a collection another network: every item gets its vector, prediction and a new number.

    Raises:
        UnknownCollection: there is none of that name.
        UnknownItem: a vector is for an item that is not there.
        InvalidValue: metric, pixel space or originals are not the collection's, a vector has
            the wrong length, or an item got two.
        Conflict: an item got none.
    """
    before = listing.collection(tx.connection, spec.name)
    _check_kept(before.spec, spec)
    tx.connection.execute(
        f"UPDATE collections SET ({_SPEC_COLUMNS}, seq) = (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) "
        "WHERE key = ?",
        (*rows.spec_values(spec), tx.seq, before.key),
    )
    after = listing.collection(tx.connection, spec.name)
    last_old = _last_number(tx)
    for each in anew:
        _give(tx, after, each, last_old)
    _check_none_left(tx, after, last_old)
    return Effect(after, (Rebound(after),))


def _check_kept(before: CollectionSpec, spec: CollectionSpec) -> None:
    kept = replace(
        spec,
        metric=before.metric,
        pixel_space=before.pixel_space,
        keep_originals=before.keep_originals,
    )
    if kept != spec:
        raise InvalidValue(
            "spec",
            (spec.metric, spec.pixel_space, spec.keep_originals),
            "metric, pixel_space and keep_originals as the collection has them: "
            f"{(before.metric, before.pixel_space, before.keep_originals)}",
        )


def _give(tx: Transaction, collection: Collection, anew: Reembedded, last_old: int) -> None:
    item = listing.item(tx.connection, collection.spec.name, anew.id)
    if item.number > last_old:
        raise InvalidValue("anew", anew.id, "one vector for each item")
    vector = rows.from_vector(anew.vector, collection.spec.dim)
    number = tx.connection.execute(
        "INSERT INTO vectors (collection, features) VALUES (?, ?)", (collection.key, vector.data)
    ).lastrowid
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
    tx.connection.execute("DELETE FROM vectors WHERE number = ?", (item.number,))


def _check_none_left(tx: Transaction, collection: Collection, last_old: int) -> None:
    left = tx.connection.execute(
        "SELECT id FROM items WHERE collection = ? AND number <= ? LIMIT 1",
        (collection.key, last_old),
    ).fetchone()
    if left is not None:
        raise Conflict(f"the item {shown(left[0])} got no vector; nothing was changed")


def _last_number(tx: Transaction) -> int:
    row = tx.connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'vectors'").fetchone()
    return 0 if row is None else int(row[0])
