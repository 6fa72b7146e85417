"""Owns the answers about why: a map and what each method adds; arrays are serialised once."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from pydantic import Field

from core.explain.method import Method
from core.render.heat import Scale, scale_of
from core.types import Explanation, Judged
from service.schemas.base import Schema
from service.schemas.described import schema_of
from service.schemas.seeing import ImagePublic, PredictionPublic


class ScalePublic(Schema):
    """How the map is drawn: the values at the ends of the colour map. The map itself is raw."""

    low: float = Field(examples=[0.0])
    high: float = Field(description="Where `percentile` lies.", examples=[0.213])
    percentile: float = Field(description="Of the magnitudes that are not 0.", examples=[99.0])
    signed: bool = Field(description="Zero is the middle colour, -high to high.")


class ExplanationPublic(Schema):
    """A map (H, W) at the model's input size; larger = more important."""

    model: str = Field(examples=["efficientnet-lite0"])
    method: str = Field(examples=["occlusion"])
    target: PredictionPublic
    image: ImagePublic
    scale: ScalePublic
    map: list[list[float]]


class UnitPublic(Schema):
    """The part of a layer that was explained."""

    layer: str = Field(examples=["blocks.2"])
    channel: int | None = None
    row: int | None = None
    col: int | None = None
    at: str = Field(description="`input`: what enters the layer.", examples=["output"])
    value: float = Field(description="What is there.", examples=[1.37])


class FaithfulnessPublic(Schema):
    """Areas under the target's probability while pixels go or come in the map's order."""

    deletion: float = Field(description="Low is good.", examples=[0.11])
    insertion: float = Field(description="High is good.", examples=[0.62])


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
        "map": found.values,
    }


def compare_body(judged: Sequence[Judged]) -> dict[str, Any]:
    """What `ComparePublic` documents, with arrays left as they are."""
    first = judged[0].explanation
    return {
        "model": first.model,
        "target": asdict(first.target),
        "image": asdict(first.image),
        "methods": [
            {
                "method": each.explanation.method,
                "faithfulness": {"deletion": each.deletion, "insertion": each.insertion},
                "scale": _scale(scale_of(each.explanation.values)),
                "map": each.explanation.values,
            }
            for each in judged
        ],
    }


def _scale(scale: Scale) -> dict[str, Any]:
    return asdict(scale)
