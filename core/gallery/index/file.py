"""The file of an index: written whole or not at all, checked before a byte is believed.

Magic, header (JSON), numbers, lists if there are any, the tail's vectors, CRC-32 of all before.
Lists are written as one segment, whatever they have in memory. Labels and removals are not in the
file: whoever opens it knows them better.
"""

import json
import os
import zlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO

import faiss
import numpy as np
from numpy.typing import NDArray

from core.gallery.index.flat import Flat
from core.gallery.index.lists import IvfIndex, Lists, Setting
from core.gallery.records import Metric, Numbers

_MAGIC = b"seethrough index"
_FORMAT = 1
_SIZE = 8
"""Bytes of the header's length."""
_PIECE_BYTES = 4 << 20


class FileUnusable(Exception):
    """The file is not an index that can be used here; says why."""


@dataclass(frozen=True, slots=True, eq=False)
class SavedIndex:
    """What was in a file.

    Attributes:
        numbers: (n,) int64, ascending: first the rows in lists, then the tail's.
    """

    seq: int
    numbers: Numbers
    tail: Flat
    base: Lists | None


def write(file: Path, stored: SavedIndex) -> None:
    """Put it in place of what is there, at once, and so that it survives a power cut.

    Raises:
        OSError: it could not be written; what is there stays.
    """
    draft = file.with_name(f"{file.name}.draft")
    try:
        with draft.open("wb") as out:
            crc = 0
            for piece in _pieces(stored):
                view = memoryview(piece).cast("B") if len(piece) else b""
                crc = zlib.crc32(view, crc)
                out.write(view)
            out.write(crc.to_bytes(4, "little"))
            out.flush()
            os.fsync(out.fileno())
        draft.replace(file)
    finally:
        draft.unlink(missing_ok=True)
    folder = os.open(file.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def read(file: Path, metric: Metric, dim: int) -> SavedIndex:
    """What `write` put there.

    Raises:
        FileUnusable: it is missing, damaged, or made by another version or for other vectors.
    """
    try:
        with file.open("rb") as source:
            _check(source)
            return _parsed(source, metric, dim)
    except FileNotFoundError:
        raise FileUnusable("it is missing") from None
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, MemoryError) as error:
        raise FileUnusable(f"it cannot be read: {error!r}") from error


def _pieces(stored: SavedIndex) -> Iterator[Any]:
    base = stored.base
    trained = b"" if base is None else faiss.serialize_index(base.template).tobytes()
    header = {
        "format": _FORMAT,
        "faiss": faiss.__version__,
        "dim": stored.tail.dim,
        "metric": stored.tail.metric,
        "seq": stored.seq,
        "rows": len(stored.numbers),
        "tail": stored.tail.count,
        "trained_bytes": len(trained),
        "built": base.built if base else 0,
        "settings": [asdict(setting) for setting in base.settings] if base else [],
    }
    text = json.dumps(header).encode()
    yield _MAGIC
    yield len(text).to_bytes(_SIZE, "little")
    yield text
    yield np.ascontiguousarray(stored.numbers)
    yield trained
    if base is not None:
        yield from _list_pieces(base)
    for block in stored.tail.filled():
        yield block.reshape(-1)


def _list_pieces(base: Lists) -> Iterator[Any]:
    segments = [segment.invlists for segment in base.segments]
    sizes = [[inverted.list_size(i) for inverted in segments] for i in range(base.nlist)]
    yield np.array([sum(row) for row in sizes], dtype=np.int64)
    for i, row in enumerate(sizes):
        for inverted, size in zip(segments, row, strict=True):
            yield _array(inverted.get_ids(i), size)
        for inverted, size in zip(segments, row, strict=True):
            yield _array(inverted.get_codes(i), size * inverted.code_size)


def _array(pointer: Any, count: int) -> NDArray[Any]:
    if not count:
        return np.empty(0, dtype=np.uint8)
    return np.asarray(faiss.rev_swig_ptr(pointer, count))


def _check(source: BinaryIO) -> None:
    """Leaves the file at its beginning."""
    size = os.fstat(source.fileno()).st_size
    if source.read(len(_MAGIC)) != _MAGIC:
        raise FileUnusable("it is no index")
    crc, left = zlib.crc32(_MAGIC), size - len(_MAGIC) - 4
    while left > 0 and (piece := source.read(min(left, _PIECE_BYTES))):
        crc, left = zlib.crc32(piece, crc), left - len(piece)
    if left or int.from_bytes(source.read(4), "little") != crc:
        raise FileUnusable("its checksum is wrong: it is damaged or was cut off")
    source.seek(0)


def _parsed(source: BinaryIO, metric: Metric, dim: int) -> SavedIndex:
    source.seek(len(_MAGIC))
    header = json.loads(source.read(int.from_bytes(source.read(_SIZE), "little")))
    here = {"format": _FORMAT, "faiss": faiss.__version__, "dim": dim, "metric": metric}
    for name, value in here.items():
        if header[name] != value:
            raise FileUnusable(f"its {name} is {header[name]!r}, here it is {value!r}")
    numbers = _take(source, header["rows"], np.int64)
    base = _lists(source, header, metric) if header["trained_bytes"] else None
    tail, left = Flat(metric, dim), header["tail"]
    while left:
        rows = _take(source, min(left, max(1, _PIECE_BYTES // (4 * dim))) * dim, np.float32)
        tail = tail.extended(rows.reshape(-1, dim))
        left -= len(rows) // dim
    return SavedIndex(header["seq"], numbers, tail, base)


def _take(source: BinaryIO, count: int, kind: Any) -> NDArray[Any]:
    values: NDArray[Any] = np.empty(count, dtype=kind)
    if count and source.readinto(values.view(np.uint8)) != values.nbytes:  # type: ignore[attr-defined]
        raise FileUnusable("it ends too soon")
    return values


def _lists(source: BinaryIO, header: dict[str, Any], metric: Metric) -> Lists:
    trained: IvfIndex = faiss.deserialize_index(_take(source, header["trained_bytes"], np.uint8))
    settings = tuple(Setting(**setting) for setting in header["settings"])
    lists = Lists(metric, trained, (), header["built"], settings)
    segment = lists.empty()
    for i, size in enumerate(_take(source, lists.nlist, np.int64).tolist()):
        ids = _take(source, size, np.int64)
        codes = _take(source, size * segment.code_size, np.uint8)
        if size:  # exactly as much memory as is needed
            segment.invlists.add_entries(i, size, faiss.swig_ptr(ids), faiss.swig_ptr(codes))
    segment.ntotal = header["rows"] - header["tail"]
    return Lists(metric, trained, (segment,), header["built"], settings)
