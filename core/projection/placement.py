"""Place new vectors in a finished map, and keep what places them.

Nothing in the map moves, and each new vector is placed alone: the same with others or without,
bit for bit.
"""

import io
import zipfile
from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from core.projection.method import Placer
from core.projection.vectors import checked_vectors
from core.types import FloatArray

_VERSION: Final = 1


def place(placer: Placer, vectors: NDArray[np.floating]) -> FloatArray:
    """Where new vectors fall, each independently of the others.

    Args:
        placer: of the map.
        vectors: (m, D) finite.

    Returns:
        (m, dims) float32.

    Raises:
        ValueError: not (m, D) with the map's D, or a value is NaN or infinite.
    """
    rows = checked_vectors(vectors)
    if rows.shape[1] != placer.features:
        raise ValueError(f"vectors of {rows.shape[1]} values in a map of {placer.features}")
    return np.array([placer.place_one(row) for row in rows], dtype=np.float32)


def to_bytes(placer: Placer) -> bytes:
    """The placer as an npz archive of plain arrays: the same bytes for the same placer."""
    file = io.BytesIO()
    np.savez(file, version=_VERSION, **placer.arrays())
    return file.getvalue()


def from_bytes(content: bytes, make: Callable[[Mapping[str, Any]], Placer]) -> Placer:
    """The placer that `to_bytes` wrote; nothing in the bytes is run.

    Args:
        content: what it wrote.
        make: the method's `ProjectionMethod.placer`.

    Raises:
        ValueError: the bytes are damaged, or something else.
    """
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as archive:
            arrays = dict(archive)
        if int(arrays["version"]) != _VERSION:
            raise ValueError(f"version {arrays['version']}, expected {_VERSION}")
        return make(arrays)
    except (KeyError, TypeError, ValueError, EOFError, OSError, zipfile.BadZipFile) as error:
        raise ValueError(f"not a placement: {error}") from error
