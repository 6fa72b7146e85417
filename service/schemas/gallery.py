"""Schemas of collections, items and batches."""

from datetime import datetime
from typing import Any

from pydantic import BaseModel, Field

from core.collections.drafts import Stored
from core.errors import SeethroughError
from core.gallery.records import (
    UNSET,
    Collection,
    IfMatch,
    Item,
    Metric,
    Page,
    Patch,
    StoredPrediction,
    Written,
)
from core.models.structure.axes import Pool
from core.models.structure.ports import At
from service.errors import answer_of, problem_of
from service.schemas.base import AS_SENT, Schema
from service.schemas.problems import Problem
from service.schemas.seeing import ImagePublic

_STAMP = "2026-01-31T12:00:00.123456Z"


class CollectionCreate(BaseModel):
    """A collection to make."""

    model_config = AS_SENT

    name: str = Field(examples=["cats"])
    model: str | None = Field(
        None, description="The default one if left out.", examples=["efficientnet-lite0"]
    )
    layer: str | None = Field(
        None,
        description="Whose output is stored; if left out, the model's feature vector.",
        examples=[None],
    )
    at: At = Field(
        "output",
        description="Whether what leaves or what enters `layer` is stored.",
        examples=["output"],
    )
    pool: Pool = Field(
        "avg",
        description="How a convolutional layer's activation becomes a vector.",
        examples=["avg"],
    )
    metric: Metric = Field(
        "l2",
        description="Euclidean distance, sum of absolute differences, or 1 - cosine.",
        examples=["l2"],
    )
    pixel_space: bool = Field(
        False, description="Also keep 32 x 32 copies of the pictures, to compare pixels."
    )
    keep_originals: bool = Field(
        False, description="Also keep the files, so that they can be embedded anew."
    )


class LabelPublic(Schema):
    """A label and how many items have it."""

    label: str | None = Field(examples=["cat"])
    count: int = Field(examples=[12])


class CollectionPublic(Schema):
    """A collection, bound to one network's weights, a layer and a metric."""

    name: str = Field(examples=["cats"])
    model: str = Field(examples=["efficientnet-lite0"])
    digest: str = Field(description="Of the weights.", examples=["sha256:0a1b…"])
    layer: str = Field(examples=["classifier"])
    at: str = Field(
        description="Whether the vectors enter (`input`) or leave (`output`) that layer, or are "
        "multiplied with weights in its forward (`product`).",
        examples=["input"],
    )
    pool: str = Field(examples=["avg"])
    dim: int = Field(examples=[1280])
    metric: Metric = Field(examples=["l2"])
    pixel_space: bool
    keep_originals: bool
    count: int = Field(description="Items in it.", examples=[42])
    seq: int = Field(description="Number of the last change to it.", examples=[57])
    created_at: datetime = Field(examples=[_STAMP])
    labels: list[LabelPublic] | None = Field(
        None, description="Only where one collection is asked for; most frequent first."
    )

    @classmethod
    def of(
        cls, collection: Collection, labels: list[tuple[str | None, int]] | None = None
    ) -> "CollectionPublic":
        """The engine's record as clients see it."""
        spec = collection.spec
        return cls(
            **{name: getattr(spec, name) for name in spec.__slots__},
            count=collection.count,
            seq=collection.seq,
            created_at=collection.created_at,
            labels=None
            if labels is None
            else [LabelPublic(label=label, count=count) for label, count in labels],
        )


class CollectionsPublic(Schema):
    """Every collection, by name."""

    collections: list[CollectionPublic]


class StoredPredictionPublic(Schema):
    """The most probable class when the picture was stored."""

    class_index: int = Field(examples=[282])
    label: str = Field(examples=["tiger cat"])
    probability: float = Field(examples=[0.4127])


