"""`Flat`: vectors in memory, searched one by one in parallel blocks."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from core.gallery.distances import distances
from core.gallery.index.estimates import Estimate, scales_of
from core.gallery.index.nearest import NearRows, worth_a_look
from core.gallery.records import Metric
from core.types import FloatArray

_BLOCK_BYTES = 4 << 20
_FEW_ROWS = 256
"""So few rows are looked at directly, without an estimate first."""

T = TypeVar("T")


@cache
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, thread_name_prefix="nearest")


def in_parallel(jobs: Sequence[Callable[[], T]], threads: int) -> list[T]:
    """What each job answers, in order; the caller's thread does the first share."""
    if threads < 2 or len(jobs) < 2:
        return _all(jobs)
    share = -(-len(jobs) // threads)
    shares = [jobs[start : start + share] for start in range(0, len(jobs), share)]
    others = [_pool(threads - 1).submit(_all, each) for each in shares[1:]]
    done = _all(shares[0])
    return done + [answer for other in others for answer in other.result()]


def _all(jobs: Sequence[Callable[[], T]]) -> list[T]:
    return [job() for job in jobs]


@dataclass(frozen=True, slots=True, eq=False)
class Flat:
    """Rows in blocks of 4 MB; a longer one shares the blocks of the one it was made from.

    Attributes:
        blocks: (rows in a block, D) float32 each, the last one with room behind its end.
        scales: one float32 for each row, as `scales_of` gives.
        count: rows there are.
    """

    metric: Metric
    dim: int
    blocks: tuple[FloatArray, ...] = ()
    scales: tuple[FloatArray, ...] = ()
    count: int = 0

    @property
    def _step(self) -> int:
        return max(1, _BLOCK_BYTES // (4 * self.dim))

    def extended(self, rows: FloatArray) -> "Flat":
        """With (m, D) rows behind; only of the newest state."""
        blocks, scales, at = list(self.blocks), list(self.scales), self.count
        while len(rows):
            if at % self._step == 0:
                blocks.append(np.empty((self._step, self.dim), dtype=np.float32))
                scales.append(np.empty(self._step, dtype=np.float32))
            block = rows[: self._step - at % self._step]
            where = slice(at % self._step, at % self._step + len(block))
            blocks[-1][where] = block
            scales[-1][where] = scales_of(self.metric, block)
            at, rows = at + len(block), rows[len(block) :]
        return Flat(self.metric, self.dim, tuple(blocks), tuple(scales), at)

    def filled(self) -> list[FloatArray]:
        """The blocks without the room behind the end."""
        return [
            block[: self.count - i * self._step] if i + 1 == len(self.blocks) else block
            for i, block in enumerate(self.blocks)
        ]

    def rows(self, at: NDArray[np.int64]) -> FloatArray:
        """(m, D) float32: the rows at (m,) positions."""
        found = np.empty((len(at), self.dim), dtype=np.float32)
        which = at // self._step
        for block in np.unique(which).tolist():
            here = which == block
            found[here] = self.blocks[block][at[here] % self._step]
        return found

    def since(self, start: int) -> "Flat":
        """The rows from this position on, copied."""
        fresh = Flat(self.metric, self.dim)
        for i, block in enumerate(self.filled()):
            fresh = fresh.extended(block[max(0, start - i * self._step) :])
        return fresh

    def nearest(
        self, query: FloatArray, k: int, allowed: NDArray[np.bool_] | None, threads: int
    ) -> NearRows:
        """The k nearest rows and all as near as the k-th; their positions stand for numbers.

        Args:
            query: (D,) float32, finite.
            k: at least 1.
            allowed: (n,) rows that may be found; None = all.
            threads: cores used, at most.
        """
        positions = np.arange(self.count) if allowed is None else np.flatnonzero(allowed)
        if len(positions) > max(_FEW_ROWS, k):
            estimate = Estimate(self.metric, query)
            estimates = self._estimates(estimate, threads)
            near = worth_a_look(estimate, estimates if allowed is None else estimates[positions], k)
            positions = positions[near]
        return NearRows(positions, self._distances(query, positions)).cut(k)

    def _estimates(self, estimate: Estimate, threads: int) -> FloatArray:
        jobs = [
            lambda block=block, scales=scales: estimate.of(block, scales[: len(block)])
            for block, scales in zip(self.filled(), self.scales, strict=True)
        ]
        return np.concatenate(in_parallel(jobs, threads))

    def _distances(self, query: FloatArray, positions: NDArray[np.int64]) -> NDArray[np.float64]:
        """In blocks: many equal rows are not gathered all at once."""
        found = np.empty(len(positions))
        for start in range(0, len(positions), self._step):
            block = slice(start, start + self._step)
            found[block] = distances(self.metric, query, self.rows(positions[block]))
        return found
