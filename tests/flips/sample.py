"""A data folder with one of everything, as a service leaves it that was closed, and one killed."""

import shutil
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import numpy as np

from core.gallery.index.index import IndexOptions
from core.gallery.records import Idempotency, NewItem, Patch, Put, Remove, StoredProjection
from core.gallery.sqlite.local import LocalGallery
from core.types import ImageFile
from tests.core.gallery.records import WAIT_S, Clock, new_item, spec

PHOTOS, CLOTHES = "photos", "clothes"
ITEMS = {PHOTOS: 20, CLOTHES: 300}
DIMS = {PHOTOS: 64, CLOTHES: 16}
OPTIONS = IndexOptions(flat_limit_bytes=1, few_rows=1, lists=4)
"""Few pictures are searched as they are, more of them by FAISS's lists."""
CLOSED, KILLED, EARLIER = "closed", "killed", "earlier"
_LATE = 4


def item_id(seed: int) -> str:
    return f"picture {seed:02}"


def make(folder: Path) -> None:
    """Fill new folders in a folder: closed, killed and, before the last change, earlier."""
    used = folder / "in use"
    with closing(LocalGallery(used, OPTIONS)) as gallery:
        gallery.create(spec(PHOTOS, dim=DIMS[PHOTOS], pixel_space=True, keep_originals=True))
        gallery.create(spec(CLOTHES, dim=DIMS[CLOTHES])).result(WAIT_S)
        for name in ITEMS:
            _store(gallery, name, range(ITEMS[name] - _LATE))
        gallery.write(Put(PHOTOS, _item(PHOTOS, 99))).result(WAIT_S)
        gallery.write(Remove(PHOTOS, item_id(99))).result(WAIT_S)
        gallery.keep_projection(_projection(PHOTOS), b"result " * 300, b"placement").result(WAIT_S)
        gallery._indexes[2, "features"].wait()
        assert gallery._indexes[2, "features"].approximate
    with closing(LocalGallery(used, OPTIONS)) as gallery:
        for name in ITEMS:
            _store(gallery, name, range(ITEMS[name] - _LATE, ITEMS[name]))
        shutil.copytree(used, folder / EARLIER)
        gallery.write(Patch(PHOTOS, item_id(1), metadata={"changed": 1})).result(WAIT_S)
        shutil.copytree(used, folder / KILLED)
    used.rename(folder / CLOSED)


def put_again(collection: str, seed: int) -> Put:
    """A request that comes twice; every fourth item came with a key."""
    key = Idempotency(f"key {collection} {seed}", f"fingerprint {seed}")
    return Put(collection, _item(collection, seed), idempotency=key if seed % 4 == 0 else None)


def _store(gallery: LocalGallery, collection: str, seeds: Sequence[int]) -> None:
    for future in [gallery.write(put_again(collection, seed)) for seed in seeds]:
        future.result(WAIT_S)


def _item(collection: str, seed: int) -> NewItem:
    random = np.random.default_rng([seed, len(collection)])
    return new_item(
        item_id(seed),
        seed,
        DIMS[collection],
        label=f"label {seed % 5}" if seed % 3 else None,
        metadata={"text": f"words of {seed}", "list": [seed, None]},
        thumbnail=random.bytes(900 if collection == PHOTOS else 40),
        original=ImageFile(random.bytes(12_000 if seed == 3 else 2000), 12 if seed % 2 else None),
    )


def _projection(collection: str) -> StoredProjection:
    return StoredProjection(
        id="map",
        collection=collection,
        parameters={"method": "pca", "dimensions": 2},
        status="done",
        reason="",
        count=16,
        seq=20,
        created_at=Clock().now,
        ended_at=Clock().now,
    )
