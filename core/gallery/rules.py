"""What a put, a patch and a removal decide, the same over any database; no SQL in here."""

import secrets
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Final

import numpy as np

from core.errors import (
    Conflict,
    InvalidValue,
    RecordDamaged,
    UnknownItem,
    VersionMismatch,
    shown,
)
from core.gallery.changes import Added, Change, Relabeled, Removed
from core.gallery.distances import PIXEL_SIDE
from core.gallery.idempotency import answered, remember
from core.gallery.records import (
    ANY_VERSION,
    UNSET,
    Collection,
    CollectionSpec,
    IfMatch,
    Item,
    NewItem,
    Patch,
    Put,
    Remove,
    Write,
    Written,
)
from core.gallery.transaction import Effect, StoredItem, Transaction
from core.types import FloatArray, Pixels


def write(tx: Transaction, write: Write) -> Effect[Written]:
    """Store, change or remove one item; what may happen instead is said by `Gallery.write`."""
    match write:
        case Put():
            return _put(tx, write)
        case Patch():
            return _patch(tx, write)
        case Remove():
            return _remove(tx, write)


def require_vector(vector: FloatArray, dim: int) -> FloatArray:
    """(D,) float32, contiguous, little end first: its bytes are what is stored.

    Raises:
        InvalidValue: it has another shape, or is not finite.
    """
    array = np.ascontiguousarray(vector, dtype="<f4")
    if array.shape != (dim,):
        raise InvalidValue("vector", array.shape, f"the collection's vectors have shape ({dim},)")
    if not np.isfinite(array).all():
        raise InvalidValue("vector", "NaN or infinity", "finite numbers")
    return array


def require_pixels(pixels: Pixels | None) -> Pixels:
    """(32, 32, 3) uint8, contiguous.

    Raises:
        InvalidValue: there are none, or of another shape or type.
    """
    wanted = f"({PIXEL_SIDE}, {PIXEL_SIDE}, 3) uint8, as the collection has a pixel space"
    if pixels is None:
        raise InvalidValue("pixels", None, wanted)
    if pixels.shape != (PIXEL_SIDE, PIXEL_SIDE, 3) or pixels.dtype != np.uint8:
        raise InvalidValue("pixels", (pixels.shape, str(pixels.dtype)), wanted)
    return np.ascontiguousarray(pixels)


def require_rebindable(before: CollectionSpec, spec: CollectionSpec) -> None:
    """Whether a collection can get the network of another spec.

    Raises:
        InvalidValue: metric, pixel space or originals are not the collection's.
    """
    kept = (before.metric, before.pixel_space, before.keep_originals)
    given = (spec.metric, spec.pixel_space, spec.keep_originals)
    if given != kept:
        raise InvalidValue(
            "spec",
            given,
            f"metric, pixel_space and keep_originals as the collection has them: {kept}",
        )


# ---- put ----


def _put(tx: Transaction, put: Put) -> Effect[Written]:
    collection = tx.collection(put.collection)
    promise = put.idempotency
    if promise is not None:
        earlier = answered(tx, collection, promise)
        if earlier is not None:
            return Effect(earlier, counts=False)
    stored, changes, created = _store(tx, collection, put)
    written = Written(stored.item, tx.seq, created=created)
    if promise is not None:
        remember(tx, collection, promise, stored, created)
    return Effect(written, changes)


def _store(
    tx: Transaction, collection: Collection, put: Put
) -> tuple[StoredItem, tuple[Change, ...], bool]:
    new = _fitted(put.item, collection.spec)
    own = _own(tx, collection, put)
    twin = _twin(tx, collection, put, own)
    gone: tuple[Change, ...] = ()
    if twin is not None and new.id is None:
        own = twin
    elif twin is not None:
        tx.delete(collection, twin)
        gone = (Removed(collection.key, twin.item.number),)
    if own is None:
        stored = tx.insert(collection, new.id or _free_id(tx, collection), new)
    else:
        gone = (*gone, Removed(collection.key, own.item.number))
        stored = tx.replace(collection, own, new)
    item = stored.item
    added = Added(collection.key, item.number, item.label, new.vector, new.pixels)
    return stored, (*gone, added), own is None


