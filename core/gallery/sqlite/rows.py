"""Conversions between records and rows: times, JSON, vectors, pixels, ids."""

import json
import secrets
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
    "ordinal, id, items.number, label, sha256, width, height, class_index, class_label, "
    "probability, created_at, updated_at, version, metadata"
)

ITEM_WIDTH = len(ITEM_COLUMNS.split(","))

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
# Between the parts of `folded`; taken out of the parts and of what is looked for.
_SEPARATOR = "\x1f"


def collection_of(row: Sequence[Any]) -> Collection:
    """From `COLLECTION_COLUMNS`."""
    key, name, model, digest, layer, at, pool, dim, metric, pixels, originals, *rest = row
    spec = CollectionSpec(
        name, model, digest, layer, at, pool, dim, metric, bool(pixels), bool(originals)
    )
    count, seq, created_at = rest
    return Collection(key, spec, count, seq, to_time(created_at))


def spec_values(spec: CollectionSpec) -> tuple[Any, ...]:
    """From "name" to "keep_originals" of `COLLECTION_COLUMNS`."""
    return (
        spec.name, spec.model, spec.digest, spec.layer, spec.at, spec.pool, int(spec.dim),
        spec.metric, int(spec.pixel_space), int(spec.keep_originals),
    )  # fmt: skip


def item_of(row: Sequence[Any]) -> Item:
    """From `ITEM_COLUMNS`, or more columns that begin with them."""
    _, id, number, label, sha256, width, height, index, named, probability, *rest = row
    created_at, updated_at, version, metadata = rest[:4]
    return Item(
        id=id,
        number=number,
        label=label,
        metadata=json.loads(metadata),
        sha256=sha256,
        width=width,
        height=height,
        prediction=StoredPrediction(index, named, probability),
        created_at=to_time(created_at),
        updated_at=to_time(updated_at),
        version=version,
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


def from_vector(vector: FloatArray, dim: int) -> FloatArray:
    """(D,) float32, contiguous, little end first: its bytes are what is stored.

    Raises:
        InvalidValue: it has another shape, or is not finite.
    """
    array = np.ascontiguousarray(vector, dtype="<f4")
    if array.shape != (dim,):
        raise InvalidValue("vector", array.shape, f"the collection's vectors have shape ({dim},)")
    if not np.isfinite(array).all():
        raise InvalidValue("vector", "NaN or infinity", "finite numbers")
    return array


def from_pixels(pixels: Pixels | None) -> Pixels:
    """(32, 32, 3) uint8, contiguous.

    Raises:
        InvalidValue: there are none, or of another shape or type.
    """
    wanted = f"({PIXEL_SIDE}, {PIXEL_SIDE}, 3) uint8, as the collection has a pixel space"
    if pixels is None:
        raise InvalidValue("pixels", None, wanted)
    if pixels.shape != (PIXEL_SIDE, PIXEL_SIDE, 3) or pixels.dtype != np.uint8:
        raise InvalidValue("pixels", (pixels.shape, str(pixels.dtype)), wanted)
    return np.ascontiguousarray(pixels)


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


# Crockford's base 32 in lower case: in the order of the characters' codes, safe in a URL.
_DIGITS = "0123456789abcdefghjkmnpqrstvwxyz"
_RANDOM_BITS = 80
_LENGTH = 26  # of 5 bits: 48 of milliseconds, 80 random, 2 to spare


def new_id(now: datetime) -> str:
    """26 characters: the time first, so that ids sort by it, and 80 random bits.

    Source: the ULID specification, https://github.com/ulid/spec, in lower case.
    """
    value = from_time(now) // 1000 << _RANDOM_BITS | secrets.randbits(_RANDOM_BITS)
    return "".join(_DIGITS[value >> shift & 31] for shift in range(5 * (_LENGTH - 1), -1, -5))
