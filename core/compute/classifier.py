"""`Classifier`: a picture's most probable classes, its feature vector, the model's view of it."""

import asyncio
from collections.abc import Sequence
from typing import Final

from core.checks import require_choice
from core.compute.bridge import Bridge
from core.compute.call import Call
from core.compute.pictures import Pictures
from core.compute.served import Served
from core.errors import SeethroughError
from core.models.batched import Forward, LayerVectors
from core.models.predictions import require_finite, require_top_k, top_predictions
from core.models.preprocess import to_pixels
from core.models.runtimes.runtime import Outputs
from core.models.structure.axes import POOLS, Pool
from core.models.structure.layers import find_layer
from core.models.structure.ports import Port
from core.render.heat import png
from core.types import Classification, FeatureVector, FloatArray, ImageFile, View

USUAL_CLASSES: Final = 5
"""How many are answered where no number is asked for, if there are so many."""


class Classifier:
    """Classifies pictures and takes their feature vectors.

    Args:
        bridge: to the threads; only the worker's touches a model.
        models: those served.
        pictures: the way from files to inputs.
    """

    def __init__(self, bridge: Bridge, models: Served, pictures: Pictures) -> None:
        self._bridge = bridge
        self._models = models
        self._pictures = pictures

    async def classify(
        self, file: ImageFile, *, model: str | None = None, top_k: int | None = None, call: Call
    ) -> Classification:
        """The most probable classes of a picture.

        Args:
            file: the picture, in any format of `core.images.decode.FORMATS`.
            model: a served model; None = the default.
            top_k: how many classes, at most the model's; None = 5, or all where there are fewer.
            call: the request's deadline and stopwatch.

        Raises:
            ImageRefused: the picture cannot be taken.
            InvalidValue: top_k is out of range.
            UnknownModel: the model is not served.
            Unavailable: not now.
            DeadlinePassed: the deadline came first.
        """
        loaded = self._models.model(model)
        top_k = min(USUAL_CLASSES, loaded.num_classes) if top_k is None else top_k
        require_top_k(top_k, loaded.num_classes)
        async with self._bridge.admitted(call):
            picture = await self._pictures.look(file, loaded.spec.preprocess, call)
            outputs: Outputs = await self._bridge.run(Forward(loaded), picture.row, call)
            predictions = top_predictions(outputs.logits, loaded.spec.labels, top_k)
        return Classification(loaded.spec.name, picture.source, predictions)

    async def classify_many(
        self,
        files: Sequence[ImageFile],
        *,
        model: str | None = None,
        top_k: int | None = None,
        call: Call,
    ) -> list[Classification | SeethroughError]:
        """The most probable classes of each picture, in order; one that fails, fails alone.

        Args:
            files: the pictures.
            model: a served model; None = the default.
            top_k: how many classes each; see `classify`.
            call: the request's deadline and stopwatch.

        Raises:
            InvalidValue: top_k is out of range.
            UnknownModel: the model is not served.
        """
        if top_k is not None:
            require_top_k(top_k, self._models.model(model).num_classes)

        async def one(file: ImageFile) -> Classification | SeethroughError:
            try:
                return await self.classify(file, model=model, top_k=top_k, call=call)
            except SeethroughError as error:
                return error

        return await asyncio.gather(*map(one, files))

    async def feature_vector(
        self,
        file: ImageFile,
        *,
        model: str | None = None,
        port: Port | None = None,
        pool: Pool = "avg",
        call: Call,
    ) -> FeatureVector:
        """A picture's features: what is classified, or what enters or leaves any layer.

        Args:
            file: the picture.
            model: a served model; None = the default.
            port: of a layer; None = the model's features.
            pool: how the activation of a convolutional layer becomes a vector.
            call: the request's deadline and stopwatch.

        Raises:
            ImageRefused: the picture cannot be taken.
            InvalidValue: no such pooling.
            UnknownModel, UnknownLayer: no such model or layer.
            Unavailable: not now.
            DeadlinePassed: the deadline came first.
        """
        loaded = self._models.model(model)
        require_choice("pool", pool, POOLS)
        if port is not None:
            find_layer(loaded.module, port.layer)
        async with self._bridge.admitted(call):
            picture = await self._pictures.look(file, loaded.spec.preprocess, call)
            vector: FloatArray
            if port is None:
                outputs: Outputs = await self._bridge.run(Forward(loaded), picture.row, call)
                vector = outputs.features
            else:
                vector = await self._bridge.run(LayerVectors(loaded, port, pool), picture.row, call)
        require_finite(vector)
        taken = port or loaded.features
        return FeatureVector(
            model=loaded.spec.name,
            image=picture.source,
            layer=taken.layer,
            at=taken.at,
            pool=pool,
            vector=vector,
        )

    async def view(self, file: ImageFile, *, model: str | None = None, call: Call) -> View:
        """The picture as a model sees it, before its pixels are put on the model's own scale.

        Raises:
            ImageRefused: the picture cannot be taken.
            UnknownModel: the model is not served.
            Unavailable: not now.
            DeadlinePassed: the deadline came first.
        """
        loaded = self._models.model(model)
        async with self._bridge.admitted(call):
            picture = await self._pictures.look(file, loaded.spec.preprocess, call)
            return View(loaded.spec.name, picture.source, to_pixels(picture.view))

    async def draw_view(self, view: View, call: Call) -> bytes:
        """It as a PNG file."""
        return await self._bridge.draw(lambda: png(view.pixels), call)
