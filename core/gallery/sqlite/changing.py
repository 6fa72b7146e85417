"""Writes of one item: put (in `core.gallery.sqlite.putting`), patch, remove."""

from core.errors import UnknownItem
from core.gallery.records import UNSET, Collection, Patch, Put, Remove, Write, Written
from core.gallery.sqlite import listing, rows
from core.gallery.sqlite.changes import Change, Relabeled
from core.gallery.sqlite.putting import StoredItem, check_version, count, find, put, take_out
from core.gallery.sqlite.transaction import Effect, Transaction


def write(tx: Transaction, write: Write) -> Effect[Written]:
    """Store, change or remove one item; what may happen instead is said by `Gallery.write`."""
    if isinstance(write, Put):
        return put(tx, write)
    if isinstance(write, Patch):
        return _patch(tx, write)
    return _remove(tx, write)


def _patch(tx: Transaction, patch: Patch) -> Effect[Written]:
    collection, stored = _wanted(tx, patch)
    item = stored.item
    label = item.label if patch.label is UNSET else patch.label
    metadata = item.metadata if patch.metadata is UNSET else patch.metadata
    tx.connection.execute(
        "UPDATE items SET label = ?, folded = ?, metadata = ?, updated_at = ?, "
        "version = ? WHERE ordinal = ?",
        (
            label, rows.folded(item.id, label, item.prediction.label),
            rows.from_metadata(metadata), rows.from_time(tx.now), tx.seq, stored.ordinal,
        ),
    )  # fmt: skip
    count(tx, collection, 0)
    after = listing.item(tx.connection, patch.collection, patch.id)
    changes: tuple[Change, ...] = ()
    if label != item.label:
        changes = (Relabeled(collection.key, item.number, label),)
    return Effect(Written(after, tx.seq), changes)


def _remove(tx: Transaction, remove: Remove) -> Effect[Written]:
    collection, stored = _wanted(tx, remove)
    removed = take_out(tx, collection, stored)
    return Effect(Written(stored.item, tx.seq), (removed,))


def _wanted(tx: Transaction, write: Patch | Remove) -> tuple[Collection, StoredItem]:
    collection = listing.collection(tx.connection, write.collection)
    stored = find(tx, collection, write.id)
    if stored is None:
        raise UnknownItem(write.id, write.collection)
    check_version(stored.item, write.if_match)
    return collection, stored
