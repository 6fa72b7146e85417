"""Conversions between records and rows: times, JSON, vectors, pixels, ids."""

import json
import sqlite3
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from core.errors import InvalidValue, RecordDamaged
from core.gallery.distances import PIXEL_DIM, PIXEL_SIDE
from core.gallery.records import (
    Collection,
    CollectionSpec,
    Item,
    Space,
    StoredPrediction,
)
from core.gallery.sqlite import sums
from core.gallery.transaction import StoredItem
from core.types import FloatArray, Pixels

COLLECTION_COLUMNS = f"{', '.join(sums.OF_COLLECTION)}, sum"

ITEM_COLUMNS = f"ordinal, items.sum AS sum, {', '.join(f'items.{each}' for each in sums.SUMMED)}"

# A flipped bit of a row's head makes a blob a text of the same bytes, or a number.
BLOB_COLUMNS = (
    "CAST(features AS BLOB) AS features, CAST(pixels AS BLOB) AS pixels, "
    "CAST(thumbnail AS BLOB) AS thumbnail, CAST(original AS BLOB) AS original, bits"
)
BLOBS_JOINED = (
    "items LEFT JOIN vectors ON vectors.number = items.number "
    "LEFT JOIN pixels ON pixels.number = items.number LEFT JOIN pictures USING (ordinal)"
)

_TEXTS = ("id", "sha256", "class_label", "metadata")
_INTEGERS = ("number", "width", "height", "class_index", "created_at", "updated_at", "version")

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
# Between the parts of `folded`; taken out of the parts and of what is looked for.
_SEPARATOR = "\x1f"


def collection_of(row: sqlite3.Row) -> Collection:
    """From `COLLECTION_COLUMNS`.

    Raises:
        RecordDamaged: it is not what was written.
    """
    if row["sum"] not in (None, sums.of_collection(row)):
        raise RecordDamaged("collection", row["name"], "its checksum is wrong")
    try:
        return _collection(row)
    except (TypeError, ValueError, OverflowError) as error:  # a row without a sum
        raise RecordDamaged("collection", row["name"], str(error)) from error


def left_of_collection(row: sqlite3.Row, name: str) -> Collection:
    """Of a damaged row: its key, by which all that belongs to it can be removed."""
    spec = CollectionSpec(
        name=name, model="", digest="", layer="", at="", pool="", dim=0, metric="l2"
    )
    return Collection(key=row["key"], spec=spec, count=0, seq=0, created_at=_EPOCH)


def _collection(row: sqlite3.Row) -> Collection:
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


def wrong_with(row: sqlite3.Row) -> str:
    """Why a row, all of its columns, is not what was written; empty = it is."""
    values = dict(row)
    known = values.pop("sum")
    return "" if known in (None, sums.of_values(values)) else "its checksum is wrong"


class Unreadable(str):
    """Text of the database that is not UTF-8, as far as it can be read."""


def to_text(content: bytes) -> str:
    """Text of the database; a connection's own way fails where it is not UTF-8."""
    try:
        return content.decode()
    except UnicodeDecodeError:
        return Unreadable(content.decode(errors="replace"))


def item_of(row: sqlite3.Row) -> Item:
    """From `ITEM_COLUMNS`, other columns beside them or not; its sum is not worked out.

    Raises:
        RecordDamaged: it cannot be read, or was found damaged before.
    """
    return _read(_named(row))


def stored_of(row: sqlite3.Row) -> StoredItem:
    """From `ITEM_COLUMNS`: the item whose sum is right, or what is left of it."""
    values = _named(row)
    try:
        item = _read(values)
        if values["sum"] not in (None, sums.of_row(values)):
            raise RecordDamaged("item", item.id, "its checksum is wrong")
    except RecordDamaged as error:
        return StoredItem(values["ordinal"], _left_of(values), error.wrong)
    return StoredItem(values["ordinal"], item)


def _named(row: sqlite3.Row) -> Mapping[str, Any]:
    """The row as a mapping: it looks each name up by going through all of them."""
    return dict(zip(row.keys(), row, strict=True))


def _read(values: Mapping[str, Any]) -> Item:
    try:
        _require_readable(values)
        return _item(values, _object(values["metadata"]))
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise RecordDamaged("item", values["id"], str(error)) from error


def blob_sums(row: sqlite3.Row) -> Sequence[tuple[str, int | None, int | None]]:
    """Each blob's name, the sum that is stored, and the one it has; None = there is none.

    Args:
        row: of `ITEM_COLUMNS` and `BLOB_COLUMNS`.
    """
    key = row["collection"]
    blobs = (
        ("vector", row["features"], (key,)),
        ("pixels", row["pixels"], (key,)),
        ("thumbnail", row["thumbnail"], ()),
        ("original", row["original"], (row["bits"],)),
    )
    return tuple(
        (part, row[f"{part}_sum"], None if blob is None else sums.of_bytes(blob, *beside))
        for part, blob, beside in blobs
    )


def _require_readable(row: Mapping[str, Any]) -> None:
    if row["sum"] == sums.BAD:
        raise ValueError("its checksum is wrong")
    texts = [row[name] for name in _TEXTS]
    if row["label"] is not None:
        texts.append(row["label"])
    if {*map(type, texts)} != {str}:
        unreadable = any(isinstance(text, Unreadable) for text in texts)
        raise ValueError("it is not UTF-8" if unreadable else "it is no text")
    numbers = {*map(type, [row[name] for name in _INTEGERS])}
    if numbers != {int} or type(row["probability"]) is not float:
        raise ValueError("a value in it is no number")


def _object(text: str) -> dict[str, Any]:
    found = json.loads(text)
    if not isinstance(found, dict):
        raise ValueError("its metadata is no JSON object")
    return found


def _item(row: Mapping[str, Any], metadata: Mapping[str, Any]) -> Item:
    return Item(
        id=row["id"],
        number=row["number"],
        label=row["label"],
        metadata=metadata,
        sha256=row["sha256"],
        width=row["width"],
        height=row["height"],
        prediction=StoredPrediction(row["class_index"], row["class_label"], row["probability"]),
        created_at=to_time(row["created_at"]),
        updated_at=to_time(row["updated_at"]),
        version=row["version"],
    )


def _left_of(row: Mapping[str, Any]) -> Item:
    """Enough to remove a damaged item, or to put another in its place."""
    left: dict[str, Any] = {name: str(row[name]) for name in (*_TEXTS, "label")}
    left |= {name: row[name] if type(row[name]) is int else 0 for name in _INTEGERS}
    return _item(left | {"probability": 0.0, "created_at": 0, "updated_at": 0}, {})


def insert(
    connection: sqlite3.Connection, table: str, values: Mapping[str, Any], *, replace: bool = False
) -> int:
    """Add a row by its columns' names; answers its id.

    Args:
        connection: that may write.
        table: its name, a constant.
        values: by column.
        replace: a row of the same primary key goes first.
    """
    names, marks = ", ".join(values), ", ".join("?" * len(values))
    verb = "INSERT OR REPLACE" if replace else "INSERT"
    query = f"{verb} INTO {table} ({names}) VALUES ({marks})"
    return int(connection.execute(query, tuple(values.values())).lastrowid or 0)


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
        dim: D, of features.

    Returns:
        (n, D) float32; pixels (n, 3072) in 0..1.
    """
    joined = bytearray().join(blobs)
    if space == "pixels":
        bytes_ = np.frombuffer(joined, dtype=np.uint8).reshape(-1, PIXEL_DIM)
        return bytes_.astype(np.float32) / np.float32(255)
    return np.frombuffer(joined, dtype="<f4").reshape(len(blobs), dim)
