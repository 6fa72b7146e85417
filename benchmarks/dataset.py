"""`Dataset`: vectors, queries and their true neighbors, as files and as items of a store.

The items have a thumbnail of the usual size.
"""

import time
from collections import deque
from concurrent.futures import Future
from pathlib import Path

import numpy as np

from benchmarks.photo_features import Features, Rows
from benchmarks.photos import arrays
from core.compute.thumbnails import reduce
from core.gallery.records import CollectionSpec, NewItem, Put, StoredPrediction, Written
from core.gallery.sqlite.local import DATABASE
from core.gallery.sqlite.store import Store

K = 10
QUERIES = 200
COLLECTION = "photos"
_CANDIDATES = 50
_UNDER_WAY = 512
_BLOCK = 8192


class Dataset:
    """A folder with the files of one size.

    Args:
        folder: made if it is missing; what is there already is taken as it is.
        count: vectors, n.
        dim: numbers in each, D.
    """

    def __init__(self, folder: Path, count: int, dim: int) -> None:
        self.folder = folder / str(count)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.count = count
        self.dim = dim

    @property
    def vectors(self) -> Path:
        """Raw float32, row after row: mapped, it would count as resident memory."""
        return self.folder / "vectors.f32"

    @property
    def database(self) -> Path:
        return self.folder / DATABASE

    def block(self, start: int, stop: int) -> Rows:
        """(stop - start, D), read anew."""
        rows = np.fromfile(
            self.vectors,
            np.float32,
            count=(stop - start) * self.dim,
            offset=start * self.dim * 4,
        )
        return rows.reshape(-1, self.dim)

    def blocks(self, size: int = _BLOCK) -> list[tuple[int, int]]:
        """Where blocks begin and end."""
        return [(start, min(start + size, self.count)) for start in range(0, self.count, size)]

    def queries(self) -> Rows:
        queries: Rows = np.load(self.folder / "queries.npy")
        return queries

    def radii(self) -> np.ndarray:
        """(QUERIES,) the distance of each query's tenth neighbor, by brute force."""
        radii: np.ndarray = np.load(self.folder / "radii.npy")
        return radii

    def make(self, features: Features) -> None:
        """Vectors, queries, truth."""
        if (self.folder / "radii.npy").exists():
            return
        with self.vectors.open("wb") as file:
            for rows in features.stored(self.count):
                rows.tofile(file)
        queries = features.queries(QUERIES)
        np.save(self.folder / "queries.npy", queries)
        np.save(self.folder / "radii.npy", self._brute_force(queries))

    def _brute_force(self, queries: Rows) -> np.ndarray:
        """Candidates by matrix products in float32, then true distances in float64."""
        best = [np.empty(0) for _ in queries]
        for start, stop in self.blocks():
            rows = self.block(start, stop)
            rough = (rows**2).sum(1) - 2 * queries @ rows.T
            few = min(_CANDIDATES, len(rows))
            for i, near in enumerate(np.argpartition(rough, few - 1, axis=1)[:, :few]):
                distances = _distances(queries[i], rows[near])
                best[i] = np.sort(np.concatenate([best[i], distances]))[:K]
        return np.array([each[-1] for each in best])

    def recall(self, found: list[np.ndarray]) -> float:
        """Share of the true neighbors among (K,) row numbers for each of the first queries."""
        hits = 0
        for query, radius, numbers in zip(self.queries(), self.radii(), found, strict=False):
            rows = np.concatenate([self.block(number, number + 1) for number in numbers.tolist()])
            hits += int((_distances(query, rows) <= radius * (1 + 1e-7)).sum())
        return hits / (K * len(found))

    def store(self) -> float | None:
        """The vectors as items of a store; answers items per second, None if they were there."""
        done = self.folder / "stored"
        if done.exists():
            return None
        self.database.unlink(missing_ok=True)
        store = Store(self.database, lambda *_: None)
        store.create(_spec(self.dim)).result()
        started = time.perf_counter()
        waiting: deque[Future[Written]] = deque()
        thumbnails = [reduce(photo).thumbnail for photo in arrays()]
        for start, stop in self.blocks():
            for number, row in enumerate(self.block(start, stop), start):
                thumbnail = thumbnails[number % len(thumbnails)]
                waiting.append(store.write(Put(COLLECTION, _item(number, row, thumbnail))))
                if len(waiting) == _UNDER_WAY:
                    waiting.popleft().result()
        for each in waiting:
            each.result()
        rate = self.count / (time.perf_counter() - started)
        store.close()
        done.touch()
        return rate


def _distances(query: Rows, rows: Rows) -> np.ndarray:
    """Euclidean, in float64."""
    distances: np.ndarray = np.sqrt(((rows.astype(np.float64) - query) ** 2).sum(1))
    return distances


def _spec(dim: int) -> CollectionSpec:
    return CollectionSpec(
        name=COLLECTION,
        model="efficientnet-lite0",
        digest="sha256:0",
        layer="classifier",
        at="input",
        pool="avg",
        dim=dim,
        metric="l2",
    )


def _item(number: int, row: Rows, thumbnail: bytes) -> NewItem:
    return NewItem(
        id=f"{number:08d}",
        label=f"label {number % 10}",
        metadata={},
        sha256=f"{number:064x}",
        width=500,
        height=375,
        prediction=StoredPrediction(0, "something", 0.5),
        vector=row,
        pixels=None,
        thumbnail=thumbnail,
    )
