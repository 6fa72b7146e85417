"""Schemas of projections; points are serialized once."""

from datetime import datetime
from typing import Any, Final, Literal

import orjson
from pydantic import Field, create_model

from core.collections.projector import Placed, Progress
from core.projection.method import ProjectionMethod
from core.projection.methods import PROJECTION_METHODS, USUAL, every_answer, every_parameter
from core.projection.result import Result
from core.types import JobStatus
from service.schemas.base import AS_SENT, ParameterPublic, Schema, optional_fields, parameters_of
from service.schemas.neighbors import NeighborPublic
from service.schemas.seeing import ImagePublic

_STAMP = "2026-01-31T12:00:00.123456Z"
_AXES = ("x", "y", "z")


_Name: Any = Literal[tuple(PROJECTION_METHODS)]

ProjectionCreate: Final = create_model(
    "ProjectionCreate",
    __config__=AS_SENT,
    __doc__="How to lay a collection out. A method's own parameters are refused for the others.",
    method=(_Name, Field(examples=[USUAL])),
    sample=(
        int | None,
        Field(
            None,
            description="At most so many items, each label in proportion; all if left out.",
            examples=[5000],
        ),
    ),
    **optional_fields(every_parameter()),
)


class ProjectionMethodPublic(Schema):
    """A way to lay collections out."""

    name: str = Field(description="The `method` of a request.", examples=[USUAL])
    title: str = Field(examples=["t-SNE"])
    text: str = Field(
        description="Markdown.", examples=["Vectors that are near each other stay near."]
    )
    parameters: list[ParameterPublic]
    places: bool = Field(description="Whether new pictures can be placed in its maps.")

    @classmethod
    def of(cls, method: ProjectionMethod[Any]) -> "ProjectionMethodPublic":
        """A row of the list of methods."""
        return cls(
            name=method.name,
            title=method.title,
            text=method.text,
            parameters=parameters_of(method.parameters),
            places=method.placer is not None,
        )


class ProjectionMethodsPublic(Schema):
    """Every way to lay collections out."""

    methods: list[ProjectionMethodPublic]


class QualityPublic(Schema):
    """How far to trust a map."""

    trustworthiness: float = Field(
        description="0 to 1: how few strangers are among the 5 nearest in the map.",
        examples=[0.987],
    )
    knn_preservation: float = Field(
        description="0 to 1: how many of an item's nearest neighbors are still its nearest.",
        examples=[0.41],
    )
    neighbors: int = Field(description="Of how many neighbors that tells.", examples=[10])
    asked: int = Field(
        description="Items that trustworthiness was measured on: a sample above 20 000.",
        examples=[10_000],
    )


class ProjectionPublic(Schema):
    """A projection and how far it is."""

    id: str = Field(examples=["5f0c…"])
    collection: str = Field(examples=["cats"])
    status: JobStatus = Field(examples=["running"])
    progress: float = Field(description="0 to 1.", examples=[0.42])
    step: str = Field(description="What is being done.", examples=["optimization"])
    reason: str = Field(description="Why it failed; empty otherwise.", examples=[""])
    stale: bool = Field(description="Whether the collection has changed since it was read.")
    count: int = Field(description="Items in the map; 0 until it is known.", examples=[10_000])
    parameters: dict[str, Any] = Field(examples=[{"method": "tsne", "dims": 2, "seed": 0}])
    seq: int = Field(description="The collection's last change when it was read.", examples=[57])
    created_at: datetime = Field(examples=[_STAMP])
    ended_at: datetime | None = Field(examples=[_STAMP])

    @classmethod
    def of(cls, now: Progress) -> "ProjectionPublic":
        """The engine's record as clients see it."""
        stored = now.stored
        return cls(
            id=stored.id,
            collection=stored.collection,
            status=stored.status,
            progress=now.progress,
            step=now.text,
            reason=stored.reason,
            stale=now.stale,
            count=stored.count,
            parameters=dict(stored.parameters),
            seq=stored.seq,
            created_at=stored.created_at,
            ended_at=stored.ended_at,
        )


class PointPublic(Schema):
    """An item's place in a map."""

    id: str = Field(examples=["chelsea"])
    label: str | None = Field(description="When the map was made.", examples=["cat"])
    prediction: str = Field(description="Its most probable class then.", examples=["tiger cat"])
    preserved: float = Field(
        description="How many of its nearest neighbors are near it in the map, 0 to 1.",
        examples=[0.6],
    )
    x: float = Field(examples=[-3.1])
    y: float = Field(examples=[12.8])
    z: float | None = Field(None, description="In three dimensions only.", examples=[0.4])


ProjectionResultPublic: Final = create_model(
    "ProjectionResultPublic",
    __base__=ProjectionPublic,
    __doc__="A projection; the rest is there once it is done.",
    points=(list[PointPublic] | None, None),
    quality=(QualityPublic | None, None),
    **optional_fields(every_answer()),
)


class ProjectionsPublic(Schema):
    """Every projection of a collection, newest first."""

    projections: list[ProjectionPublic]


class PlacedNeighbor(NeighborPublic):
    """One of the nearest items, and where it is in the map."""

    x: float = Field(examples=[-3.1])
    y: float = Field(examples=[12.8])
    z: float | None = Field(None, examples=[0.4])


class PlacedPublic(Schema):
    """Where something new falls in a map, the rest staying put."""

    x: float = Field(examples=[-2.9])
    y: float = Field(examples=[12.1])
    z: float | None = Field(None, description="In three dimensions only.", examples=[0.5])
    nearest: list[PlacedNeighbor] = Field(
        description="Items of the map that are nearest to it in feature space."
    )
    image: ImagePublic | None = Field(None, description="If it was a picture.")

    @classmethod
    def of(cls, placed: Placed) -> "PlacedPublic":
        """The engine's result as clients see it."""
        near = [
            PlacedNeighbor(**NeighborPublic.of(neighbor).model_dump(), **_named(at.tolist()))
            for neighbor, at in placed.nearest
        ]
        image = None if placed.image is None else ImagePublic.model_validate(placed.image)
        return cls(**_named(placed.coordinates.tolist()), nearest=near, image=image)


def result_body(now: Progress, result: Result) -> dict[str, Any]:
    """`ProjectionResultPublic` of a map that is done, as plain values: it may be large."""
    rows = zip(
        result.ids,
        result.labels,
        result.predictions,
        result.preserved.tolist(),
        result.coordinates.tolist(),
        strict=True,
    )
    points = [
        {"id": id, "label": label, "prediction": prediction, "preserved": kept, **_named(at)}
        for id, label, prediction, kept, at in rows
    ]
    head: dict[str, Any] = orjson.loads(ProjectionPublic.of(now).model_dump_json())
    return {
        **head,
        "points": points,
        "quality": {
            "trustworthiness": result.trustworthiness,
            "knn_preservation": result.knn_preservation,
            "neighbors": result.neighbors,
            "asked": result.asked,
        },
        **dict.fromkeys(every_answer()),
        **result.extras,
    }


def event(now: Progress) -> bytes:
    """A server-sent event, named for the projection's status."""
    body = ProjectionPublic.of(now).model_dump_json()
    return f"event: {now.stored.status}\ndata: {body}\n\n".encode()


def _named(coordinates: list[float]) -> dict[str, float]:
    return dict(zip(_AXES, coordinates, strict=False))
