"""The write that stores or replaces an item, inside a transaction."""

from dataclasses import dataclass
from typing import Any

from core.errors import Conflict, InvalidValue, UnknownItem, VersionMismatch, shown
from core.gallery.records import ANY_VERSION, Collection, IfMatch, Item, NewItem, Put, Written
from core.gallery.sqlite import idempotency, listing, rows
from core.gallery.sqlite.changes import Added, Change, Removed
from core.gallery.sqlite.transaction import Effect, Transaction
from core.types import FloatArray, Pixels


@dataclass(frozen=True, slots=True)
class StoredItem:
    """An item and its place in the listing."""

    ordinal: int
    item: Item


@dataclass(frozen=True, slots=True, eq=False)
class _Arrays:
    """What has been checked and can be stored."""

    vector: FloatArray
    pixels: Pixels | None


def put(tx: Transaction, write: Put) -> Effect[Written]:
    """Store a picture; what may happen instead is said by `Gallery.write`."""
    collection = listing.collection(tx.connection, write.collection)
    promise = write.idempotency
    if promise is not None:
        earlier = idempotency.answered(tx.connection, collection, promise, tx.now)
        if earlier is not None:
            return Effect(earlier, counts=False)
    stored, changes, created = _put(tx, collection, write)
    written = Written(stored.item, tx.seq, created)
    if promise is not None:
        idempotency.remember(tx, collection, promise, stored.ordinal, written)
    return Effect(written, changes)


def find(tx: Transaction, collection: Collection, id: str) -> StoredItem | None:
    """The item of this id."""
    row = listing.row_or_none(tx.connection, collection.key, id)
    return _stored(row)


def check_version(item: Item, if_match: IfMatch | None) -> None:
    """Whether the item is one that the caller has seen.

    Raises:
        VersionMismatch: it is not.
    """
    if if_match is None or if_match == ANY_VERSION or item.version in if_match:
        return
    wanted = " or ".join(map(str, sorted(if_match)[:5]))
    raise VersionMismatch(f"the item {shown(item.id)} has version {item.version}, not {wanted}")


def take_out(tx: Transaction, collection: Collection, stored: StoredItem) -> Removed:
    """Delete an item and all that hangs on it."""
    tx.connection.execute("DELETE FROM items WHERE ordinal = ?", (stored.ordinal,))
    tx.connection.execute("DELETE FROM vectors WHERE number = ?", (stored.item.number,))
    count(tx, collection, -1)
    return Removed(collection.key, stored.item.number)


def count(tx: Transaction, collection: Collection, more: int) -> None:
    """Keep the collection's number of items and of its last change."""
    tx.connection.execute(
        "UPDATE collections SET count = count + ?, seq = ? WHERE key = ?",
        (more, tx.seq, collection.key),
    )


def _put(
    tx: Transaction, collection: Collection, write: Put
) -> tuple[StoredItem, tuple[Change, ...], bool]:
    arrays = _checked(write.item, collection)
    own = _own(tx, collection, write)
    twin = _twin(tx, collection, write, own)
    gone: tuple[Change, ...] = ()
    if twin is not None and write.item.id is None:
        own = twin
    elif twin is not None:
        gone = (take_out(tx, collection, twin),)
    if own is None:
        stored = _insert(tx, collection, write.item, arrays)
    else:
        gone = (*gone, Removed(collection.key, own.item.number))
        stored = _replace(tx, collection, own, write.item, arrays)
    item = stored.item
    added = Added(collection.key, item.number, item.label, arrays.vector, arrays.pixels)
    return stored, (*gone, added), own is None


def _checked(new: NewItem, collection: Collection) -> _Arrays:
    vector = rows.from_vector(new.vector, collection.spec.dim)
    pixels = rows.from_pixels(new.pixels) if collection.spec.pixel_space else None
    return _Arrays(vector, pixels)


def _own(tx: Transaction, collection: Collection, write: Put) -> StoredItem | None:
    """The item that has the id already, if it may be replaced."""
    id = write.item.id
    own = None if id is None else find(tx, collection, id)
    if own is None:
        if write.if_match is not None:
            raise _nothing_to_match(write)
        return None
    check_version(own.item, write.if_match)
    if not write.upsert:
        raise Conflict(f"the collection {shown(write.collection)} has an item {shown(id)} already")
    return own