def _fitted(new: NewItem, spec: CollectionSpec) -> NewItem:
    """The item with its arrays checked, and with nothing that the collection does not keep."""
    return replace(
        new,
        vector=require_vector(new.vector, spec.dim),
        pixels=require_pixels(new.pixels) if spec.pixel_space else None,
        original=new.original if spec.keep_originals else None,
    )


def _own(tx: Transaction, collection: Collection, put: Put) -> StoredItem | None:
    """The item that has the id already, if it may be replaced."""
    id = put.item.id
    own = None if id is None else tx.find(collection, id)
    if own is None:
        if put.if_match is not None:
            raise _nothing_to_match(put)
        return None
    _check_version(own.item, put.if_match)
    if not put.upsert:
        raise Conflict(f"the collection {shown(put.collection)} has an item {shown(id)} already")
    return own


def _nothing_to_match(put: Put) -> Exception:
    if put.item.id is None:
        return InvalidValue("if_match", put.if_match, "only with the id of an item")
    return UnknownItem(put.item.id, put.collection)


def _twin(
    tx: Transaction, collection: Collection, put: Put, own: StoredItem | None
) -> StoredItem | None:
    """The oldest other item with the same bytes, if it is to be replaced."""
    sha256 = put.item.sha256
    if put.on_duplicate == "keep" or (own is not None and own.item.sha256 == sha256):
        return None
    twin = tx.oldest(collection, sha256)
    if twin is not None and put.on_duplicate == "reject":
        raise Conflict(f"the item {shown(twin.item.id)} holds this very picture")
    return twin


# ---- patch, remove ----


def _patch(tx: Transaction, patch: Patch) -> Effect[Written]:
    collection, stored = _wanted(tx, patch)
    item = stored.item
    if stored.damage:  # a sum over what is left of it would make it look sound
        raise RecordDamaged("item", item.id, stored.damage)
    label = item.label if patch.label is UNSET else patch.label
    metadata = item.metadata if patch.metadata is UNSET else patch.metadata
    after = tx.change(collection, stored, label, metadata)
    changes: tuple[Change, ...] = ()
    if label != item.label:
        changes = (Relabeled(collection.key, item.number, label),)
    return Effect(Written(after.item, tx.seq), changes)


def _remove(tx: Transaction, remove: Remove) -> Effect[Written]:
    collection, stored = _wanted(tx, remove)
    tx.delete(collection, stored)
    removed = Removed(collection.key, stored.item.number)
    return Effect(Written(stored.item, tx.seq), (removed,))


def _wanted(tx: Transaction, write: Patch | Remove) -> tuple[Collection, StoredItem]:
    collection = tx.collection(write.collection)
    stored = tx.find(collection, write.id)
    if stored is None:
        raise UnknownItem(write.id, write.collection)
    _check_version(stored.item, write.if_match)
    return collection, stored


def _check_version(item: Item, if_match: IfMatch | None) -> None:
    """Whether the item is one that the caller has seen.

    Raises:
        VersionMismatch: it is not.
    """
    if if_match is None or if_match == ANY_VERSION or item.version in if_match:
        return
    wanted = " or ".join(map(str, sorted(if_match)[:5]))
    raise VersionMismatch(f"the item {shown(item.id)} has version {item.version}, not {wanted}")


# ---- ids ----

# Crockford's base 32 in lower case: in the order of the characters' codes, safe in a URL.
_DIGITS: Final = "0123456789abcdefghjkmnpqrstvwxyz"
_RANDOM_BITS: Final = 80
_LENGTH: Final = 26  # of 5 bits: 48 of milliseconds, 80 random, 2 to spare
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def _free_id(tx: Transaction, collection: Collection) -> str:
    id = _new_id(tx.now)
    while tx.find(collection, id) is not None:
        id = _new_id(tx.now)
    return id


def _new_id(now: datetime) -> str:
    """26 characters: the time first, so that ids sort by it, and 80 random bits.

    Source: the ULID specification, https://github.com/ulid/spec, in lower case.
    """
    milliseconds = (now - _EPOCH) // timedelta(milliseconds=1)
    value = milliseconds << _RANDOM_BITS | secrets.randbits(_RANDOM_BITS)
    return "".join(_DIGITS[value >> shift & 31] for shift in range(5 * (_LENGTH - 1), -1, -5))
