"""What of a collection a projection is made of: its items' vectors, and defaults that fit them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from core.errors import Conflict, UnknownItem
from core.gallery.gallery import Gallery, every_item
from core.gallery.records import Collection, Item
from core.projection.jobs import Loaded
from core.projection.methods import PROJECTION_METHODS
from core.projection.request import Request
from core.projection.sample import stratified

_TRIES: Final = 3


def defaults(parameters: Mapping[str, Any], collection: Collection) -> Mapping[str, Any]:
    """What is not said of a map, as it fits the collection."""
    method = PROJECTION_METHODS.get(parameters.get("method", ""))
    if method is None:
        return {}
    count, sample = collection.count, parameters.get("sample")
    points = count if sample is None else min(count, sample)
    return method.fitting(points, collection.spec.metric == "cosine")


def load(gallery: Gallery, collection: str, request: Request, file: Path) -> Loaded:
    """Write the vectors of what is to be laid out into a file, row after row.

    Args:
        gallery: holds them.
        collection: its name.
        request: which of its items.
        file: for (n, D) float32.

    Raises:
        UnknownCollection: it is gone.
        Conflict: it changes faster than it can be read.
    """
    for _ in range(_TRIES):
        found = gallery.collection(collection)
        try:
            items = _write(gallery, collection, request, file)
        except UnknownItem:  # one of the sample was removed meanwhile
            continue
        return Loaded(
            [item.id for item in items],
            [item.label for item in items],
            [item.prediction.label for item in items],
            found.spec.dim,
            found.seq,
        )
    raise Conflict(f"items of {collection!r} are removed faster than a sample can be read")


def _write(gallery: Gallery, collection: str, request: Request, file: Path) -> list[Item]:
    ids = None
    if request.sample is not None:
        everything = list(every_item(gallery, collection))
        labels = [item.label for item in everything]
        chosen = stratified(labels, request.sample, seed=request.parameters.seed)
        ids = [everything[index].id for index in chosen]
    items: list[Item] = []
    with file.open("wb") as rows:
        for some, vectors in gallery.vectors(collection, ids):
            items += some
            rows.write(vectors.tobytes())
    return items
