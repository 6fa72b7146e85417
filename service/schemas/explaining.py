"""Schemas of explanations: a map and what each method adds; arrays are serialized once."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from pydantic import Field

from core.explain.method import Method
from core.render.heat import Scale, scale_of
from core.types import Explanation
from service.schemas.base import ParameterPublic, Schema, parameters_of, schema_of
from service.schemas.seeing import ImagePublic, PredictionPublic


class ScalePublic(Schema):
    """How the map is drawn: the values at the ends of the color map. The map itself is raw."""

    low: float = Field(examples=[0.0])
    high: float = Field(description="Where `percentile` lies.", examples=[0.213])
    percentile: float = Field(description="Of the magnitudes that are not 0.", examples=[99.0])
    signed: bool = Field(description="Zero is the middle color, -high to high.")


class FaithfulnessPublic(Schema):
    """Areas under the target's probability while pixels go or come in the map's order."""

    deletion: float = Field(description="Low is good.", examples=[0.11])
    insertion: float = Field(description="High is good.", examples=[0.62])


class ExplanationPublic(Schema):
    """A map (H, W) at the model's input size; larger = more important."""

    model: str = Field(examples=["efficientnet-lite0"])
    method: str = Field(examples=["occlusion"])
    target: PredictionPublic
    image: ImagePublic
    scale: ScalePublic
    faithfulness: FaithfulnessPublic | None = Field(
        default=None, description="Where it was asked for."
    )
    map: list[list[float]]


class UnitPublic(Schema):
    """The part of a layer that was explained."""

    layer: str = Field(examples=["blocks.2"])
    channel: int | None = None
    row: int | None = None
    col: int | None = None
    at: str = Field(description="`input`: what enters the layer.", examples=["output"])
    value: float = Field(description="What is there.", examples=[1.37])


class JudgedPublic(Schema):
    """One method's map and how far to trust it."""

    method: str = Field(examples=["saliency"])
    faithfulness: FaithfulnessPublic
    scale: ScalePublic
    map: list[list[float]]


class ComparePublic(Schema):
    """Several methods on one picture and one class."""

    model: str = Field(examples=["efficientnet-lite0"])
    target: PredictionPublic
    image: ImagePublic
    methods: list[JudgedPublic]


def answer_of(method: Method[Any]) -> type[Schema]:
    """What a method answers: a map, and what only this method has."""
    target: Any = PredictionPublic | UnitPublic
    more = {"target": (target, ...)} if method.layers else {}
    if method.answers is None:
        return ExplanationPublic
    return schema_of(method.answers, method.schema, ExplanationPublic, **more)


def explanation_body(found: Explanation) -> dict[str, Any]:
    """What `ExplanationPublic` and its kin document, with arrays left as they are."""
    return {
        "model": found.model,
        "method": found.method,
        "target": asdict(found.target),
        "image": asdict(found.image),
        "scale": _scale(scale_of(found.values)),
        **found.extras,
        **_faithfulness(found),
        "map": found.values,
    }


def compare_body(found: Sequence[Explanation]) -> dict[str, Any]:
    """What `ComparePublic` documents, with arrays left as they are."""
    first = found[0]
    return {
        "model": first.model,
        "target": asdict(first.target),
        "image": asdict(first.image),
        "methods": [
            {
                "method": each.method,
                **_faithfulness(each),
                "scale": _scale(scale_of(each.values)),
                "map": each.values,
            }
            for each in found
        ],
    }


def _faithfulness(found: Explanation) -> dict[str, Any]:
    return {} if found.faithfulness is None else {"faithfulness": asdict(found.faithfulness)}


def _scale(scale: Scale) -> dict[str, Any]:
    return asdict(scale)


class MethodPublic(Schema):
    """An explanation method."""

    name: str = Field(description="Of its endpoint.", examples=["smoothgrad"])
    title: str = Field(examples=["SmoothGrad"])
    text: str = Field(
        description="Markdown.", examples=["Saliency averaged over noisy copies of the picture."]
    )
    parameters: list[ParameterPublic]
    layers: bool = Field(description="Whether it also explains a part of a layer.")
    forwards: int = Field(
        description="About how many forwards it takes with its defaults.", examples=[78]
    )

    @classmethod
    def of(cls, method: Method[Any]) -> "MethodPublic":
        """A row of the list of methods."""
        return cls(
            name=method.name,
            title=method.title,
            text=method.text,
            parameters=parameters_of(method.parameters),
            layers=method.layers,
            forwards=method.forwards,
        )


class MethodsPublic(Schema):
    """Every explanation method; which apply to a network says its `explanations`."""

    methods: list[MethodPublic]