def _nothing_to_match(write: Put) -> Exception:
    if write.item.id is None:
        return InvalidValue("if_match", write.if_match, "only with the id of an item")
    return UnknownItem(write.item.id, write.collection)


def _twin(
    tx: Transaction, collection: Collection, write: Put, own: StoredItem | None
) -> StoredItem | None:
    """The oldest other item with the same bytes, if it is to be replaced."""
    sha256 = write.item.sha256
    if write.on_duplicate == "keep" or (own is not None and own.item.sha256 == sha256):
        return None
    row = tx.connection.execute(
        f"SELECT {rows.ITEM_COLUMNS} FROM items WHERE collection = ? AND sha256 = ? "
        "ORDER BY ordinal LIMIT 1",
        (collection.key, sha256),
    ).fetchone()
    twin = _stored(row)
    if twin is not None and write.on_duplicate == "reject":
        raise Conflict(f"the item {shown(twin.item.id)} holds this very picture")
    return twin


def _insert(tx: Transaction, collection: Collection, new: NewItem, arrays: _Arrays) -> StoredItem:
    id = _free_id(tx, collection) if new.id is None else new.id
    number = _insert_arrays(tx, collection, arrays)
    created_at = rows.from_time(new.created_at or tx.now)
    values = {
        **_values(tx, id, number, new),
        "collection": collection.key,
        "created_at": created_at,
    }
    names = ", ".join(values)
    marks = ", ".join("?" * len(values))
    ordinal = tx.connection.execute(
        f"INSERT INTO items ({names}) VALUES ({marks})", tuple(values.values())
    ).lastrowid
    tx.connection.execute(
        "INSERT INTO pictures (ordinal, thumbnail, original, bits) VALUES (?, ?, ?, ?)",
        (ordinal, new.thumbnail, *_original(new, collection)),
    )
    count(tx, collection, +1)
    return _read_back(tx, ordinal)


def _replace(
    tx: Transaction, collection: Collection, own: StoredItem, new: NewItem, arrays: _Arrays
) -> StoredItem:
    """The item keeps its id, its place and when it was created."""
    number = _insert_arrays(tx, collection, arrays)
    values = _values(tx, own.item.id, number, new)
    names = ", ".join(f"{name} = ?" for name in values)
    tx.connection.execute(
        f"UPDATE items SET {names} WHERE ordinal = ?",
        (*values.values(), own.ordinal),
    )
    tx.connection.execute(
        "UPDATE pictures SET thumbnail = ?, original = ?, bits = ? WHERE ordinal = ?",
        (new.thumbnail, *_original(new, collection), own.ordinal),
    )
    tx.connection.execute("DELETE FROM vectors WHERE number = ?", (own.item.number,))
    count(tx, collection, 0)
    return _read_back(tx, own.ordinal)


def _insert_arrays(tx: Transaction, collection: Collection, arrays: _Arrays) -> int:
    number = tx.connection.execute(
        "INSERT INTO vectors (collection, features) VALUES (?, ?)",
        (collection.key, arrays.vector.data),
    ).lastrowid
    if arrays.pixels is not None:
        tx.connection.execute(
            "INSERT INTO pixels (number, collection, pixels) VALUES (?, ?, ?)",
            (number, collection.key, arrays.pixels.data),
        )
    return int(number or 0)


def _values(tx: Transaction, id: str, number: int, new: NewItem) -> dict[str, Any]:
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
        "updated_at": rows.from_time(tx.now),
        "version": tx.seq,
        "metadata": rows.from_metadata(new.metadata),
    }


def _original(new: NewItem, collection: Collection) -> tuple[bytes | None, int | None]:
    """The columns `original` and `bits`."""
    if new.original is None or not collection.spec.keep_originals:
        return None, None
    return new.original.content, new.original.bits


def _free_id(tx: Transaction, collection: Collection) -> str:
    id = rows.new_id(tx.now)
    while listing.row_or_none(tx.connection, collection.key, id) is not None:
        id = rows.new_id(tx.now)
    return id


def _read_back(tx: Transaction, ordinal: int | None) -> StoredItem:
    stored = _stored(listing.row_at(tx.connection, int(ordinal or 0)))
    if stored is None:
        raise RuntimeError("the item that was just written is not there")
    return stored


def _stored(row: listing.Row | None) -> StoredItem | None:
    return None if row is None else StoredItem(row[0], rows.item_of(row))
