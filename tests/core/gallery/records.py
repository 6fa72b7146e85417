"""Small records to store; equal seeds give equal arrays."""

import hashlib
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from core.gallery.gallery import Gallery
from core.gallery.records import CollectionSpec, NewItem, Put, StoredPrediction

DIM = 4
WAIT_S = 30


def spec(name: str = "c", **given: Any) -> CollectionSpec:
    return CollectionSpec(
        **{
            "name": name,
            "model": "tiny",
            "digest": "sha256:0",
            "layer": "head",
            "at": "input",
            "pool": "avg",
            "dim": DIM,
            "metric": "l2",
            **given,
        }
    )


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def new_item(id: str | None = "a", seed: int = 0, dim: int = DIM, **given: Any) -> NewItem:
    rng = np.random.default_rng(seed)
    return NewItem(
        **{
            "id": id,
            "label": None,
            "metadata": {},
            "sha256": sha256(f"{id} {seed}"),
            "width": 640,
            "height": 480,
            "prediction": StoredPrediction(seed % 10, f"class {seed % 10}", 0.5),
            "vector": rng.normal(size=dim).astype(np.float32),
            "pixels": rng.integers(0, 256, (32, 32, 3), dtype=np.uint8),
            "thumbnail": rng.bytes(50),
            **given,
        }
    )


def put(gallery: Gallery, id: str, seed: int = 0, collection: str = "c", **given: Any) -> int:
    """Stores an item, or another one in its place; the number of that write."""
    item = new_item(id, seed, **given)
    return gallery.write(Put(collection, item, upsert=True)).result(WAIT_S).seq


class Clock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.now = datetime(2024, 5, 6, 7, 8, 9, 123456, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def forward(self, **given: float) -> None:
        self.now += timedelta(**given)
