"""`Engine`: all that a client can ask for, put together, and its life from start to close."""

import asyncio
from functools import partial
from typing import NoReturn

import torch

from core.collections.curator import Curator
from core.collections.finder import Finder
from core.collections.projector import Projector
from core.collections.sweeping import SweepMetrics
from core.compute.bridge import Bridge
from core.compute.budget import Budget
from core.compute.call import Call
from core.compute.classifier import Classifier
from core.compute.decoders import Decoders
from core.compute.embedder import Embedder
from core.compute.explainer import Explainer
from core.compute.inspector import Inspector
from core.compute.metrics import Metrics
from core.compute.niceness import libraries_give_way
from core.compute.pictures import Pictures
from core.compute.pulse import Pulse
from core.compute.served import Served
from core.compute.worker import Solo
from core.config import EngineConfig, device_named
from core.errors import UnknownModel
from core.explain.methods import prepare
from core.gallery.sqlite.local import LocalGallery
from core.models.loaded import LoadedModel
from core.models.registry import ModelRegistry, standard_registry
from core.types import (
    ImageFile,
)


class Engine:
    """Everything a client can ask for, each kind of question by a member of its own.

    Args:
        config: what to serve.
        registry: where models come from; None = all that this project ships.
        metrics: where to count; None = new ones.

    Attributes:
        bodies: how many bytes of requests may be held at once.
        models: those served.
        classifier: classes and feature vectors of a picture.
        explainer: why a network answers as it does.
        inspector: opens networks.
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
        self._sweep_metrics = SweepMetrics(self.metrics.registry)
        self._registry = registry or standard_registry(self.config.models_dir)
        config, limits = self.config, self.config.limits
        decoders = Decoders(config.decode_threads, config.decode_bytes, self.metrics)
        self.bridge = Bridge(config.queue_size, decoders, config.max_wait_s, self.metrics)
        self.bodies = Budget(config.body_bytes, self.metrics.body_bytes)
        self.models = Served(self.bridge, config.default_model or config.models[0])
        pictures = Pictures(self.bridge, limits)
        self.classifier = Classifier(self.bridge, self.models, pictures)
        self.explainer = Explainer(self.bridge, self.models, pictures, config.limit_forwards)
        self.inspector = Inspector(self.bridge, self.models, pictures)
        embedder = Embedder(self.bridge, self.models, pictures)
        self.curator = Curator(self.bridge, self.models, embedder)
        self.finder = Finder(self.bridge, self.curator)
        self.projector = Projector(self.bridge, self.curator, self.finder, config.threads)
        self._watch: asyncio.Task[NoReturn] | None = None
        self._pulse = Pulse(self._probe)

    async def start(self) -> None:
        """Load every model on the worker thread, which runs each once; then requests are taken.

        Raises:
            UnknownModel: a configured name is not known.
            ModelUnusable: a model cannot be served.
            GalleryUnusable: what is stored cannot be opened.
        """
        device = device_named(self.config.device)
        names = self.config.models
        if self.models.default not in names:
            raise UnknownModel(self.models.default, names)
        self.bridge.worker.start()
        cards = {}
        with libraries_give_way():
            for name in names:
                load = Solo(partial(self._load, name, device))
                model = await self.bridge.run(load, None, Call())
                methods = await self.bridge.run(Solo(partial(prepare, model)), None, Call())
                cards[name] = self.models.add(model, methods)
        if self.config.data_dir is not None:
            gallery = partial(
                LocalGallery,
                self.config.data_dir,
                sweep_bytes_s=self.config.sweep_bytes_s,
                on_swept=self._sweep_metrics.count,
            )
            await self.curator.open(gallery, cards[self.models.default])
            await self.projector.open()
        self.bridge.open()
        # Loading holds the loop now and then, and nobody can be answered then anyway.
        self._watch = asyncio.create_task(self.metrics.watch_loop())

    def drain(self) -> None:
        """Refuse new requests; those under way go on to their end."""
        self.bridge.drain()

    async def close(self, timeout_s: float = 30.0) -> bool:
        """Drain, let the worker finish what it holds, end all threads.

        Returns:
            Whether the worker ended within the timeout.
        """
        ended = await self.bridge.close(timeout_s)
        if self._watch is not None:
            self._watch.cancel()
        self._pulse.close()
        self.finder.close()
        await self.projector.close()
        await self.curator.close()
        return ended

    async def probe(self, call: Call) -> None:
        """Send a tiny picture through decoding, queue and forward of every model, before others.

        Where that takes long, because all is busy, a probe of the last seconds will do.

        Raises:
            NotReady: models are still loading.
            Draining: the process is shutting down.
            StorageUnusable: nothing can be stored.
        """
        self.bridge.require_working()
        await self._pulse.require(call)

    async def _probe(self, call: Call) -> None:
        if self.config.data_dir is not None:
            await self.curator.read(self.curator.gallery.require_writable)
        for card in self.models.cards():
            await self.classifier.classify(
                ImageFile(_PROBE_GIF), model=card.name, top_k=1, call=call
            )

    def _load(self, name: str, device: torch.device) -> LoadedModel:
        config = self.config
        return self._registry.load(
            name, device, pretrained=config.pretrained, threads=config.threads
        )


# The smallest picture there is: a 1 x 1 GIF.
_PROBE_GIF = bytes.fromhex(
    "47494638396101000100800000000000ffffff21f90400000000002c000000000100010000020144003b"
)
