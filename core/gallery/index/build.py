"""Build an index's rows from the source, block by block: flat, or in lists.

What is removed while it reads is left out or found dead later; what is added is not its business.
"""

import math
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from core.gallery.gallery import Tick
from core.gallery.index.flat import Flat
from core.gallery.index.lists import Lists, prepared, trained
from core.gallery.index.nearest import VectorSource
from core.gallery.index.options import IndexOptions
from core.gallery.index.snapshot import Snapshot
from core.gallery.index.tuning import DEPTHS, Truth, measured
from core.gallery.records import Metric, Numbers
from core.types import FloatArray

_BLOCK = 2048
_MERGED = 1024
"""Rows of a tail put in lists at a time."""

_MARGIN = 0.25
"""Share of the allowed misses that the measured sample may use up: it is only a sample."""


def blocks_of(
    source: VectorSource, numbers: Numbers, tick: Tick
) -> Iterator[tuple[Numbers, FloatArray]]:
    """All vectors of the source whose number is one of these (ascending)."""
    for found, rows in source.scan():
        tick()
        at = np.minimum(np.searchsorted(numbers, found), max(0, len(numbers) - 1))
        known = numbers[at] == found if len(numbers) else np.zeros(len(found), dtype=bool)
        if not known.all():
            found, rows = found[known], rows[known]
        if len(found):
            yield found, np.ascontiguousarray(rows, dtype=np.float32)


def flat_of(
    metric: Metric, dim: int, source: VectorSource, numbers: Numbers, tick: Tick
) -> tuple[Flat, Numbers]:
    """Those of the numbers that there are, with their vectors in memory."""
    flat = Flat(metric, dim)
    kept: list[Numbers] = [np.empty(0, dtype=np.int64)]
    for found, rows in blocks_of(source, numbers, tick):
        flat = flat.extended(rows)
        kept.append(found)
    return flat, np.concatenate(kept)


def lists_of(
    metric: Metric, source: VectorSource, numbers: Numbers, options: IndexOptions, tick: Tick
) -> tuple[Lists, Numbers]:
    """Those of the numbers that there are, in lists, trained, filled and measured.

    Args:
        numbers: (n,) ascending, n >= 1.
    """
    nlist = options.lists or round(2 * math.sqrt(len(numbers)))
    nlist = max(1, min(nlist, len(numbers) // 16))
    rows = _sample(source, numbers, min(options.train_rows, 64 * nlist), tick)
    lists = Lists(metric, trained(metric, rows, nlist), built=len(numbers))
    del rows
    truths = [
        Truth(lists, _sample(source, numbers, -(-options.measured // fewer), tick), depth)
        for depth, fewer in DEPTHS
        if depth == DEPTHS[0][0] or depth < len(numbers) // 2
    ]
    lists, kept = _filled(lists, source, numbers, truths, tick)
    target = 1 - (1 - options.target_recall) * _MARGIN
    settings = []
    for truth in truths:
        tick()
        settings.append(measured(lists, kept, truth, source, target))
    return replace(lists, settings=tuple(settings)), kept


def merge(base: Lists, before: Snapshot, tick: Tick) -> Lists:
    """The lists with the living rows of a snapshot's tail among them; positions stay."""
    segment = base.empty()
    positions = np.flatnonzero(before.alive.values[before.start :])
    for start in range(0, len(positions), _MERGED):
        tick()
        some = positions[start : start + _MERGED]
        base.add(segment, before.tail.rows(some), before.start + some)
    return base.with_segment(segment)


def _filled(
    lists: Lists, source: VectorSource, numbers: Numbers, truths: list[Truth], tick: Tick
) -> tuple[Lists, Numbers]:
    segment = lists.empty()
    kept: list[Numbers] = [np.empty(0, dtype=np.int64)]
    for found, rows in blocks_of(source, numbers, tick):
        at = int(segment.ntotal)
        which = lists.add(segment, rows, np.arange(at, at + len(found)))
        ready = prepared(lists.metric, rows)
        for truth in truths:
            truth.offer(found, ready, which)
        kept.append(found)
    return replace(lists, segments=(segment,)), np.concatenate(kept)


def _sample(source: VectorSource, numbers: Numbers, size: int, tick: Tick) -> FloatArray:
    """(m, D): vectors of some of the numbers, drawn with a fixed seed."""
    rng = np.random.default_rng(len(numbers) + size)
    drawn = np.sort(rng.choice(numbers, min(size, len(numbers)), replace=False))
    rows = source.vectors_of(drawn[:_BLOCK])[1]
    sample = np.empty((len(drawn), rows.shape[1]), dtype=np.float32)
    count = 0
    for start in range(0, len(drawn), _BLOCK):
        tick()
        rows = source.vectors_of(drawn[start : start + _BLOCK])[1]
        sample[count : count + len(rows)] = rows
        count += len(rows)
    return sample[:count]
