"""Schemas of a network's inside; arrays are serialized once."""

from dataclasses import asdict
from typing import Any

from pydantic import Field

from core.compute.inspector import Inspection
from core.inspect.activations import Activations
from core.inspect.filters import Filters
from core.inspect.table import LayerTable
from core.inspect.unit import Unit
from service.schemas.base import Schema
from service.schemas.seeing import ImagePublic


class LayerPublic(Schema):
    """One run of one layer: a module that runs no other module."""

    name: str = Field(
        description="A layer that runs twice is listed twice.", examples=["blocks.0.0.conv_dw"]
    )
    type: str = Field(description="Class of the module.", examples=["Conv2d"])
    input_shape: list[int] = Field(description="Without the batch axis.", examples=[[32, 112, 112]])
    output_shape: list[int] = Field(
        description="Without the batch axis.", examples=[[32, 112, 112]]
    )
    parameters: int = Field(description="Numbers it has learned.", examples=[288])
    macs: int = Field(description="Multiply-adds for one picture.", examples=[3612672])
    has_filters: bool = Field(
        description="Whether it is a convolution, with filters to look at.", examples=[True]
    )
    follows: list[str] = Field(
        description="Layers whose output reaches it past no other layer, through additions and the "
        "like; `input` is the picture.",
        examples=[["bn1.act"]],
    )
    receptive_field: list[int] | None = Field(
        description="Height and width in pixels of what a position of its feature map depends on, "
        "where that is largest; null where there is no map, or where the way through the network "
        "was not followed (attention, upsampling).",
        examples=[[7, 7]],
    )
    kernel: list[int] | None = Field(
        description="Height and width of its window, where it has one.", examples=[[3, 3]]
    )
    stride: list[int] | None = Field(
        description="Where it has a window: vertical, horizontal.", examples=[[1, 1]]
    )
    padding: list[int] | str | None = Field(
        description="Where it has a window: at top and bottom, at left and right; or `same`, as "
        "much as makes the output as large as the input divided by the stride.",
        examples=[[1, 1], "same"],
    )
    dilation: list[int] | None = Field(
        description="Where it has a window: distance between its taps.", examples=[[1, 1]]
    )
    groups: int | None = Field(
        description="Of a convolution: groups of channels that do not see one another.",
        examples=[32],
    )
    channel_axis: int | None = Field(
        description="Where in `output_shape` its channels are: 0 in (C, h, w), last in (h, w, C) "
        "and in tokens (T, D); null where it puts out no such thing.",
        examples=[0],
    )


class TotalsPublic(Schema):
    """Sums over a network or a part of it."""

    parameters: int = Field(description="Each counted once.", examples=[4652008])
    macs: int = Field(description="Multiply-adds for one picture.", examples=[385187552])


class LayersPublic(Schema):
    """What a network is made of, in order of execution."""

    model: str = Field(examples=["efficientnet-lite0"])
    layers: list[LayerPublic]
    totals: TotalsPublic = Field(description="Of the whole network.")
    elsewhere: TotalsPublic = Field(
        description="The part of the totals that is in no layer of the list: what modules hold or "
        "run beside the layers inside them, such as attention's products or a class token."
    )

    @classmethod
    def of(cls, model: str, table: LayerTable) -> "LayersPublic":
        """The engine's table as clients see it."""
        return cls(
            model=model,
            layers=[LayerPublic.model_validate(row) for row in table.rows],
            totals=TotalsPublic.model_validate(table.totals),
            elsewhere=TotalsPublic.model_validate(table.elsewhere),
        )


class FilterPublic(Schema):
    """One filter in figures."""

    index: int = Field(examples=[0])
    min: float = Field(description="Smallest weight.", examples=[-0.412])
    max: float = Field(description="Largest weight.", examples=[0.537])
    norm: float = Field(description="Euclidean length of all its weights.", examples=[1.204])


class FiltersPublic(Schema):
    """The weights of a convolution in figures; the weights themselves are in the NumPy file."""

    model: str = Field(examples=["efficientnet-lite0"])
    layer: str = Field(examples=["conv_stem"])
    shape: list[int] = Field(
        description="Of all its weights: out, in / groups, height, width.", examples=[[32, 3, 3, 3]]
    )
    filters: list[FilterPublic]


class ChannelPublic(Schema):
    """One channel's activation in figures."""

    index: int = Field(examples=[17])
    mean: float = Field(description="Over positions or tokens.", examples=[0.83])
    max: float = Field(examples=[5.91])


