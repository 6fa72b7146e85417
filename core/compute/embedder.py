"""Owns making a vector of a picture for a collection; refuses to know where it is stored."""

from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from torch import Tensor

from core.collections.specs import port_of, takes_features
from core.compute.bridge import Bridge
from core.compute.call import Call
from core.compute.thumbnails import Reduced, reduce
from core.compute.worker import Lane
from core.gallery.records import CollectionSpec, StoredPrediction
from core.images.decode import ImageLimits, decode
from core.models.batched import Forward, LayerVectors
from core.models.loaded import LoadedModel
from core.models.predictions import require_finite, top_predictions
from core.models.runtimes.runtime import Outputs
from core.models.structure.axes import Pool
from core.models.structure.layers import find_layer
from core.models.structure.ports import Port
from core.types import FloatArray, ImageFile, ImageSource

_SIDEWAYS = 5
"""From this EXIF orientation on, width and height change places."""


@dataclass(frozen=True, slots=True, eq=False)
class Embedding:
    """A picture as a collection sees it.

    Attributes:
        width: pixels, upright.
        height: pixels, upright.
        vector: (D,) float32.
    """

    source: ImageSource
    width: int
    height: int
    reduced: Reduced
    prediction: StoredPrediction
    vector: FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class _Prepared:
    source: ImageSource
    reduced: Reduced
    row: Tensor


class Embedder:
    """Turns pictures into vectors on the engine's own threads.

    Args:
        bridge: to the threads.
        limits: what pictures are taken.
    """

    def __init__(self, bridge: Bridge, limits: ImageLimits) -> None:
        self._bridge = bridge
        self._limits = limits

    async def embed(
        self,
        file: ImageFile,
        model: LoadedModel,
        spec: CollectionSpec,
        call: Call,
        lane: Lane = Lane.INTERACTIVE,
    ) -> Embedding:
        """Decode a picture, run the model once, keep what the collection needs.

        Args:
            file: the picture.
            model: the collection's.
            spec: the collection's.
            call: the request's deadline and stopwatch.
            lane: bulk work lets single requests go first.

        Raises:
            ImageRefused, Unavailable, DeadlinePassed, OutputNotFinite.
        """

        def prepare() -> _Prepared:
            least = model.spec.preprocess.min_side_px
            image = decode(file.content, self._limits, bits=file.bits, min_side_px=least)
            small = reduce(image.pixels, pixel_space=spec.pixel_space)
            return _Prepared(image.source, small, model.spec.preprocess(image.pixels))

        prepared = await self._bridge.decode(prepare, call)
        outputs: Outputs = await self._bridge.run(Forward(model), prepared.row, call, lane)
        vector = outputs.features
        if not takes_features(spec, model):
            layer = LayerVectors(model, port_of(spec), cast(Pool, spec.pool))
            vector = await self._bridge.run(layer, prepared.row, call, lane)
        require_finite(vector)
        return _embedding(prepared, outputs, vector, model)

    async def dim(self, model: LoadedModel, port: Port, pool: Pool, call: Call) -> int:
        """How many numbers a layer's vector has: found by running it.

        Raises:
            UnknownLayer: the model has no such layer.
        """
        find_layer(model.module, port.layer)
        blank = torch.zeros(model.spec.input_shape)
        vector = await self._bridge.run(LayerVectors(model, port, pool), blank, call)
        return len(vector)


def _embedding(
    prepared: _Prepared, outputs: Outputs, vector: FloatArray, model: LoadedModel
) -> Embedding:
    best = top_predictions(outputs.logits, model.spec.labels, 1)[0]
    source = prepared.source
    size = (source.width, source.height)
    width, height = size[::-1] if source.orientation >= _SIDEWAYS else size
    return Embedding(
        source,
        width,
        height,
        prepared.reduced,
        StoredPrediction(best.class_index, best.label, best.probability),
        np.array(vector, dtype=np.float32),  # a copy: a row would keep its whole batch alive
    )
