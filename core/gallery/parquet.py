"""Export of a collection to a Parquet file, and import from one, through the `Gallery` protocol."""

import json
import logging
import os
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from core.errors import InvalidValue, QueueFull, RecordDamaged, UnknownCollection
from core.gallery.distances import PIXEL_DIM, PIXEL_SIDE
from core.gallery.gallery import Gallery
from core.gallery.limits import parse_metadata, require_id, require_label, require_name
from core.gallery.records import (
    METRICS,
    CollectionSpec,
    Item,
    NewItem,
    Put,
    StoredPrediction,
    Written,
)
from core.scratch import scratch
from core.types import ImageFile, Pixels

_log = logging.getLogger("seethrough")
_SPEC: Final = b"seethrough.collection"
_BITS: Final = "bits"
GROUP_ROWS: Final = 1024
GROUP_BYTES: Final = 32 * 2**20
"""Of files in one row group: it is held in memory, by whoever writes and by whoever reads."""
AT_ONCE: Final = 64  # writes on their way to the disk while a file is read
# Only data pages have a checksum, dictionaries have none; and few values but these come twice.
_WRITTEN: Final = {
    "compression": "zstd", "write_page_checksum": True, "use_dictionary": ["label", "class_label"],
}  # fmt: skip

Row = dict[str, Any]


def export_collection(
    gallery: Gallery,
    collection: str,
    file: Path,
    *,
    group_rows: int = GROUP_ROWS,
    group_bytes: int = GROUP_BYTES,
) -> int:
    """Write a collection: a row per sound item, its vector, its files where they are kept.

    Columns: id, label, metadata (JSON text), sha256, width, height, class_index, class_label,
    probability, created_at, vector (a list of D float32), pixels (32 x 32 x 3 bytes, or null),
    thumbnail (a JPEG file), original (the file as it was received, or null), bits (what was said of
    its samples, or null). What the collection is bound to is in the schema's metadata, as JSON.
    What is damaged is left out, and the log names it.

    Args:
        gallery: holds it.
        collection: its name.
        file: to write; it is there whole, or not at all.
        group_rows: most items in a row group.
        group_bytes: of files, after which a row group ends.

    Returns:
        Rows written.

    Raises:
        UnknownCollection: there is none of that name.
        OSError: the file cannot be written.
    """
    schema = _schema(gallery.collection(collection).spec)
    count = 0
    with scratch(file.absolute().parent) as folder:
        unfinished = folder / file.name
        with unfinished.open("wb") as out:
            with pq.ParquetWriter(out, schema, **_WRITTEN) as writer:
                for rows in _groups(gallery, collection, group_rows, group_bytes):
                    writer.write_table(pa.Table.from_pylist(rows, schema))
                    count += len(rows)
            os.fsync(out.fileno())
        unfinished.replace(file)
    return count


def import_collection(
    gallery: Gallery, file: Path, name: str | None = None, *, at_once: int = AT_ONCE
) -> int:
    """Read a file that `export_collection` wrote; no picture is embedded anew.

    Items of the same id are replaced. The collection is made if it is missing.

    Args:
        gallery: where to.
        file: to read.
        name: of the collection; None = as it was called.
        at_once: writes that may be on their way to the disk.

    Returns:
        Rows read.

    Raises:
        InvalidValue: the file is not such a one, or the collection there is of another network.
        StorageFull: there is no space on the disk; what was acknowledged stays.
    """
    with _opened(file) as table:
        spec = _spec(table.schema_arrow, file)
        spec = spec if name is None else replace(spec, name=require_name(name))
        there = _made(gallery, spec, file)
        waiting: deque[Future[Written]] = deque()
        count = 0
        for row in _rows(table, file, at_once):
            if len(waiting) == at_once:
                waiting.popleft().result()
            _write(gallery, Put(spec.name, _new_item(row, there), upsert=True), waiting)
            count += 1
        for future in waiting:
            future.result()
    return count


def _groups(
    gallery: Gallery, collection: str, group_rows: int, group_bytes: int
) -> Iterator[list[Row]]:
    """Every sound item's row, as many at a time as may be held in memory."""
    rows, size_bytes = list[Row](), 0
    for items, vectors in gallery.vectors(collection):
        for item, vector in zip(items, vectors, strict=True):
            try:
                rows.append(_row(gallery, collection, item, vector))
            except RecordDamaged as error:
                _log.warning("left out of the export: %s", error)
                continue
            size_bytes += len(rows[-1]["thumbnail"]) + len(rows[-1]["original"] or b"")
            if len(rows) == group_rows or size_bytes > group_bytes:
                yield rows
                rows, size_bytes = [], 0
    if rows:
        yield rows


def _rows(table: pq.ParquetFile, file: Path, at_once: int) -> Iterator[Row]:
    batches = table.iter_batches(at_once)
    while True:
        try:
            batch = next(batches)
        except StopIteration:
            return
        except (pa.ArrowException, OSError) as error:
            raise InvalidValue(
                "file", str(file), f"a file that is not damaged ({error})"
            ) from error
        yield from batch.to_pylist()