class ActivationsPublic(Schema):
    """What leaves or enters a layer in figures; the values themselves are in the NumPy file."""

    model: str = Field(examples=["efficientnet-lite0"])
    layer: str = Field(examples=["bn1"])
    at: str = Field(description="`input`: what enters the layer.", examples=["output"])
    shape: list[int] = Field(
        description="Of all there is: (C, h, w) feature maps, also where the layer itself has them "
        "as (h, w, C); (D,) a vector, (T, D) tokens.",
        examples=[[32, 112, 112]],
    )
    channel_axis: int = Field(description="Where in that shape its channels are.", examples=[0])
    grid: list[int] | None = Field(
        description="Rows and columns of the maps or tokens; null where they form no grid.",
        examples=[[112, 112]],
    )
    extra_tokens: int = Field(
        description="Tokens before the first of the grid, such as a class token.", examples=[0]
    )
    channels: list[ChannelPublic] = Field(description="Those asked for.")
    most_active: list[ChannelPublic] = Field(
        description="Of all channels the 16 of the largest mean, most active first."
    )
    image: ImagePublic


class BoxPublic(Schema):
    """A window on the model's input in pixels; bottom and right are the first ones outside."""

    top: int = Field(examples=[66])
    left: int = Field(examples=[6])
    bottom: int = Field(examples=[73])
    right: int = Field(examples=[13])


class UnitArithmeticPublic(Schema):
    """One output of a convolution, taken apart."""

    model: str = Field(examples=["efficientnet-lite0"])
    layer: str = Field(examples=["conv_stem"])
    channel: int = Field(examples=[5])
    row: int = Field(examples=[40])
    col: int = Field(examples=[60])
    patch_shape: list[int] = Field(
        description="Of the layer's input under the filter: in / groups, height, width.",
        examples=[[3, 3, 3]],
    )
    filter_shape: list[int] = Field(description="The same.", examples=[[3, 3, 3]])
    per_input_channel: list[float] = Field(
        description="Products of patch and filter, summed per input channel.",
        examples=[[-0.0041, 0.2615, 0.0055]],
    )
    first_input_channel: int = Field(
        description="Of the layer, the first that the filter sees: above 0 only with groups.",
        examples=[0],
    )
    bias: float = Field(description="0 where the layer has none.", examples=[0.0])
    sum: float = Field(description="All products and the bias.", examples=[0.2629])
    value: float = Field(
        description="What the layer put out in the same forward.", examples=[0.2629]
    )
    receptive_field: BoxPublic = Field(description="Pixels the unit depends on.")
    receptive_field_followed: bool = Field(
        description="False where the way from the picture to the layer was not followed "
        "(attention, upsampling): the receptive field then is the whole picture, perhaps too much.",
        examples=[True],
    )
    image: ImagePublic


def filters_body(model: str, found: Filters) -> dict[str, Any]:
    """What `FiltersPublic` documents."""
    return {
        "model": model,
        "layer": found.layer,
        "shape": found.shape,
        "filters": [
            {"index": index, "min": low, "max": high, "norm": norm}
            for index, low, high, norm in zip(
                found.indices,
                found.weights.min((1, 2, 3)),
                found.weights.max((1, 2, 3)),
                found.norms,
                strict=True,
            )
        ],
    }


def activations_body(inspection: Inspection[Activations]) -> dict[str, Any]:
    """What `ActivationsPublic` documents."""
    found = inspection.found
    return {
        "model": inspection.model,
        "layer": found.port.layer,
        "at": found.port.at,
        "shape": found.shape,
        "channel_axis": found.axis,
        "grid": found.grid,
        "extra_tokens": found.extra,
        "channels": [
            {"index": index, "mean": mean, "max": largest}
            for index, mean, largest in zip(found.indices, found.means, found.maxima, strict=True)
        ],
        "most_active": [
            {"index": index, "mean": mean, "max": largest}
            for index, mean, largest in found.most_active
        ],
        "image": asdict(inspection.image),
    }


def unit_body(inspection: Inspection[Unit]) -> dict[str, Any]:
    """What `UnitArithmeticPublic` documents, with arrays left as they are."""
    found = inspection.found
    return {
        "model": inspection.model,
        **asdict(found.position),
        "patch_shape": found.patch.shape,
        "filter_shape": found.filter.shape,
        "per_input_channel": found.per_input_channel,
        "first_input_channel": found.first_input_channel,
        "bias": found.bias,
        "sum": found.sum,
        "value": found.value,
        "receptive_field": asdict(found.receptive_field),
        "receptive_field_followed": found.receptive_field_followed,
        "image": asdict(inspection.image),
    }
