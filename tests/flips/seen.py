"""All that can be read of a gallery, as answers that can be compared."""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np

from core.gallery.gallery import every_item
from core.gallery.queries import Query
from core.gallery.records import Space
from core.gallery.sqlite.local import LocalGallery
from tests.core.gallery.records import WAIT_S
from tests.flips.sample import DIMS, ITEMS, PHOTOS, item_id, put_again

Answer = Any
"""Of many: a mapping, each of whose parts may be missing, and none of which may be another."""

Read = Callable[[], Answer]


def reads(gallery: LocalGallery) -> Iterator[tuple[str, Read]]:
    """Every read there is, by what it reads."""
    yield "collections", lambda: {each.spec.name: each for each in gallery.collections()}
    for name, items in ITEMS.items():
        yield f"{name}", partial(gallery.collection, name)
        yield f"{name}: list", partial(_listed, gallery, name)
        yield f"{name}: labels", partial(_labels, gallery, name)
        yield f"{name}: vectors", partial(_vectors, gallery, name)
        yield f"{name}: maps", partial(_maps, gallery, name)
        yield f"{name}: search", partial(_near, gallery, name, "features", None)
        yield f"{name}: search of a label", partial(_near, gallery, name, "features", "label 2")
        for seed in range(items):
            yield f"{name} {seed}: item", partial(gallery.item, name, item_id(seed))
            yield f"{name} {seed}: rest", partial(_rest, gallery, name, item_id(seed))
        for seed in range(0, 20, 4):
            yield f"{name} {seed}: again", partial(_again, gallery, name, seed)
    yield f"{PHOTOS}: search of pixels", partial(_near, gallery, PHOTOS, "pixels", None)
    yield f"{PHOTOS}: map", lambda: gallery.projected(PHOTOS, "map")


def _listed(gallery: LocalGallery, name: str) -> Mapping[str, Answer]:
    return {each.id: each for each in every_item(gallery, name)}


def _labels(gallery: LocalGallery, name: str) -> Mapping[str, Answer]:
    """A part for each item counted."""
    return {f"{label} {n}": label for label, count in gallery.labels(name) for n in range(count)}


def _vectors(gallery: LocalGallery, name: str) -> Mapping[str, Answer]:
    return {
        item.id: (item, vector.tobytes())
        for items, matrix in gallery.vectors(name)
        for item, vector in zip(items, matrix, strict=True)
    }


def _maps(gallery: LocalGallery, name: str) -> Mapping[str, Answer]:
    return {each.id: each for each in gallery.projections(name)}


def _near(
    gallery: LocalGallery, name: str, space: Space, label: str | None
) -> Mapping[str, Answer]:
    dim = DIMS[name] if space == "features" else 3072
    k = ITEMS[name]
    query = Query(np.full(dim, 0.1, np.float32), k=k, space=space, label=label, exact=True)
    found = gallery.nearest(name, query).found
    assert [each.distance for each in found] == sorted(each.distance for each in found)
    return {each.item.id: (each.item, round(each.distance, 4)) for each in found}


def _rest(gallery: LocalGallery, name: str, id: str) -> Answer:
    pixels = gallery.pixels(name, id)
    return (
        gallery.vector(name, id).tobytes(),
        None if pixels is None else pixels.tobytes(),
        gallery.thumbnail(name, id),
        gallery.original(name, id),
    )


def _again(gallery: LocalGallery, name: str, seed: int) -> Answer:
    written = gallery.write(put_again(name, seed)).result(WAIT_S)
    return written.item, written.seq, written.replayed
