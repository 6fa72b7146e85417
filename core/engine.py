"""Owns `Engine`: one async method per capability; the only bridge from asyncio to threads."""

import asyncio
from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor

from core.checks import require_choice
from core.collections.curator import Curator
from core.collections.finder import Finder
from core.collections.projector import Projector
from core.compute.bridge import Bridge
from core.compute.call import Call
from core.compute.explainer import Explainer
from core.compute.inspector import Inside, Inspection, Inspector
from core.compute.metrics import Metrics
from core.compute.worker import Solo
from core.config import EngineConfig
from core.device import device_named
from core.errors import SeethroughError, UnknownModel
from core.explain.objective import LayerObjective
from core.explain.plan import Method, prepare
from core.gallery.sqlite.local import LocalGallery
from core.images.decode import decode
from core.inspect.activations import Activations, Channels
from core.inspect.filters import Filters
from core.inspect.selection import Selection
from core.inspect.table import LayerTable
from core.inspect.unit import Position, Unit
from core.models.batched import Forward, LayerVectors
from core.models.card import card
from core.models.loaded import LoadedModel
from core.models.predictions import require_finite, require_top_k, top_predictions
from core.models.registry import ModelRegistry, standard_registry
from core.models.runtimes.runtime import Outputs
from core.models.structure.axes import POOLS, Pool
from core.models.structure.layers import find_layer
from core.models.structure.ports import Port
from core.render.heat import Drawing
from core.render.tiles import Scaling
from core.types import (
    Classification,
    Explanation,
    FeatureVector,
    FloatArray,
    ImageFile,
    ImageSource,
    Judged,
    ModelCard,
)


