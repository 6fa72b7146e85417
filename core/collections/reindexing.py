"""Embed a collection anew with another network, from the pictures it keeps."""

import asyncio
from collections.abc import Callable
from typing import Final

from core.collections.curator import Curator
from core.collections.drafts import stored_prediction
from core.collections.specs import layer_of, rebound, takes_features
from core.compute.bridge import patiently
from core.compute.call import Call
from core.compute.worker import Lane
from core.errors import Conflict, ImageRefused, ModelMismatch, OutputNotFinite
from core.gallery.gallery import every_item
from core.gallery.records import CollectionSpec, Reembedded
from core.types import ModelCard

_AT_ONCE: Final = 16


async def reembed(
    curator: Curator, collection: str, model: str | None, tick: Callable[[], object]
) -> int:
    """Embed all pictures of a collection anew; the collection changes as a whole or not at all.

    All new vectors are held in memory until the last is there.

    Args:
        curator: keeps them.
        collection: its name.
        model: a served model; None = the one it has.
        tick: called after each picture.

    Returns:
        Pictures embedded.

    Raises:
        UnknownCollection, UnknownModel: no such name.
        UnknownLayer: the model has no layer of the collection's name.
        ModelMismatch: the collection keeps no originals.
        Conflict: a picture cannot be embedded by that model; nothing was changed.
    """
    old = (await curator.collection(collection)).spec
    if not old.keep_originals:
        raise ModelMismatch(
            f"the collection {collection!r} keeps no originals: nothing can be embedded anew; "
            "make a new one and index the pictures again"
        )
    spec = await _respecified(old, curator.models.card(model or old.model), curator)
    ids = await curator.read(lambda: [item.id for item in every_item(curator.gallery, collection)])
    slots = asyncio.Semaphore(_AT_ONCE)

    async def one(id: str) -> Reembedded:
        async with slots:
            done = await patiently(lambda: _embed(curator, spec, id))
        tick()
        return done

    anew = await asyncio.gather(*map(one, ids))
    await curator.read(curator.gallery.rebind, spec, iter(anew))
    return len(anew)


async def _respecified(old: CollectionSpec, model: ModelCard, curator: Curator) -> CollectionSpec:
    """The same collection, of what another network has where this one's vectors are taken."""
    if _holds_features(old, curator):
        return rebound(old, model, None)
    layer = layer_of(old)
    return rebound(old, model, await curator.embedder.dim(model.name, layer, Call()))


def _holds_features(old: CollectionSpec, curator: Curator) -> bool:
    """Whether the vectors are its model's features, or, where that is gone, look like them."""
    try:
        return takes_features(old, curator.model_of(old))
    except ModelMismatch:
        return old.at != "output" and old.pool == "avg"


async def _embed(curator: Curator, spec: CollectionSpec, id: str) -> Reembedded:
    original = await curator.read(curator.gallery.original, spec.name, id)
    assert original is not None  # the collection keeps originals
    try:
        embedding = await curator.embed(original, spec, Call(), Lane.BULK)
    except (ImageRefused, OutputNotFinite) as error:
        raise Conflict(f"{id!r} cannot be embedded, so nothing was changed: {error}") from error
    return Reembedded(id, embedding.vector, stored_prediction(embedding.prediction))
