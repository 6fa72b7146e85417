"""Bring the rows of an index file up to the store, after checking a sample against it."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from core.gallery.index.file import FileUnusable, SavedIndex
from core.gallery.index.nearest import VectorSource
from core.gallery.index.snapshot import Snapshot
from core.gallery.records import Numbers

_FETCH = 1024
"""Vectors asked of the source at a time."""

_PROBES = 32
"""Vectors of a file that are compared with the source's."""


def caught_up(
    stored: SavedIndex,
    numbers: Numbers,
    codes: NDArray[np.int32],
    seq: int,
    source: VectorSource,
    too_many: Callable[[int], bool],
) -> Snapshot:
    """A file's rows without those that are gone, with those that are new, labeled as now.

    Args:
        numbers: (n,) ascending: all that is stored.
        codes: (n,) of their labels.
        seq: the last change in `numbers`.
        too_many: whether so many new rows are better not fetched one by one.

    Raises:
        FileUnusable: it does not fit to what is stored.
    """
    if stored.seq > seq:
        raise FileUnusable(f"it is of change {stored.seq}, stored is only {seq}")
    alive = np.isin(stored.numbers, numbers, assume_unique=True)
    missing = ~np.isin(numbers, stored.numbers, assume_unique=True)
    if missing.any() and len(alive) and numbers[missing][0] <= stored.numbers[-1]:
        raise FileUnusable("older vectors than its newest are missing in it")
    if too_many(int(missing.sum())):
        raise FileUnusable(f"{int(missing.sum())} vectors are missing in it")
    known = np.zeros(len(alive), dtype=np.int32)
    known[alive] = codes[~missing]
    now = Snapshot.of(seq, stored.numbers, alive, known, stored.tail, stored.base)
    _compare(now, source)
    return _with_missing(now, numbers[missing], codes[missing], source)


def _with_missing(
    now: Snapshot, numbers: Numbers, codes: NDArray[np.int32], source: VectorSource
) -> Snapshot:
    for start in range(0, len(numbers), _FETCH):
        found, rows = source.vectors_of(numbers[start : start + _FETCH])
        order = np.argsort(found)
        found, rows = found[order], rows[order]
        now = now.with_added(found, rows, codes[np.searchsorted(numbers, found)])
    return now


def _compare(now: Snapshot, source: VectorSource) -> None:
    """Some living rows against the source.

    Raises:
        FileUnusable: they are not the same.
    """
    living = now.living
    drawn = living[np.linspace(0, len(living) - 1, min(_PROBES, len(living))).astype(np.int64)]
    numbers, rows = source.vectors_of(drawn)
    positions = now.positions(numbers)
    in_tail = positions >= now.start
    same = np.array_equal(now.tail.rows(positions[in_tail] - now.start), rows[in_tail])
    if now.base is not None:
        same = same and now.base.holds(rows[~in_tail], positions[~in_tail])
    if not same or len(numbers) < len(drawn):
        raise FileUnusable("its vectors are not those that are stored")