class Engine:
    """Everything a client can ask for, as async methods.

    Args:
        config: what to serve.
        registry: where models come from; None = all that this project ships.
        metrics: where to count; None = new ones.

    Attributes:
        curator: keeps pictures.
        finder: finds the nearest of them.
        projector: lays them out.
    """

    def __init__(
        self,
        config: EngineConfig | None = None,
        registry: ModelRegistry | None = None,
        metrics: Metrics | None = None,
    ) -> None:
        self.config = config or EngineConfig()
        self.metrics = metrics or Metrics()
        self._registry = registry or standard_registry(self.config.models_dir)
        self._models: dict[str, LoadedModel] = {}
        self._methods: dict[str, tuple[str, ...]] = {}
        self.bridge = Bridge(self.config.queue_size, self.config.decode_threads, self.metrics)
        self._explainer = Explainer(self.bridge, self.config.limits, self.config.limit_forwards)
        self._inspector = Inspector(self.bridge, self.config.limits)
        self.curator = Curator(self.bridge, self.config.limits, self._model)
        self.finder = Finder(self.bridge, self.curator)
        self.projector = Projector(self.bridge, self.curator, self.finder, self.config.threads)

    # ---- life ----

    async def start(self) -> None:
        """Load every model on the worker thread, which runs each once; then requests are taken.

        Raises:
            UnknownModel: a configured name is not known.
            ModelUnusable: a model cannot be served.
            GalleryUnusable: what is stored cannot be opened.
        """
        device = device_named(self.config.device)
        names = self.config.models
        if self.default_model not in names:
            raise UnknownModel(self.default_model, names)
        self.bridge.worker.start()
        for name in names:
            load = Solo(partial(self._load, name, device))
            model = await self.bridge.run(load, None, Call())
            methods = Solo(partial(prepare, model))
            self._methods[name] = await self.bridge.run(methods, None, Call())
            self._models[name] = model
        if self.config.data_dir is not None:
            gallery = partial(LocalGallery, self.config.data_dir)
            await self.curator.open(gallery, self._models[self.default_model])
            await self.projector.open()
        self.bridge.open()

    def drain(self) -> None:
        """Refuse new requests; those under way go on to their end."""
        self.bridge.drain()

    async def close(self, timeout_s: float = 30.0) -> bool:
        """Drain, let the worker finish what it holds, end all threads.

        Returns:
            Whether the worker ended within the timeout.
        """
        ended = await self.bridge.close(timeout_s)
        self.finder.close()
        await self.projector.close()
        await self.curator.close()
        return ended

    async def probe(self, call: Call) -> None:
        """Send a tiny picture through decoding, queue and forward of every model.

        Raises:
            NotReady: models are still loading.
            Draining: the process is shutting down.
        """
        self.bridge.check_admission()
        for name in self._models:
            await self.classify(ImageFile(_PROBE_GIF), model=name, top_k=1, call=call)

    # ---- capabilities ----

    @property
    def default_model(self) -> str:
        """The model used when a request names none."""
        return self.config.default_model or self.config.models[0]

    def models(self) -> list[ModelCard]:
        """Every served model, in the order configured."""
        self.bridge.require_loaded()
        return [self._card(model) for model in self._models.values()]

    def model(self, name: str) -> ModelCard:
        """One served model.

        Raises:
            UnknownModel: it is not served.
        """
        return self._card(self._model(name))

    def classes(self, model: str, text: str = "") -> list[tuple[int, str]]:
        """Index and label of the model's classes whose label holds the text, ignoring case.

        Raises:
            UnknownModel: it is not served.
        """
        labels = self._model(model).spec.labels
        wanted = text.casefold()
        return [(i, label) for i, label in enumerate(labels) if wanted in label.casefold()]

    async def classify(
        self, file: ImageFile, *, model: str | None = None, top_k: int = 5, call: Call
    ) -> Classification:
        """The most probable classes of a picture.

        Args:
            file: the picture, in any format of `core.images.decode.FORMATS`.
            model: a served model; None = the default.
            top_k: how many classes, at most the model's number of classes.
            call: the request's deadline and stopwatch.

        Raises:
            ImageRefused: the picture cannot be taken.
            InvalidValue: top_k is out of range.
            UnknownModel: the model is not served.
            Unavailable: not now.
            DeadlinePassed: the deadline came first.
        """
        loaded = self._model(model)
        require_top_k(top_k, loaded.num_classes)
        async with self.bridge.admitted(call):
            source, row = await self._prepare(file, loaded, call)
            outputs: Outputs = await self.bridge.run(Forward(loaded), row, call)
            predictions = top_predictions(outputs.logits, loaded.spec.labels, top_k)
        return Classification(loaded.spec.name, source, predictions)

    async def classify_many(
        self, files: Sequence[ImageFile], *, model: str | None = None, top_k: int = 5, call: Call
    ) -> list[Classification | SeethroughError]:
        """The most probable classes of each picture, in order; one that fails, fails alone.

        Args:
            files: the pictures.
            model: a served model; None = the default.
            top_k: how many classes each.
            call: the request's deadline and stopwatch.

        Raises:
            InvalidValue: top_k is out of range.
            UnknownModel: the model is not served.
        """
        require_top_k(top_k, self._model(model).num_classes)

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
        loaded = self._model(model)
        require_choice("pool", pool, POOLS)
        if port is not None:
            find_layer(loaded.module, port.layer)
        async with self.bridge.admitted(call):
            source, row = await self._prepare(file, loaded, call)
            vector: FloatArray
            if port is None:
                outputs: Outputs = await self.bridge.run(Forward(loaded), row, call)
                vector = outputs.features
            else:
                vector = await self.bridge.run(LayerVectors(loaded, port, pool), row, call)
        require_finite(vector)
        place = port or loaded.features
        return FeatureVector(loaded.spec.name, source, place.layer, place.at, pool, vector)

    async def explain(
        self,
        file: ImageFile,
        method: Method,
        *,
        model: str | None = None,
        target: str | None = None,
        part: LayerObjective | None = None,
        keep_original: bool = False,
        call: Call,
    ) -> Explanation:
        """Why the network answers as it does, by one method.

        Args:
            file: the picture.
            method: which method, with its parameters.
            model: a served model; None = the default.
            target: a class's index or exact label; None = the top prediction.
            part: what to explain instead of a class, with guided backpropagation.
            keep_original: also keep the whole picture, to draw on.
            call: the request's deadline and stopwatch.

        Raises:
            InvalidValue: a parameter is outside what is allowed; TargetOutOfRange, CostTooHigh.
            MethodUnsupported: the method does not apply to this network.
            ImageRefused, UnknownModel, UnknownLayer, Unavailable, DeadlinePassed.
        """
        return await self._explainer.explain(
            self._model(model), file, method, target, part, keep_original, call
        )

    async def compare(
        self,
        file: ImageFile,
        methods: Sequence[Method],
        *,
        model: str | None = None,
        target: str | None = None,
        keep_original: bool = False,
        call: Call,
    ) -> list[Judged]:
        """Several methods on one picture and one class, each with its faithfulness.

        Args:
            file: the picture.
            methods: at least one.
            model: a served model; None = the default.
            target: a class's index or exact label; None = the top prediction.
            keep_original: also keep the whole picture, to draw on.
            call: the request's deadline and stopwatch.

        Raises:
            As `explain`.
        """
        return await self._explainer.compare(
            self._model(model), file, methods, target, keep_original, call
        )

    async def draw(self, found: Explanation, drawing: Drawing, call: Call) -> bytes:
        """An explanation as a PNG file."""
        return await self._explainer.draw(found, drawing, call)

    async def draw_strip(self, judged: Sequence[Judged], drawing: Drawing, call: Call) -> bytes:
        """Several explanations side by side as a PNG file, each with its name and faithfulness."""
        return await self._explainer.draw_strip(judged, drawing, call)

    async def layers(self, model: str, call: Call) -> LayerTable:
        """What a model is made of, layer by layer in order of execution.

        Raises:
            UnknownModel, Unavailable, DeadlinePassed.
        """
        return await self._inspector.layers(self._model(model), call)

    async def filters(
        self, model: str, layer: str, selection: Selection | None, call: Call
    ) -> Filters:
        """The weights of a convolution; all filters where none are selected.

        Raises:
            InvalidValue: the layer is not a convolution, or has no such filter.
            UnknownModel, UnknownLayer, Unavailable, DeadlinePassed.
        """
        return await self._inspector.filters(self._model(model), layer, selection, call)

    async def activations(
        self,
        file: ImageFile,
        port: Port,
        channels: Channels,
        *,
        model: str | None = None,
        call: Call,
    ) -> Inspection[Activations]:
        """What leaves or enters a layer for a picture.

        Raises:
            InvalidValue: the layer has no such channels.
            ImageRefused, UnknownModel, UnknownLayer, Unavailable, DeadlinePassed.
        """
        return await self._inspector.activations(self._model(model), file, port, channels, call)

    async def unit(
        self, file: ImageFile, position: Position, *, model: str | None = None, call: Call
    ) -> Inspection[Unit]:
        """The arithmetic of one output of a convolution.

        Raises:
            InvalidValue: the layer is not a convolution, or puts out no such unit.
            MethodUnsupported: the layer does more than a convolution.
            ImageRefused, UnknownModel, UnknownLayer, Unavailable, DeadlinePassed.
        """
        return await self._inspector.unit(self._model(model), file, position, call)

    async def draw_inside(self, found: Inside, scaling: Scaling, call: Call) -> bytes:
        """Filters, activations or a unit as a PNG file; a unit has no scaling to choose."""
        return await self._inspector.draw(found, scaling, call)

    async def _prepare(
        self, file: ImageFile, model: LoadedModel, call: Call
    ) -> tuple[ImageSource, Tensor]:
        """Decode a picture in full and make it the model's input, on a decoder thread."""
        preprocess = model.spec.preprocess

        def prepare() -> tuple[ImageSource, Tensor]:
            least = preprocess.min_side_px
            image = decode(file.content, self.config.limits, bits=file.bits, min_side_px=least)
            return image.source, preprocess(image.pixels)

        return await self.bridge.decode(prepare, call)

    # ---- models ----

    def _load(self, name: str, device: torch.device) -> LoadedModel:
        config = self.config
        return self._registry.load(
            name, device, pretrained=config.pretrained, threads=config.threads
        )

    def _model(self, name: str | None) -> LoadedModel:
        self.bridge.require_loaded()
        name = name or self.default_model
        if name not in self._models:
            raise UnknownModel(name, list(self._models))
        return self._models[name]

    def _card(self, model: LoadedModel) -> ModelCard:
        name = model.spec.name
        return card(model, self._methods[name], default=name == self.default_model)


# The smallest picture there is: a 1 x 1 GIF.
_PROBE_GIF = bytes.fromhex(
    "47494638396101000100800000000000ffffff21f90400000000002c000000000100010000020144003b"
)
