"""Owns how a stored item is changed or taken out; refuses to know its picture."""

from core.errors import UnknownItem
from core.gallery.records import UNSET, Collection, Patch, Put, Remove, Write, Written
from core.gallery.sqlite import listing, rows
from core.gallery.sqlite.changes import Change, Relabeled
from core.gallery.sqlite.putting import Stored, check_version, count, find, put, take_out
from core.gallery.sqlite.turn import Outcome, Turn


def write(turn: Turn, write: Write) -> Outcome[Written]:
    """Store, change or remove one item; what may happen instead is said by `Gallery.write`."""
    if isinstance(write, Put):
        return put(turn, write)
    if isinstance(write, Patch):
        return _patch(turn, write)
    return _remove(turn, write)


def _patch(turn: Turn, patch: Patch) -> Outcome[Written]:
    collection, stored = _wanted(turn, patch)
    item = stored.item
    label = item.label if patch.label is UNSET else patch.label
    metadata = item.metadata if patch.metadata is UNSET else patch.metadata
    turn.connection.execute(
        "UPDATE items SET label = ?, folded = ?, metadata = ?, updated_at = ?, "
        "version = ? WHERE ordinal = ?",
        (
            label, rows.folded(item.id, label, item.prediction.label),
            rows.from_metadata(metadata), rows.from_time(turn.now), turn.seq, stored.ordinal,
        ),
    )  # fmt: skip
    count(turn, collection, 0)
    after = listing.item(turn.connection, patch.collection, patch.id)
    changes: tuple[Change, ...] = ()
    if label != item.label:
        changes = (Relabeled(collection.key, item.number, label),)
    return Outcome(Written(after, turn.seq), changes)


def _remove(turn: Turn, remove: Remove) -> Outcome[Written]:
    collection, stored = _wanted(turn, remove)
    removed = take_out(turn, collection, stored)
    return Outcome(Written(stored.item, turn.seq), (removed,))


def _wanted(turn: Turn, write: Patch | Remove) -> tuple[Collection, Stored]:
    collection = listing.collection(turn.connection, write.collection)
    stored = find(turn, collection, write.id)
    if stored is None:
        raise UnknownItem(write.id, write.collection)
    check_version(stored.item, write.if_match)
    return collection, stored
