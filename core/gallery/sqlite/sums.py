"""Checksums of what is stored: of blobs, and of rows by their columns' names."""

import zlib
from collections.abc import Mapping, Sequence
from typing import Any, Final

BAD: Final = -1
"""Stands for the sum of a row that was found damaged; no sum is negative."""

SUMMED: Final = (
    "collection", "id", "number", "label", "folded", "sha256", "width", "height", "class_index",
    "class_label", "probability", "created_at", "updated_at", "version", "metadata",
    "vector_sum", "pixels_sum", "thumbnail_sum", "original_sum",
)  # fmt: skip
"""Columns of `items` that `sum` is of; whoever changes them sets the old sums to NULL."""


OF_COLLECTION: Final = (
    "key", "name", "model", "digest", "layer", "at", "pool", "dim", "metric", "pixel_space",
    "keep_originals", "count", "seq", "created_at",
)  # fmt: skip
"""Columns of `collections` that `sum` is of."""


def of_bytes(content: Any, *context: object) -> int:
    """Of a blob, and of what stands beside it; any one byte that changes changes it.

    Args:
        content: bytes, or an array's memory.
        context: values that are not stored in the blob but belong to it.
    """
    return zlib.crc32(content, zlib.crc32(repr(context).encode()))


def of_row(row: Any) -> int:
    """Of an item's row, as the database answers it."""
    return _of(row, SUMMED)


def of_collection(row: Any) -> int:
    """Of a collection's row."""
    return _of(row, OF_COLLECTION)


def of_values(values: Mapping[str, Any]) -> int:
    """Of a row about to be written, `sum` not among its values; None is like no value."""
    given = sorted((name, value) for name, value in values.items() if value is not None)
    return zlib.crc32(repr(given).encode(errors="surrogatepass"))


def _of(row: Any, names: Sequence[str]) -> int:
    return zlib.crc32(repr([row[name] for name in names]).encode(errors="surrogatepass"))
