"""Conversions between records and rows: times, JSON, vectors, pixels, ids."""

import json
import sqlite3
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from core.errors import InvalidValue
from core.gallery.distances import PIXEL_DIM, PIXEL_SIDE
from core.gallery.records import (
    Collection,
    CollectionSpec,
    Item,
    Space,
    StoredPrediction,
)
from core.types import FloatArray, Pixels

COLLECTION_COLUMNS = (
    "key, name, model, digest, layer, at, pool, dim, metric, pixel_space, keep_originals, "
    "count, seq, created_at"
)

ITEM_COLUMNS = (
    "ordinal, id, items.number AS number, label, sha256, width, height, class_index, class_label, "
    "probability, created_at, updated_at, version, metadata"
)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
# Between the parts of `folded`; taken out of the parts and of what is looked for.
_SEPARATOR = "\x1f"


def collection_of(row: sqlite3.Row) -> Collection:
    """From `COLLECTION_COLUMNS`."""
    return Collection(
        key=row["key"],
        spec=CollectionSpec(
            name=row["name"],
            model=row["model"],
            digest=row["digest"],
            layer=row["layer"],
            at=row["at"],
            pool=row["pool"],
            dim=row["dim"],
            metric=row["metric"],
            pixel_space=bool(row["pixel_space"]),
            keep_originals=bool(row["keep_originals"]),
        ),
        count=row["count"],
        seq=row["seq"],
        created_at=to_time(row["created_at"]),
    )


def item_of(row: sqlite3.Row) -> Item:
    """From `ITEM_COLUMNS`, other columns beside them or not."""
    return Item(
        id=row["id"],
        number=row["number"],
        label=row["label"],
        metadata=json.loads(row["metadata"]),
        sha256=row["sha256"],
        width=row["width"],
        height=row["height"],
        prediction=StoredPrediction(row["class_index"], row["class_label"], row["probability"]),
        created_at=to_time(row["created_at"]),
        updated_at=to_time(row["updated_at"]),
        version=row["version"],
    )


def from_time(time: datetime) -> int:
    """Microseconds since 1970."""
    return (time - _EPOCH) // _MICROSECOND


def to_time(microseconds: int) -> datetime:
    """With UTC as its zone."""
    return _EPOCH + microseconds * _MICROSECOND


def from_metadata(metadata: Mapping[str, Any]) -> str:
    """JSON.

    Raises:
        InvalidValue: JSON cannot say it.
    """
    try:
        return json.dumps(dict(metadata), separators=(",", ":"), allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidValue("metadata", metadata, f"a JSON object ({error})") from error


def fold(text: str) -> str:
    """The same for texts that differ in case only."""
    return text.casefold().replace(_SEPARATOR, " ")


def folded(*parts: str | None) -> str:
    """What a listing's `text` is looked for in; it never matches across two parts."""
    return _SEPARATOR.join(fold(part) for part in parts if part is not None)


def to_vector(blob: bytes) -> FloatArray:
    """(D,) float32, one's own to change."""
    return np.frombuffer(bytearray(blob), dtype="<f4")


def to_pixels(blob: bytes) -> Pixels:
    """(32, 32, 3) uint8, one's own to change."""
    return np.frombuffer(bytearray(blob), dtype=np.uint8).reshape(PIXEL_SIDE, PIXEL_SIDE, 3)


def to_matrix(blobs: Sequence[bytes], space: Space, dim: int) -> FloatArray:
    """Rows of `vectors` or of `pixels`, stacked.

    Args:
        dim: D, for the shape of no rows at all.

    Returns:
        (n, D) float32; pixels (n, 3072) in 0..1.
    """
    joined = bytearray().join(blobs)
    if space == "pixels":
        bytes_ = np.frombuffer(joined, dtype=np.uint8).reshape(-1, PIXEL_DIM)
        return bytes_.astype(np.float32) / np.float32(255)
    width = len(blobs[0]) // 4 if blobs else dim
    return np.frombuffer(joined, dtype="<f4").reshape(len(blobs), width)