class ItemPublic(Schema):
    """A stored picture."""

    id: str = Field(examples=["chelsea"])
    label: str | None = Field(description="The caller's own.", examples=["cat"])
    metadata: dict[str, Any] = Field(examples=[{"source": "scikit-image"}])
    sha256: str = Field(description="Of the file.", examples=["9d8c3a…"])
    width: int = Field(description="Pixels, upright.", examples=[451])
    height: int = Field(description="Pixels, upright.", examples=[300])
    prediction: StoredPredictionPublic
    created_at: datetime = Field(examples=[_STAMP])
    updated_at: datetime = Field(examples=[_STAMP])
    version: int = Field(description="Also the ETag, in quotes.", examples=[57])

    @classmethod
    def of(cls, item: Item) -> "ItemPublic":
        """The engine's record as clients see it."""
        return cls(**_item_fields(item))


def _item_fields(item: Item) -> dict[str, Any]:
    return {
        "id": item.id,
        "label": item.label,
        "metadata": dict(item.metadata),
        "sha256": item.sha256,
        "width": item.width,
        "height": item.height,
        "prediction": prediction_of(item.prediction),
        "created_at": item.created_at,
        "updated_at": item.updated_at,
        "version": item.version,
    }


def prediction_of(prediction: StoredPrediction) -> StoredPredictionPublic:
    """The most probable class of a stored picture."""
    return StoredPredictionPublic.model_validate(prediction)


class ItemStored(ItemPublic):
    """An item that is on disk, and the picture as it was received."""

    collection: str = Field(examples=["cats"])
    seq: int = Field(
        description="Number of the change: ask with `min_seq` of this and you see it.",
        examples=[57],
    )
    image: ImagePublic

    @classmethod
    def stored(cls, collection: str, stored: Stored) -> "ItemStored":
        """What became of a picture."""
        return cls(
            **_item_fields(stored.written.item),
            collection=collection,
            seq=stored.written.seq,
            image=ImagePublic.model_validate(stored.image),
        )


class ItemPatch(BaseModel):
    """What to change of an item; what is left out stays."""

    model_config = AS_SENT

    label: str | None = Field(None, description="null takes the label away.", examples=["dog"])
    metadata: dict[str, Any] = Field({}, description="Replaces all of it.", examples=[{"x": 1}])

    def patch(self, collection: str, id: str, if_match: IfMatch | None) -> Patch:
        """What the engine is asked for."""
        given = self.model_fields_set
        return Patch(
            collection,
            id,
            label=self.label if "label" in given else UNSET,
            metadata=self.metadata if "metadata" in given else UNSET,
            if_match=if_match,
        )


class ItemsPublic(Schema):
    """A page of items, in the order in which they were stored."""

    items: list[ItemPublic]
    next_cursor: str | None = Field(description="Of the next page; null = this is the last.")
    total: int = Field(description="Items that match, on all pages.", examples=[42])

    @classmethod
    def of(cls, page: Page) -> "ItemsPublic":
        """The engine's page as clients see it."""
        items = [ItemPublic.of(item) for item in page.items]
        return cls(items=items, next_cursor=page.next_cursor, total=page.total)


class BatchLine(Schema):
    """What became of one of many pictures; one line of the answer."""

    index: int = Field(description="Counted from 0, in the order sent.", examples=[0])
    name: str | None = Field(None, description="The file's name, if it was sent.")
    status: int = Field(description="The status it would have had alone.", examples=[201])
    item: ItemStored | None = None
    problem: Problem | None = None

    @classmethod
    def of(
        cls, index: int, name: str | None, collection: str, result: Stored | SeethroughError
    ) -> "BatchLine":
        """One picture's result, good or bad."""
        if isinstance(result, SeethroughError):
            problem = Problem.model_validate(problem_of(result))
            status = answer_of(result).status
            return cls(index=index, name=name, status=status, problem=problem)
        return cls(
            index=index,
            name=name,
            status=status_of(result.written),
            item=ItemStored.stored(collection, result),
        )


def status_of(written: Written) -> int:
    """201 for a new item, 200 for one that was replaced."""
    return 201 if written.created else 200


class VectorPublic(Schema):
    """An item's vector."""

    id: str = Field(examples=["chelsea"])
    dim: int = Field(examples=[1280])
    vector: list[float]


def line_components() -> dict[str, Any]:
    """The schema of a line of a batch's answer, which FastAPI does not see, and all it needs."""
    line = BatchLine.model_json_schema(
        ref_template="#/components/schemas/{model}", mode="serialization"
    )
    return {**line.pop("$defs"), "BatchLine": line}
