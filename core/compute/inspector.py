"""`Inspector`: a network's layer table, filters, activations and units, in numbers or drawn."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Generic, TypeVar

import torch
from torch import Tensor

from core.compute.bridge import Bridge
from core.compute.call import Call
from core.compute.pictures import Picture, Pictures
from core.compute.served import Served
from core.compute.worker import Solo
from core.inspect.activations import Activations, Channels, activations
from core.inspect.filters import Filters, filters
from core.inspect.selection import Selection
from core.inspect.table import LayerTable, find_convolution, layer_table
from core.inspect.unit import Position, Unit, unit
from core.models.loaded import LoadedModel
from core.models.preprocess import to_pixels
from core.models.structure.layers import find_layer
from core.models.structure.ports import Port
from core.render.activations import draw_activations
from core.render.filters import draw_filters
from core.render.heat import png
from core.render.tiles import Scaling
from core.render.unit import draw_unit
from core.types import ImageFile, ImageSource, Pixels

T = TypeVar("T")

_SEED = 0


@dataclass(frozen=True, slots=True, eq=False)
class Inspection(Generic[T]):
    """What was found inside a network for one picture.

    Attributes:
        view: (H, W, 3) uint8, the picture the model saw.
    """

    model: str
    image: ImageSource
    view: Pixels
    found: T


Inside = Filters | Inspection[Activations] | Inspection[Unit]
"""What can be drawn."""


class Inspector:
    """Opens networks.

    Args:
        bridge: to the threads; only the worker's touches a model.
        models: those served.
        pictures: the way from files to inputs.
    """

    def __init__(self, bridge: Bridge, models: Served, pictures: Pictures) -> None:
        self._bridge = bridge
        self._models = models
        self._pictures = pictures
        self._tables: dict[str, LayerTable] = {}

    async def layers(self, model: str, call: Call) -> LayerTable:
        """What a model is made of, layer by layer in order of execution.

        Raises:
            UnknownModel, Unavailable, DeadlinePassed.
        """
        loaded = self._models.model(model)
        async with self._bridge.admitted(call):
            return await self._table(loaded, call)

    async def filters(
        self, model: str, layer: str, selection: Selection | None, call: Call
    ) -> Filters:
        """The weights of a convolution; all filters where none are selected.

        Raises:
            InvalidValue: the layer is not a convolution, or has no such filter.
            UnknownModel, UnknownLayer, Unavailable, DeadlinePassed.
        """
        loaded = self._models.model(model)
        async with self._bridge.admitted(call):
            return await self._run(partial(filters, loaded.module, layer, selection), call)

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
        loaded = self._models.model(model)
        find_layer(loaded.module, port.layer)
        async with self._bridge.admitted(call):
            picture = await self._pictures.look(file, loaded.spec.preprocess, call)
            found = await self._run(
                lambda: activations(
                    loaded.module, _batch(loaded, picture), port, loaded.known_axes, channels
                ),
                call,
            )
        return _inspection(loaded, picture, found)

    async def unit(
        self, file: ImageFile, position: Position, *, model: str | None = None, call: Call
    ) -> Inspection[Unit]:
        """The arithmetic of one output of a convolution.

        Raises:
            InvalidValue: the layer is not a convolution, or puts out no such unit.
            MethodUnsupported: the layer does more than a convolution.
            ImageRefused, UnknownModel, UnknownLayer, Unavailable, DeadlinePassed.
        """
        loaded = self._models.model(model)
        find_convolution(loaded.module, position.layer)
        async with self._bridge.admitted(call):
            table = await self._table(loaded, call)
            position.check(table.row(position.layer).output_shape)
            picture = await self._pictures.look(file, loaded.spec.preprocess, call)
            found = await self._run(
                lambda: unit(loaded.module, _batch(loaded, picture), table, position), call
            )
        return _inspection(loaded, picture, found)

    async def draw(self, found: Inside, scaling: Scaling, call: Call) -> bytes:
        """Filters, activations or a unit as a PNG file; a unit has no scaling to choose."""
        return await self._bridge.draw(lambda: png(_drawn(found, scaling)), call)

    async def _table(self, model: LoadedModel, call: Call) -> LayerTable:
        name = model.spec.name
        if name not in self._tables:
            self._tables[name] = await self._run(partial(_tabulated, model), call)
        return self._tables[name]

    async def _run(self, work: Callable[[], T], call: Call) -> T:
        found: T = await self._bridge.run(Solo(work), None, call)
        return found


def _inspection(model: LoadedModel, picture: Picture, found: T) -> Inspection[T]:
    return Inspection(model.spec.name, picture.source, to_pixels(picture.view), found)


def _batch(model: LoadedModel, picture: Picture) -> Tensor:
    """(1, C, H, W), where the model is."""
    return model.to_device(picture.row[None])


def _tabulated(model: LoadedModel) -> LayerTable:
    generator = torch.Generator().manual_seed(_SEED)
    example = torch.randn(1, *model.spec.input_shape, generator=generator)
    return layer_table(model.module, model.to_device(example), model.known_axes)


def _drawn(found: Inside, scaling: Scaling) -> Pixels:
    if isinstance(found, Filters):
        return draw_filters(found, scaling)
    if isinstance(found.found, Unit):
        return draw_unit(found.found, found.view)
    return draw_activations(found.found, scaling)
