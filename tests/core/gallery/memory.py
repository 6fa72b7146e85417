"""A source in memory, brute force, and vectors to search: what the index's tests share."""

import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from core.gallery.index.index import IndexOptions, VectorIndex
from core.gallery.records import Metric

METRICS: tuple[Metric, ...] = ("l2", "l1", "cosine")

EXACT = IndexOptions()
LISTED = IndexOptions(flat_limit_bytes=50_000, few_rows=50, tail_rows=300, lists=40, measured=40)
"""A few thousand short vectors are many."""

MISSING = Path("no such folder") / "index"


class MemorySource:
    """Numbers and vectors, changed by a test, scanned as of one moment."""

    def __init__(self, vectors: NDArray[np.float32], first: int = 0) -> None:
        self.dim = vectors.shape[1]
        self._lock = threading.Lock()
        self._rows = {first + i: row for i, row in enumerate(vectors)}
        self.scans = 0

    def put(self, numbers: NDArray[np.int64], vectors: NDArray[np.float32]) -> None:
        with self._lock:
            self._rows |= dict(zip(numbers.tolist(), vectors, strict=True))

    def drop(self, numbers: NDArray[np.int64]) -> None:
        with self._lock:
            for number in numbers.tolist():
                self._rows.pop(number, None)

    def all(self) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        with self._lock:
            numbers = sorted(self._rows)
            return self._packed([(number, self._rows[number]) for number in numbers])

    def vectors_of(
        self, numbers: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        with self._lock:
            kept = [(n, self._rows[n]) for n in numbers.tolist() if n in self._rows]
        return self._packed(kept)

    def scan(self) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float32]]]:
        self.scans += 1
        numbers, rows = self.all()
        for start in range(0, len(numbers), 700):
            yield numbers[start : start + 700], rows[start : start + 700]

    def _packed(
        self, rows: list[tuple[int, NDArray[np.float32]]]
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        numbers = np.array([number for number, _ in rows], dtype=np.int64)
        vectors = np.array([row for _, row in rows], dtype=np.float32)
        return numbers, vectors.reshape(-1, self.dim)


class GatedSource(MemorySource):
    """Something happens between two blocks of a scan."""

    def __init__(self, vectors: NDArray[np.float32]) -> None:
        super().__init__(vectors)
        self.between = lambda: None

    def scan(self) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float32]]]:
        for i, block in enumerate(super().scan()):
            if i == 2:
                between, self.between = self.between, lambda: None
                between()
            yield block


def listed(
    rows: NDArray[np.float32],
    metric: Metric = "l2",
    labels: list[str | None] | None = None,
    measured: int = LISTED.measured,
) -> tuple[VectorIndex, MemorySource]:
    """An approximate index of the rows, and its source."""
    source = MemorySource(rows)
    live = (np.arange(len(rows)), labels or [None] * len(rows))
    options = replace(LISTED, measured=measured)
    index = VectorIndex.open(MISSING, rows.shape[1], metric, source, live, 1, options)
    index.wait()
    assert index.approximate
    return index, source


def clustered(count: int, dim: int, seed: int = 0) -> NDArray[np.float32]:
    """(n, D) float32, 40 clusters, none below zero."""
    rng = np.random.default_rng(seed)
    centers = np.maximum(0, np.random.default_rng(99).standard_normal((40, dim)) * 2)
    rows = centers[rng.integers(0, 40, count)] + rng.standard_normal((count, dim)) * 0.3
    return np.maximum(0, rows).astype(np.float32)


def brute(
    metric: Metric, query: NDArray[np.float32], rows: NDArray[np.float32]
) -> NDArray[np.float64]:
    """(n,) distances, written without a thought for speed or for sharing code."""
    q, x = query.astype(np.float64), rows.astype(np.float64)
    if metric == "l2":
        return np.asarray(np.linalg.norm(x - q, axis=1))
    if metric == "l1":
        return np.asarray(np.abs(x - q).sum(axis=1))
    if not q.any():
        return np.ones(len(x))
    zeros = ~x.any(axis=1)
    x[zeros] = 1
    apart = x / np.linalg.norm(x, axis=1)[:, None] - q / np.linalg.norm(q)
    return np.where(zeros, 1.0, np.linalg.norm(apart, axis=1) ** 2 / 2)


def nearest(
    metric: Metric,
    query: NDArray[np.float32],
    numbers: NDArray[np.int64],
    rows: NDArray[np.float32],
    k: int,
) -> list[int]:
    """Numbers of the k nearest, by (distance, number)."""
    return [int(n) for n in numbers[np.lexsort((numbers, brute(metric, query, rows)))[:k]]]
