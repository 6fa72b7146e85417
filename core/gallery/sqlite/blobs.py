"""SQL that reads what hangs on one item, compared with its checksum."""

import hashlib
import sqlite3
from typing import Any

from core.errors import RecordDamaged
from core.gallery.distances import PIXEL_DIM
from core.gallery.sqlite import listing, sums
from core.gallery.sqlite.rows import to_pixels, to_vector
from core.types import FloatArray, ImageFile, Pixels


def vector(connection: sqlite3.Connection, collection: str, id: str) -> FloatArray:
    """(D,) float32, an item's vector.

    Raises:
        UnknownCollection, UnknownItem: there is none of that name or id.
        RecordDamaged: it is not what was written; as all below.
    """
    row = _row(connection, "features", "vectors USING (number)", collection, id)
    _require("vector", id, row["features"], row["vector_sum"], row["key"])
    if row["features"] is None or len(row["features"]) % 4:  # of an older version, without a sum
        raise RecordDamaged("vector", id, "it has another length")
    return to_vector(row["features"])


def pixels(connection: sqlite3.Connection, collection: str, id: str) -> Pixels | None:
    """(32, 32, 3) uint8, an item's pixels; None where the collection has no pixel space."""
    row = _row(connection, "pixels", "pixels USING (number)", collection, id)
    _require("pixels", id, row["pixels"], row["pixels_sum"], row["key"])
    if row["pixels"] is None:
        return None
    if len(row["pixels"]) != PIXEL_DIM:
        raise RecordDamaged("pixels", id, "they have another length")
    return to_pixels(row["pixels"])


def thumbnail(connection: sqlite3.Connection, collection: str, id: str) -> bytes:
    """An item's thumbnail, a JPEG file."""
    row = _row(connection, "thumbnail", "pictures USING (ordinal)", collection, id)
    _require("thumbnail", id, row["thumbnail"], row["thumbnail_sum"])
    content: bytes = row["thumbnail"] or b""
    return content


def original(connection: sqlite3.Connection, collection: str, id: str) -> ImageFile | None:
    """An item's picture as it was sent; None where originals are not kept."""
    row = _row(connection, "original", "pictures USING (ordinal)", collection, id, ", bits")
    content, known = row["original"], row["original_sum"]
    _require("original", id, content, known, row["bits"])
    if content is None:
        return None
    if known is None and hashlib.sha256(content).hexdigest() != row["sha256"]:
        raise RecordDamaged("original", id, "its SHA-256 is wrong")
    return ImageFile(content, row["bits"])


def _row(
    connection: sqlite3.Connection, blob: str, joined: str, collection: str, id: str, more: str = ""
) -> sqlite3.Row:
    """A blob that hangs on an item, its collection's key, and its sums; None = there is none."""
    ordinal = listing.item(connection, collection, id).ordinal
    query = (
        f"SELECT CAST({blob} AS BLOB) AS {blob}, items.collection AS key, sha256, "
        f"vector_sum, pixels_sum, thumbnail_sum, original_sum{more} "
        f"FROM items LEFT JOIN {joined} WHERE ordinal = ?"
    )
    row: sqlite3.Row = connection.execute(query, (ordinal,)).fetchone()
    return row


def _require(kind: str, id: str, content: Any, known: int | None, *beside: object) -> None:
    if known is None:  # none was stored, or by an older version
        return
    if content is None or sums.of_bytes(content, *beside) != known:
        raise RecordDamaged(kind, id, "its checksum is wrong")
