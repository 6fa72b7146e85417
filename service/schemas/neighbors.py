"""Schemas of neighbors."""

from typing import Any

from pydantic import Field

from core.collections.finder import Found
from core.gallery.queries import Neighbor
from core.gallery.records import (
    Metric,
    Space,
)
from service.schemas.base import Schema
from service.schemas.gallery import StoredPredictionPublic, prediction_of
from service.schemas.seeing import ImagePublic


class NeighborPublic(Schema):
    """One of the nearest items."""

    id: str = Field(examples=["chelsea"])
    distance: float = Field(description="By the collection's metric.", examples=[11.37])
    similarity: float = Field(
        description="1 = the same, towards 0 the farther: 1 - d / 2 for cosine, else 1 / (1 + d).",
        examples=[0.081],
    )
    label: str | None = Field(examples=["cat"])
    metadata: dict[str, Any]
    prediction: StoredPredictionPublic

    @classmethod
    def of(cls, neighbor: Neighbor) -> "NeighborPublic":
        """The engine's neighbor as clients see it."""
        item = neighbor.item
        return cls(
            id=item.id,
            distance=neighbor.distance,
            similarity=neighbor.similarity,
            label=item.label,
            metadata=dict(item.metadata),
            prediction=prediction_of(item.prediction),
        )


class NeighborsPublic(Schema):
    """The nearest items, nearest first, ties by id."""

    collection: str = Field(examples=["cats"])
    metric: Metric = Field(examples=["l2"])
    space: Space = Field(examples=["features"])
    exact: bool = Field(description="Whether no item can be nearer than those listed.")
    recall: float | None = Field(
        description="Of approximate answers: the share of true neighbors that this index finds, "
        "measured on queries like nothing that is stored; null for exact ones.",
        examples=[None],
    )
    seq: int = Field(description="The last change this answer has seen.", examples=[57])
    neighbors: list[NeighborPublic]
    image: ImagePublic | None = Field(None, description="The query, if it was a picture.")

    @classmethod
    def of(cls, found: Found) -> "NeighborsPublic":
        """The engine's result as clients see it."""
        near = found.neighbors
        return cls(
            collection=found.collection,
            metric=near.metric,
            space=near.space,
            exact=near.exact,
            recall=near.recall,
            seq=near.seq,
            neighbors=[NeighborPublic.of(each) for each in near.found],
            image=None if found.image is None else ImagePublic.model_validate(found.image),
        )
