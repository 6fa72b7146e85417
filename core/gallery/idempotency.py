"""Requests that come twice, and are one; no SQL in here."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any, Final

from core.errors import Conflict, shown
from core.gallery.records import Collection, Idempotency, Item, StoredPrediction, Written
from core.gallery.transaction import Remembered, StoredItem, Transaction

KEPT: Final = timedelta(hours=24)
"""So long a repeated request gets the answer of the first."""


def answered(tx: Transaction, collection: Collection, promise: Idempotency) -> Written | None:
    """The answer to an earlier request with this key; None if there was none.

    It holds the item as it stands now; if it was removed or is damaged, as it was answered.

    Raises:
        Conflict: there was one, and it said something else.
    """
    earlier = tx.remembered(collection, promise.key, tx.now - KEPT)
    if earlier is None:
        return None
    if earlier.fingerprint != promise.fingerprint:
        raise Conflict(f"the idempotency key {shown(promise.key)} came with another request before")
    stored = tx.at(earlier.ordinal)
    item = _from_json(earlier.answer) if stored is None or stored.damage else stored.item
    return Written(item, earlier.seq, created=earlier.created, replayed=True)


def remember(
    tx: Transaction,
    collection: Collection,
    promise: Idempotency,
    stored: StoredItem,
    created: bool,
) -> None:
    """Keep an answer, and forget what is too old; both with the write or not at all."""
    tx.forget(tx.now - KEPT)
    request = Remembered(
        fingerprint=promise.fingerprint,
        ordinal=stored.ordinal,
        answer=_to_json(stored.item),
        seq=tx.seq,
        created=created,
    )
    tx.remember(collection, promise.key, request)


def _to_json(item: Item) -> str:
    """By names: what an item gets later is added to it, with its default, when it is read."""
    return json.dumps(asdict(item), default=datetime.isoformat)


def _from_json(text: str) -> Item:
    said: Mapping[str, Any] = json.loads(text)
    return Item(
        **{
            **said,
            "prediction": StoredPrediction(**said["prediction"]),
            "created_at": datetime.fromisoformat(said["created_at"]),
            "updated_at": datetime.fromisoformat(said["updated_at"]),
        }
    )
