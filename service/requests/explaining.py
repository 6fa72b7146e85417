"""Query parameters of explanations and of looks inside a network.

Text in, the engine's own parameter objects out.
"""

from typing import Annotated

from fastapi import Depends, Query

from core.checks import require_choice
from core.errors import InvalidValue
from core.explain.methods import COMPARED, METHODS
from core.explain.objective import LayerObjective
from core.inspect.activations import Channels
from core.inspect.selection import Selection
from core.inspect.unit import Position
from core.models.structure.ports import At, Port
from core.render.overlay import Drawing, DrawingSize, Style
from core.render.tiles import Scaling

TargetQuery = Annotated[
    str | None,
    Query(
        max_length=200,
        description="The class explained: its index, or its label's exact text; the top "
        "prediction if left out.",
        examples=["tiger cat"],
    ),
]


async def drawing(
    style: Annotated[
        Style, Query(description="How a PNG shows the map.", examples=["overlay"])
    ] = "overlay",
    colormap: Annotated[
        str | None,
        Query(max_length=50, description="A matplotlib name.", examples=["inferno"]),
    ] = None,
    alpha: Annotated[
        float, Query(description="0 = the picture, 1 = the map alone.", examples=[0.5])
    ] = 0.5,
    size: Annotated[
        DrawingSize,
        Query(
            description="`model`: on the picture the model saw; `original`: on the whole one.",
            examples=["model"],
        ),
    ] = "model",
    mask_fraction: Annotated[
        float,
        Query(description="Share of the pixels that mask and cutout show.", examples=[0.1]),
    ] = 0.1,
) -> Drawing:
    """How a PNG is drawn."""
    return Drawing(style, colormap, alpha, size, mask_fraction)


AtQuery = Annotated[
    At,
    Query(
        description="Of `layer`: what leaves it (`output`), or what enters it (`input`).",
        examples=["output"],
    ),
]


def _require_layer(layer: str | None, **given: object) -> None:
    """Raise InvalidValue for what says nothing without a layer."""
    for name, value in given.items():
        if layer is None and value is not None:
            raise InvalidValue(name, value, "only together with layer")


async def layer_objective(
    layer: Annotated[
        str | None,
        Query(
            max_length=200,
            description="Explain what leaves this layer, instead of a class.",
            examples=["blocks.2"],
        ),
    ] = None,
    channel: Annotated[
        int | None, Query(description="Only this channel of the layer.", examples=[7])
    ] = None,
    row: Annotated[
        int | None, Query(description="Only this unit, with `col`.", examples=[14])
    ] = None,
    col: Annotated[
        int | None, Query(description="Only this unit, with `row`.", examples=[14])
    ] = None,
    at: AtQuery = "output",
) -> LayerObjective | None:
    """The part of a layer to explain; None = a class."""
    _require_layer(layer, channel=channel, row=row, col=col, at=at if at != "output" else None)
    return LayerObjective(layer, channel, row, col, at) if layer is not None else None


async def no_layer_objective() -> None:
    """For methods that explain classes only."""


async def methods(
    methods: Annotated[
        str,
        Query(
            max_length=200,
            description="Names separated by commas, of " + ", ".join(METHODS) + ".",
            examples=["saliency,grad-cam,occlusion"],
        ),
    ] = ",".join(COMPARED),
) -> list[object]:
    """The methods to compare, each with its defaults."""
    names = [name.strip() for name in methods.split(",")]
    for name in names:
        require_choice("methods", name, METHODS)
    if len(set(names)) < len(names):
        raise InvalidValue("methods", methods, "each method once")
    return [METHODS[name].parameters() for name in names]


LayerQuery = Annotated[
    str, Query(max_length=200, description="A layer's name.", examples=["conv_stem"])
]


async def port(layer: LayerQuery, at: AtQuery = "output") -> Port:
    """What leaves or enters a layer."""
    return Port(layer, at)


async def optional_port(
    layer: Annotated[
        str | None,
        Query(
            max_length=200,
            description="A layer's name. Left out: the features, which the network multiplies with "
            "weights to give the logits: mostly the input of its last linear layer.",
            examples=["blocks.3"],
        ),
    ] = None,
    at: AtQuery = "output",
) -> Port | None:
    """What leaves or enters a layer; None = the features."""
    _require_layer(layer, at=at if at != "output" else None)
    return Port(layer, at) if layer is not None else None


_Index = Annotated[int, Query(description="Counted from 0.", examples=[5])]
_ChannelsText = Annotated[
    str | None,
    Query(
        max_length=400,
        description="Only these, as numbers and ranges.",
        examples=["0-15,20"],
    ),
]
FilterScaleQuery = Annotated[
    Scaling,
    Query(
        description="In a picture: each filter on its own scale, or one for all.",
        examples=["each"],
    ),
]
MapScaleQuery = Annotated[
    Scaling,
    Query(
        description="In a picture: each map on its own scale, or one for the layer.",
        examples=["shared"],
    ),
]


async def selection(channels: _ChannelsText = None) -> Selection | None:
    """The filters picked; None = all."""
    return None if channels is None else Selection.parse(channels)


async def channels(
    channels: _ChannelsText = None,
    top: Annotated[
        int | None,
        Query(description="Only so many channels, of the largest mean.", examples=[16]),
    ] = None,
) -> Channels:
    """The channels picked, or the most active."""
    return Channels(None if channels is None else Selection.parse(channels), top)


async def position(layer: LayerQuery, channel: _Index, row: _Index, col: _Index) -> Position:
    """One unit of a convolution's output."""
    return Position(layer, channel, row, col)


DrawingDep = Annotated[Drawing, Depends(drawing)]
SelectionDep = Annotated[Selection | None, Depends(selection)]
ChannelsDep = Annotated[Channels, Depends(channels)]
PositionDep = Annotated[Position, Depends(position)]
PortDep = Annotated[Port, Depends(port)]
OptionalPortDep = Annotated[Port | None, Depends(optional_port)]
MethodsDep = Annotated[list[object], Depends(methods)]
