"""`Subject`: a network under examination, its reference, and two pictures."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import Any, Final

import torch
from torch import Tensor

from benchmarks.networks.references import Reference
from benchmarks.networks.zoo import Network, made
from benchmarks.photos import arrays
from core.errors import MethodUnsupported
from core.explain.cam import GradCam
from core.explain.method import Finding, Inquiry
from core.explain.methods import plan, prepare
from core.explain.objective import ClassObjective
from core.explain.steps import Task, exhaust
from core.inspect.table import LayerTable, layer_table
from core.models.registry import standard_registry

_RANKS: Final = 5
_FORWARDS: Final = 1000


class Subject:
    """What checks look at.

    Attributes:
        reference: of the same weights, copied before the service had them.
        model: as the registry loads it, ready to explain.
        explanations: the names of the methods that apply.
        view: (C, H, W) uint8, the picture explained.
        rows: (2, C, H, W) float32, that picture and another one, as the network sees them.
        row: (1, C, H, W) float64, the picture explained.
    """

    def __init__(self, network: Network) -> None:
        self.network = network
        spec, module = made(network)
        self.reference = Reference(module)
        registry = standard_registry()
        registry.register("random:", lambda _name, _pretrained: (spec, module))
        self.model = registry.load(f"random:{network.name}", torch.device("cpu"))
        self.explanations = prepare(self.model)
        views = [spec.preprocess.view(pixels) for pixels in arrays()[:2]]
        self.view = views[0]
        self.rows = spec.preprocess.normalize(torch.stack(views))
        self.row = self.rows[:1].double()

    @cached_property
    def logits(self) -> Tensor:
        """(K,) of the picture, by the reference."""
        return self.reference.logits(self.row)

    @cached_property
    def ranked(self) -> list[int]:
        """The classes of the largest logits, by the reference."""
        return [int(each) for each in self.logits.argsort(descending=True)[:_RANKS]]

    @cached_property
    def outputs(self) -> dict[str, Tensor]:
        """What the two layers put out, by the reference, without the batch axis."""
        names = [self.network.inner.name, self.network.cam.name]
        return self.reference.outputs(self.row, names)

    @cached_property
    def table(self) -> LayerTable:
        """The layers, as the service lists them."""
        return layer_table(self.model.module, self.model.to_device(self.rows[:1]))

    @cached_property
    def cam_layer(self) -> str:
        """Where Grad-CAM looks when it is not told where, and how many cells that has."""
        try:
            found = self.found(GradCam())
        except MethodUnsupported:
            return "none"
        return "{layer}, {cells[0]} x {cells[1]}".format(**found.extras)

    def found(self, method: object, target: int | None = None) -> Finding:
        """What the worker would give for the picture."""
        planned = plan(method, Inquiry(self.model, self.view, ClassObjective(target), _FORWARDS))
        if isinstance(planned.work, Task):
            return planned.finish(exhaust(planned.work.steps))
        function, payload = planned.work
        return planned.finish(function([payload])[0])

    @contextmanager
    def doubled(self) -> Iterator[None]:
        """The service's own code runs in float64 meanwhile."""
        model: Any = self.model
        model.module.double()
        model.to_device = lambda batch: batch.double()
        try:
            yield
        finally:
            del model.to_device
            model.module.float()

    def filled(self, level: Tensor) -> Tensor:
        """(1, C, H, W): a picture of one color, 0..255 for each channel, as the network sees it."""
        one = level.float()[:, None, None].expand(self.view.shape)
        return self.model.spec.preprocess.normalize(one)[None].double()
