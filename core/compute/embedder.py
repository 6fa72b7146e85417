"""`Embedder`: the vector of a picture, from the features or a layer. Knows no gallery."""

from dataclasses import dataclass

import numpy as np
import torch

from core.compute.bridge import Bridge
from core.compute.call import Call
from core.compute.pictures import Pictures
from core.compute.served import Served
from core.compute.thumbnails import Reduced
from core.compute.worker import Lane
from core.models.batched import Forward, LayerVectors
from core.models.predictions import require_finite, top_predictions
from core.models.runtimes.runtime import Outputs
from core.models.structure.axes import Pool
from core.models.structure.layers import find_layer
from core.models.structure.ports import Port
from core.types import FloatArray, ImageFile, ImageSource, Prediction


@dataclass(frozen=True, slots=True, eq=False)
class Embedding:
    """A picture as a collection sees it.

    Attributes:
        reduced: what is stored of the picture itself.
        prediction: its most probable class.
        vector: (D,) float32.
    """

    source: ImageSource
    reduced: Reduced
    prediction: Prediction
    vector: FloatArray


@dataclass(frozen=True, slots=True)
class Layer:
    """Where a vector is taken that is not the model's features."""

    port: Port
    pool: Pool


class Embedder:
    """Turns pictures into vectors on the engine's own threads.

    Args:
        bridge: to the threads.
        models: those served.
        pictures: the way from files to inputs.
    """

    def __init__(self, bridge: Bridge, models: Served, pictures: Pictures) -> None:
        self._bridge = bridge
        self._models = models
        self._pictures = pictures

    async def embed(
        self,
        file: ImageFile,
        model: str,
        layer: Layer | None,
        call: Call,
        *,
        tiny_px: int | None = None,
        lane: Lane = Lane.INTERACTIVE,
    ) -> Embedding:
        """Decode a picture, run the model once, keep what a collection needs.

        Args:
            file: the picture.
            model: a served one.
            layer: where the vector is taken; None = the model's features.
            call: the request's deadline and stopwatch.
            tiny_px: side of the tiny copy; None = there is none.
            lane: bulk work lets single requests go first.

        Raises:
            ImageRefused, UnknownModel, Unavailable, DeadlinePassed, OutputNotFinite.
        """
        loaded = self._models.model(model)
        picture = await self._pictures.look(
            file, loaded.spec.preprocess, call, reduced=True, tiny_px=tiny_px
        )
        assert picture.reduced is not None  # it was asked for
        outputs: Outputs = await self._bridge.run(Forward(loaded), picture.row, call, lane)
        vector = outputs.features
        if layer is not None:
            taken = LayerVectors(loaded, layer.port, layer.pool)
            vector = await self._bridge.run(taken, picture.row, call, lane)
        require_finite(vector)
        return Embedding(
            picture.source,
            picture.reduced,
            top_predictions(outputs.logits, loaded.spec.labels, 1)[0],
            np.array(vector, dtype=np.float32),  # a copy: a row would keep its whole batch alive
        )

    async def dim(self, model: str, layer: Layer, call: Call) -> int:
        """How many numbers a layer's vector has: found by running it.

        Raises:
            UnknownModel, UnknownLayer: no such model, or it has no such layer.
        """
        loaded = self._models.model(model)
        find_layer(loaded.module, layer.port.layer)
        blank = torch.zeros(loaded.spec.input_shape)
        taken = LayerVectors(loaded, layer.port, layer.pool)
        return len(await self._bridge.run(taken, blank, call))
