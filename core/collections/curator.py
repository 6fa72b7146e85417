"""`Curator`: make and drop collections; store, change and remove their items."""

import asyncio
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import replace

from core.checks import require_choice
from core.collections.drafts import Draft, Stored
from core.collections.reader import Reader
from core.collections.specs import (
    DEFAULT_COLLECTION,
    ensure_default,
    features_of,
    layer_of,
    not_served,
    pooled_at,
    require_same_weights,
    takes_features,
)
from core.compute.bridge import Bridge
from core.compute.call import Call
from core.compute.embedder import Embedder, Embedding, Layer
from core.compute.served import Served
from core.compute.worker import Lane
from core.errors import UnknownModel
from core.gallery.distances import PIXEL_SIDE
from core.gallery.limits import (
    require_label,
    require_metadata,
    require_name,
)
from core.gallery.records import (
    METRICS,
    Collection,
    CollectionSpec,
    Metric,
    Patch,
    Remove,
    Written,
)
from core.models.structure.axes import POOLS, Pool
from core.models.structure.ports import ATS, At, Port
from core.types import ImageFile, ModelCard


class Curator(Reader):
    """Keeps pictures with the engine's models, and answers what a `Reader` does.

    Args:
        bridge: to the threads; only the worker's touches a model.
        models: those served.
        embedder: makes vectors of pictures.

    Attributes:
        models: as given.
        embedder: as given.
    """

    def __init__(self, bridge: Bridge, models: Served, embedder: Embedder) -> None:
        super().__init__()
        self._bridge = bridge
        self.models = models
        self.embedder = embedder

    # ---- collections ----

    async def create(
        self,
        name: str,
        *,
        model: str | None = None,
        layer: str | None = None,
        at: At = "output",
        pool: Pool = "avg",
        metric: Metric = "l2",
        pixel_space: bool = False,
        keep_originals: bool = False,
        call: Call,
    ) -> Collection:
        """Make an empty collection, bound to a model's weights, a layer and a metric.

        Args:
            name: letters, digits, '.', '_' and '-'.
            model: a served model; None = the default.
            layer: a layer's name; None = the model's feature vector.
            at: whether what enters or what leaves it is stored.
            pool: how the activation of a convolutional layer becomes a vector.
            metric: l2, l1 or cosine.
            pixel_space: also keep tiny copies of the pictures, to compare by pixels.
            keep_originals: also keep the files.
            call: the request's deadline and stopwatch.

        Raises:
            InvalidValue, UnknownModel, UnknownLayer, Unavailable, DeadlinePassed.
            Conflict: the name is taken.
            StorageFull: there is no space on the disk.
        """
        require_name(name)
        require_choice("metric", metric, METRICS)
        require_choice("pool", pool, POOLS)
        require_choice("at", at, ATS)
        card = self.models.card(model)
        async with self._bridge.admitted(call):
            spec = features_of(
                card, name, metric, pixel_space=pixel_space, keep_originals=keep_originals
            )
            if layer is not None:
                taken = Layer(Port(layer, at), pool)
                spec = pooled_at(spec, taken, await self.embedder.dim(card.name, taken, call))
            return await asyncio.wrap_future(self.gallery.create(spec))

    async def drop(self, name: str) -> int:
        """Take a collection away with all that is in it; the default one comes back empty.

        Returns:
            The number of the last change then.

        Raises:
            UnknownCollection: there is none of that name.
        """
        await asyncio.wrap_future(self.gallery.drop(name))
        if name == DEFAULT_COLLECTION:
            await self.read(ensure_default, self.gallery, features_of(self.models.card()))
        return self.gallery.seq

    # ---- items ----

    async def add(
        self,
        collection: str,
        file: ImageFile,
        draft: Draft,
        call: Call,
        lane: Lane = Lane.INTERACTIVE,
        order: AbstractAsyncContextManager[object] | None = None,
    ) -> Stored:
        """Store a picture; when this answers, it is on disk and searches see it.

        Args:
            collection: its name.
            file: the picture.
            draft: what the caller says of it.
            call: the request's deadline and stopwatch.
            lane: bulk work lets single requests go first.
            order: held while the write is handed over, where the order of writes matters.

        Raises:
            ImageRefused, InvalidValue, Unavailable, DeadlinePassed.
            UnknownCollection, UnknownItem: no such name or id.
            ModelMismatch: the collection's model is not served.
            Conflict, VersionMismatch: what is stored does not allow it.
            StorageFull: there is no space on the disk.
        """
        async with self._bridge.admitted(call):
            found = await self.collection(collection)
            embedding = await self.embed(file, found.spec, call, lane)
            put = draft.put(found.spec, file, embedding)
            async with order or nullcontext():
                writing = self.gallery.write(put)
            with call.measure("store"):
                written = await asyncio.wrap_future(writing)
        return Stored(written, embedding.source)

    async def require_usable(self, collection: str) -> None:
        """Raise UnknownCollection or ModelMismatch if no picture can be stored there."""
        self.model_of((await self.collection(collection)).spec)

    async def patch(self, patch: Patch) -> Written:
        """Change an item's label or metadata.

        Raises:
            UnknownCollection, UnknownItem, InvalidValue, VersionMismatch, StorageFull.
        """
        if isinstance(patch.label, str):
            patch = replace(patch, label=require_label(patch.label))
        if isinstance(patch.metadata, Mapping):
            require_metadata(patch.metadata)
        return await asyncio.wrap_future(self.gallery.write(patch))

    async def remove(self, remove: Remove) -> Written:
        """Take an item out.

        Raises:
            UnknownCollection, UnknownItem, VersionMismatch, StorageFull.
        """
        return await asyncio.wrap_future(self.gallery.write(remove))

    # ---- vectors ----

    async def embed(
        self, file: ImageFile, spec: CollectionSpec, call: Call, lane: Lane = Lane.INTERACTIVE
    ) -> Embedding:
        """A picture's vector in a collection; the request has been admitted.

        Raises:
            ImageRefused, Unavailable, DeadlinePassed, OutputNotFinite.
            ModelMismatch: the collection's model is not served, or with other weights.
        """
        model = self.model_of(spec)
        layer = None if takes_features(spec, model) else layer_of(spec)
        tiny_px = PIXEL_SIDE if spec.pixel_space else None
        return await self.embedder.embed(file, model.name, layer, call, tiny_px=tiny_px, lane=lane)

    def model_of(self, spec: CollectionSpec) -> ModelCard:
        """The served model that a collection's vectors come from.

        Raises:
            ModelMismatch: it is not served, or with other weights.
        """
        try:
            model = self.models.card(spec.model)
        except UnknownModel as error:
            raise not_served(spec) from error
        require_same_weights(spec, model)
        return model
