"""Owns the query parameters of explanations and of looks inside a network.

Text in, the engine's own parameter objects out.
"""

from typing import Annotated

from fastapi import Depends, Query

from core.checks import require_choice
from core.errors import InvalidValue
from core.explain.cam import GradCam
from core.explain.fill import Fill
from core.explain.gradients import GuidedBackprop, Reduce, Saliency
from core.explain.objective import LayerObjective
from core.explain.occlusion import Mode, Occlusion, parse_extent
from core.explain.path import IntegratedGradients, SmoothGrad
from core.explain.plan import METHODS, Method
from core.explain.relu import Rule
from core.inspect.activations import Channels
from core.inspect.selection import Selection
from core.inspect.unit import Position
from core.models.structure.ports import At, Port
from core.render.heat import Drawing, Size, Style
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
_Reduce = Annotated[
    Reduce,
    Query(description="Over colour channels: largest magnitude, length, sum.", examples=["max"]),
]
_Signed = Annotated[bool, Query(description="Keep the sign.", examples=[False])]


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
        Size,
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


async def occlusion(
    window: Annotated[
        str | None,
        Query(
            max_length=20,
            description="Pixels, or HxW; if left out 32, or a seventh of the shorter side where "
            "that is less.",
            examples=["32"],
        ),
    ] = None,
    stride: Annotated[
        str | None,
        Query(
            max_length=20,
            description="Pixels, or HxW; if left out 16, or half of the window where that is less.",
            examples=["16"],
        ),
    ] = None,
    fill: Annotated[
        Fill, Query(description="What stands in for hidden pixels.", examples=["mean"])
    ] = "mean",
    mode: Annotated[
        Mode,
        Query(
            description="Every window, or a coarse half and where it matters.", examples=["exact"]
        ),
    ] = "exact",
) -> Occlusion:
    """Occlusion's parameters."""
    return Occlusion(_extent("window", window), _extent("stride", stride), fill, mode)


def _extent(name: str, text: str | None) -> tuple[int, int] | None:
    return None if text is None else parse_extent(name, text)


async def saliency(reduce: _Reduce = "max", signed: _Signed = False) -> Saliency:
    """Saliency's parameters."""
    return Saliency(reduce, signed)


async def guided_backprop(
    reduce: _Reduce = "max",
    signed: _Signed = False,
    rule: Annotated[
        Rule,
        Query(
            description="`guided` for the ReLU family; `clamp-grad` also for GELU, SiLU ...",
            examples=["guided"],
        ),
    ] = "guided",
) -> GuidedBackprop:
    """Guided backpropagation's parameters."""
    return GuidedBackprop(reduce, signed, rule)


async def smoothgrad(
    reduce: _Reduce = "max",
    signed: _Signed = False,
    samples: Annotated[int, Query(description="Noisy copies, 1 to 500.", examples=[25])] = 25,
    noise: Annotated[
        float, Query(description="Share of the input's range, 0 to 1.", examples=[0.15])
    ] = 0.15,
    seed: Annotated[int, Query(description="Of the noise.", examples=[0])] = 0,
) -> SmoothGrad:
    """SmoothGrad's parameters."""
    return SmoothGrad(reduce, signed, samples, noise, seed)


async def integrated_gradients(
    steps: Annotated[int, Query(description="Gauss-Legendre nodes, 1 to 500.", examples=[32])] = 32,
    baseline: Annotated[
        Fill, Query(description="What stands for no picture.", examples=["black"])
    ] = "black",
) -> IntegratedGradients:
    """Integrated gradients' parameters."""
    return IntegratedGradients(steps, baseline)


AtQuery = Annotated[
    At,
    Query(description="Of `layer`: what leaves it (`output`), or what enters it (`input`)."),
]


async def grad_cam(
    layer: Annotated[
        str | None,
        Query(
            max_length=200,
            description="A layer with feature maps, or tokens in a grid; if left out, the last "
            "that all the network's answer comes of.",
            examples=["bn2"],
        ),
    ] = None,
    at: AtQuery = "output",
) -> GradCam:
    """Grad-CAM's parameters."""
    _require_layer(layer, at=at if at != "output" else None)
    return GradCam(layer, at)


def _require_layer(layer: str | None, **given: object) -> None:
    """Raise InvalidValue for what says nothing without a layer."""
    for name, value in given.items():
        if layer is None and value is not None:
            raise InvalidValue(name, value, "only together with layer")


async def part(
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


async def methods(
    methods: Annotated[
        str,
        Query(
            max_length=200,
            description="Names separated by commas, of " + ", ".join(METHODS) + ".",
            examples=["saliency,grad-cam,occlusion"],
        ),
    ] = "saliency,integrated-gradients,grad-cam,occlusion",
) -> list[Method]:
    """The methods to compare, each with its defaults."""
    names = [name.strip() for name in methods.split(",")]
    for name in names:
        require_choice("methods", name, METHODS)
    if len(set(names)) < len(names):
        raise InvalidValue("methods", methods, "each method once")
    return [METHODS[name]() for name in names]


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
    Query(description="In a picture: each filter on its own scale, or one for all."),
]
MapScaleQuery = Annotated[
    Scaling,
    Query(description="In a picture: each map on its own scale, or one for the layer."),
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
PartDep = Annotated[LayerObjective | None, Depends(part)]
MethodsDep = Annotated[list[Method], Depends(methods)]
OcclusionDep = Annotated[Occlusion, Depends(occlusion)]
SaliencyDep = Annotated[Saliency, Depends(saliency)]
GuidedDep = Annotated[GuidedBackprop, Depends(guided_backprop)]
SmoothGradDep = Annotated[SmoothGrad, Depends(smoothgrad)]
IntegratedDep = Annotated[IntegratedGradients, Depends(integrated_gradients)]
GradCamDep = Annotated[GradCam, Depends(grad_cam)]
