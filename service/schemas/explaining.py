"""Owns the answers about why: a map and what each method adds; arrays are serialised once."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from pydantic import Field

from core.render.heat import Scale, scale_of
from core.types import Explanation, Judged
from service.schemas.base import Schema
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


class GridPublic(Schema):
    """Where occlusion windows lie, in pixels of the model's input."""

    rows: int = Field(examples=[13])
    cols: int = Field(examples=[13])
    window: list[int] = Field(description="Height, width.")
    stride: list[int] = Field(description="Vertical, horizontal.")
    fill: str = Field(examples=["mean"])
    tops: list[int]
    lefts: list[int]


class CheckPublic(Schema):
    """How windows were run, and how that compared with running the network in full."""

    incremental: bool = Field(description="Only what a window changes was computed.")
    positions: int = Field(description="Windows that were run both ways.", examples=[3])
    max_difference: float = Field(
        description="Largest difference of any class's probability.", examples=[3e-7]
    )


class OcclusionPublic(ExplanationPublic):
    """The map is the drop of the target's probability, averaged where windows overlap."""

    grid: GridPublic
    mode: str = Field(examples=["exact"])
    score_map: list[list[float]] = Field(
        description="The target's probability with that window hidden, rows x cols."
    )
    class_map: list[list[int]] = Field(
        description="The class predicted with that window hidden, rows x cols."
    )
    labels: dict[str, str] = Field(description="Text of the classes in `class_map`.")
    baseline: float = Field(description="With nothing hidden.", examples=[0.9533])
    forwards: int = Field(description="Pictures the network was run on.", examples=[170])
    check: CheckPublic


class UnitPublic(Schema):
    """The part of a layer that was explained."""

    layer: str = Field(examples=["blocks.2"])
    channel: int | None = None
    row: int | None = None
    col: int | None = None
    at: str = Field(description="`input`: what enters the layer.", examples=["output"])
    value: float = Field(description="What is there.", examples=[1.37])


class CoveragePublic(Schema):
    """How many activations were guided on the way back."""

    guided: int = Field(examples=[33])
    unguided: dict[str, int] = Field(
        description="How many were not, by their kind; where fewer than half are guided, the map "
        "is refused.",
        examples=[{}],
    )
    rule: str = Field(examples=["guided"])


class GuidedPublic(ExplanationPublic):
    """The gradient, with the backward pass of every ReLU guided."""

    target: PredictionPublic | UnitPublic  # type: ignore[assignment]
    coverage: CoveragePublic


class IntegratedPublic(ExplanationPublic):
    """The values of the map add up to `logit_difference`, up to `completeness_error`."""

    completeness_error: float = Field(
        description="|sum of the map - logit_difference|, in units of the logit.", examples=[0.04]
    )
    logit_difference: float = Field(
        description="The target's logit for the picture minus that for the baseline.",
        examples=[8.1],
    )


class GradCamPublic(ExplanationPublic):
    """Feature maps of one layer that speak for the target."""

    layer: str = Field(
        description="Where the feature maps are; of branches, all names.", examples=["bn2"]
    )
    at: str = Field(description="`input`: what enters the layer.", examples=["output"])
    cells: list[int] = Field(description="Height and width of the layer's feature maps.")


class SmoothGradPublic(ExplanationPublic):
    """The gradient, averaged over noisy copies."""

    samples: int = Field(examples=[25])
    noise: float = Field(examples=[0.15])
    seed: int = Field(examples=[0])


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