def _write(gallery: Gallery, put: Put, waiting: "deque[Future[Written]]") -> None:
    """Hand an item over; where it would be one too many, those before it come first."""
    while True:
        try:
            waiting.append(gallery.write(put))
            return
        except QueueFull:
            if not waiting:
                raise
            waiting.popleft().result()


_NEEDED: Final = (
    "id", "metadata", "sha256", "width", "height", "class_index", "class_label", "probability",
    "vector", "thumbnail",
)  # fmt: skip


def _schema(spec: CollectionSpec) -> pa.Schema:
    fields = {
        "id": pa.string(),
        "label": pa.string(),
        "metadata": pa.string(),
        "sha256": pa.string(),
        "width": pa.int32(),
        "height": pa.int32(),
        "class_index": pa.int32(),
        "class_label": pa.string(),
        "probability": pa.float64(),
        "created_at": pa.timestamp("us", tz="UTC"),
        "vector": pa.list_(pa.float32(), spec.dim),
        "pixels": pa.binary(),
        "thumbnail": pa.binary(),
        "original": pa.binary(),
        _BITS: pa.int32(),
    }
    return pa.schema(list(fields.items()), {_SPEC: json.dumps(asdict(spec)).encode()})


def _row(gallery: Gallery, collection: str, item: Item, vector: NDArray[np.float32]) -> Row:
    pixels = gallery.pixels(collection, item.id)
    original = gallery.original(collection, item.id)
    return {
        "id": item.id,
        "label": item.label,
        "metadata": json.dumps(item.metadata),
        "sha256": item.sha256,
        "width": item.width,
        "height": item.height,
        "class_index": item.prediction.class_index,
        "class_label": item.prediction.label,
        "probability": item.prediction.probability,
        "created_at": item.created_at,
        "vector": vector,
        "pixels": None if pixels is None else pixels.tobytes(),
        "thumbnail": gallery.thumbnail(collection, item.id),
        "original": None if original is None else original.content,
        _BITS: None if original is None else original.bits,
    }


def _new_item(row: Row, spec: CollectionSpec) -> NewItem:
    """The item of a row, which other programs may have written as well."""
    missing = sorted(name for name in _NEEDED if row[name] is None)
    if missing:
        raise InvalidValue(missing[0], None, f"a value in the row of {row['id']!r}")
    return NewItem(
        id=require_id(row["id"]),
        label=require_label(row["label"]),
        metadata=parse_metadata(row["metadata"]),
        sha256=row["sha256"],
        width=row["width"],
        height=row["height"],
        prediction=StoredPrediction(row["class_index"], row["class_label"], row["probability"]),
        vector=np.array(row["vector"], dtype=np.float32),
        pixels=_pixels(row["pixels"], row["id"]) if spec.pixel_space else None,
        thumbnail=row["thumbnail"],
        original=_original(row) if spec.keep_originals else None,
        created_at=row["created_at"],
    )


def _original(row: Row) -> ImageFile | None:
    return None if row["original"] is None else ImageFile(row["original"], row.get(_BITS))


def _pixels(content: bytes | None, id: str) -> Pixels:
    if content is None or len(content) != PIXEL_DIM:
        length = None if content is None else len(content)
        raise InvalidValue("pixels", length, f"{PIXEL_DIM} bytes in the row of {id!r}")
    return np.frombuffer(content, dtype=np.uint8).reshape(PIXEL_SIDE, PIXEL_SIDE, 3)


def _opened(file: Path) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(file, page_checksum_verification=True)
    except (pa.ArrowException, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # of the file system, not of what is in the file
        raise InvalidValue("file", str(file), "a Parquet file") from error


def _spec(schema: pa.Schema, file: Path) -> CollectionSpec:
    written = (schema.metadata or {}).get(_SPEC)
    if written is None:
        raise InvalidValue("file", str(file), "a file that `seethrough export` wrote")
    try:
        spec = CollectionSpec(**json.loads(written))
        today = _schema(spec)
        earlier = today.remove(today.get_field_index(_BITS))  # before anybody could say them
        known = spec.metric in METRICS and any(map(schema.equals, (today, earlier)))
        require_name(spec.name)
    except (TypeError, ValueError, pa.ArrowException) as error:
        raise InvalidValue("file", str(file), "a collection that this version knows") from error
    if not known:
        raise InvalidValue("file", str(file), "the columns that `seethrough export` writes")
    return spec


def _made(gallery: Gallery, spec: CollectionSpec, file: Path) -> CollectionSpec:
    """The collection as it is in the gallery: it takes vectors of the file's network and layer."""
    try:
        there = gallery.collection(spec.name).spec
    except UnknownCollection:
        return gallery.create(spec).result().spec
    for name in ("model", "digest", "layer", "at", "pool", "dim"):
        if getattr(there, name) != getattr(spec, name):
            raise InvalidValue(
                name,
                getattr(spec, name),
                f"{getattr(there, name)}, as the collection {spec.name!r} has it; {file} can go "
                "into a collection of another name",
            )
    for name in ("pixel_space", "keep_originals"):
        if getattr(there, name) and not getattr(spec, name):
            raise InvalidValue(name, False, f"True, as the collection {spec.name!r} has it")
    return there
