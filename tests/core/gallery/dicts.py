"""A gallery's transaction over plain dictionaries: the rules by themselves, with no database."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from itertools import count
from typing import Any

from core.errors import UnknownCollection
from core.gallery.records import Collection, Item, NewItem
from core.gallery.transaction import Remembered, StoredItem
from tests.core.gallery.records import Clock, spec


class DictTransaction:
    """One collection, "c"; every write that counts is one of its own."""

    def __init__(self, clock: Clock, **given: Any) -> None:
        self._clock = clock
        self._numbers = count(1)
        self.stored: dict[int, StoredItem] = {}
        self.kept: dict[str, tuple[datetime, Remembered]] = {}
        self.seq = 1
        self.only = Collection(key=7, spec=spec(**given), count=0, seq=0, created_at=clock())

    @property
    def now(self) -> datetime:
        return self._clock()

    def collection(self, name: str) -> Collection:
        if name != self.only.spec.name:
            raise UnknownCollection(name, [self.only.spec.name])
        return self.only

    def find(self, collection: Collection, id: str) -> StoredItem | None:
        return next((each for each in self.stored.values() if each.item.id == id), None)

    def at(self, ordinal: int) -> StoredItem | None:
        return self.stored.get(ordinal)

    def oldest(self, collection: Collection, sha256: str) -> StoredItem | None:
        twins = [each for each in self.stored.values() if each.item.sha256 == sha256]
        return min(twins, key=lambda each: each.ordinal, default=None)

    def insert(self, collection: Collection, id: str, new: NewItem) -> StoredItem:
        created_at = new.created_at or self.now
        return self._keep(next(self._numbers), self._item(id, new, created_at))

    def replace(self, collection: Collection, stored: StoredItem, new: NewItem) -> StoredItem:
        return self._keep(stored.ordinal, self._item(stored.item.id, new, stored.item.created_at))

    def change(
        self,
        collection: Collection,
        stored: StoredItem,
        label: str | None,
        metadata: Mapping[str, Any],
    ) -> StoredItem:
        item = replace(
            stored.item, label=label, metadata=metadata, updated_at=self.now, version=self.seq
        )
        return self._keep(stored.ordinal, item)

    def delete(self, collection: Collection, stored: StoredItem) -> None:
        del self.stored[stored.ordinal]

    def remembered(self, collection: Collection, key: str, since: datetime) -> Remembered | None:
        at, request = self.kept.get(key, (since, None))
        return request if at > since else None

    def remember(self, collection: Collection, key: str, request: Remembered) -> None:
        self.kept[key] = (self.now, request)

    def forget(self, until: datetime) -> None:
        self.kept = {key: kept for key, kept in self.kept.items() if kept[0] > until}

    def _keep(self, ordinal: int, item: Item) -> StoredItem:
        self.stored[ordinal] = StoredItem(ordinal, item)
        return self.stored[ordinal]

    def _item(self, id: str, new: NewItem, created_at: datetime) -> Item:
        return Item(
            id=id,
            number=next(self._numbers),
            label=new.label,
            metadata=new.metadata,
            sha256=new.sha256,
            width=new.width,
            height=new.height,
            prediction=new.prediction,
            created_at=created_at,
            updated_at=self.now,
            version=self.seq,
        )
