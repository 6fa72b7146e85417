"""Builds one index and measures it: `python -m benchmarks.indexes NAME FOLDER COUNT DIM LIMIT_S`.

A process of its own for each, so that its memory is its own; prints one line of JSON.
"""

import gc
import json
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.dataset import COLLECTION, QUERIES, Dataset, K
from benchmarks.photo_features import Rows

Search = Callable[[Rows], np.ndarray]
"""(D,) -> (K,) row numbers."""

_TARGET = 0.99
_EFFORTS = (10, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768)
_SECONDS = 8.0
_PATIENCE_S = 120.0
"""Recall is that of as many queries as are answered by then."""
_WARM_UP = 20


class TooSlow(Exception):
    """The build was given up."""


class Clock:
    """Time since its start, and the end of patience."""

    def __init__(self, limit_s: float) -> None:
        self._limit_s = limit_s
        self.start()

    def start(self) -> None:
        """Forget what was before, such as imports."""
        self._started = time.perf_counter()

    @property
    def s(self) -> float:
        return time.perf_counter() - self._started

    def check(self, share: float) -> None:
        """Give up when it is late, or plainly going to be."""
        late = self.s > self._limit_s or (self.s > 60 and self.s / share > 2 * self._limit_s)
        if late:
            raise TooSlow(f"given up after {self.s:.0f} s with {share:.0%} of the vectors")


def ours(dataset: Dataset, clock: Clock) -> Iterator[dict[str, Any]]:
    """The index over the real store, and what the engine asks, items and all."""
    from core.gallery.index.index import VectorIndex
    from core.gallery.index.ranking import nearest
    from core.gallery.queries import Query
    from core.gallery.sqlite.local import StoredVectors
    from core.gallery.sqlite.store import Store

    store = Store(dataset.database, lambda *_: None)
    collection = store.collection(COLLECTION)
    key = collection.key
    live, labels = store.live(key)
    file = dataset.folder / "index"
    file.unlink(missing_ok=True)
    before = resident_mib()
    clock.start()
    index = VectorIndex.open(
        file, dataset.dim, "l2", StoredVectors(store, key, "features"), (live, labels), store.seq
    )
    index.wait()
    built = {"build_s": clock.s, "resident_mib": grown(before), "said": index.recall}

    def alone(query: Rows) -> np.ndarray:
        return np.searchsorted(live, index.search(query, K).numbers[:K])

    def exact(query: Rows) -> np.ndarray:
        return np.searchsorted(live, index.search(query, K, exact=True).numbers[:K])

    def whole(query: Rows) -> np.ndarray:
        found = nearest(store, index, collection, Query(query, k=K), lambda: store.seq).found
        return np.array([int(each.item.id) for each in found])

    way = "approximate" if index.approximate else "exact"
    yield {"name": f"ours, {way}"} | built | measured(dataset, alone)
    yield {"name": f"ours, {way}, with the items"} | built | measured(dataset, whole)
    if index.approximate:
        yield {"name": "ours, exact=true"} | built | measured(dataset, exact)
    started = time.perf_counter()
    index.save(file)
    saved_s, started = time.perf_counter() - started, time.perf_counter()
    again = VectorIndex.open(
        file, dataset.dim, "l2", StoredVectors(store, key, "features"), (live, labels), store.seq
    )
    again.wait()
    yield {"saved_s": saved_s, "opened_s": time.perf_counter() - started}
    index.close()
    again.close()
    store.close()


def faiss_flat(dataset: Dataset, clock: Clock) -> Iterator[dict[str, Any]]:
    import faiss

    index, before = faiss.IndexFlatL2(dataset.dim), resident_mib()
    clock.start()
    for start, stop in dataset.blocks():
        index.add(dataset.block(start, stop))
    built = {"build_s": clock.s, "resident_mib": grown(before)}
    search = _of_faiss(index)
    yield {"name": "FAISS flat"} | built | measured(dataset, search)


def faiss_hnsw(dataset: Dataset, clock: Clock) -> Iterator[dict[str, Any]]:
    import faiss

    index, before = faiss.IndexHNSWFlat(dataset.dim, 32), resident_mib()
    clock.start()
    for start, stop in dataset.blocks(2048):
        index.add(dataset.block(start, stop))
        clock.check(stop / dataset.count)
    built = {"build_s": clock.s, "resident_mib": grown(before)}

    def effort(ef: int) -> None:
        index.hnsw.efSearch = ef

    search = _of_faiss(index)
    ef = tuned(dataset, search, effort)
    name = f"FAISS HNSW, M = 32, ef = {ef}"
    yield {"name": name} | built | measured(dataset, search)


def hnswlib(dataset: Dataset, clock: Clock) -> Iterator[dict[str, Any]]:
    import hnswlib

    before = resident_mib()
    clock.start()
    index = hnswlib.Index("l2", dataset.dim)
    index.init_index(dataset.count, M=16, ef_construction=200)
    for start, stop in dataset.blocks(2048):
        index.add_items(dataset.block(start, stop), np.arange(start, stop))
        clock.check(stop / dataset.count)
    built = {"build_s": clock.s, "resident_mib": grown(before)}

    def search(query: Rows) -> np.ndarray:
        found: np.ndarray = index.knn_query(query[None], K, num_threads=1)[0][0]
        return found

    ef = tuned(dataset, search, index.set_ef)
    yield {"name": f"hnswlib, M = 16, ef = {ef}"} | built | measured(dataset, search)


def usearch(dataset: Dataset, clock: Clock) -> Iterator[dict[str, Any]]:
    from usearch.index import Index

    before = resident_mib()
    clock.start()
    index = Index(ndim=dataset.dim, metric="l2sq", dtype="f32")
    for start, stop in dataset.blocks(2048):
        index.add(np.arange(start, stop), dataset.block(start, stop))
        clock.check(stop / dataset.count)
    built = {"build_s": clock.s, "resident_mib": grown(before)}

    def effort(ef: int) -> None:
        index.expansion_search = ef

    def search(query: Rows) -> np.ndarray:
        return np.asarray(index.search(query, K).keys).astype(np.int64)

    ef = tuned(dataset, search, effort)
    yield {"name": f"usearch, M = 16, ef = {ef}"} | built | measured(dataset, search)


OURS = "ours"
INDEXES = {
    OURS: ours,
    "FAISS flat": faiss_flat,
    "FAISS HNSW": faiss_hnsw,
    "hnswlib": hnswlib,
    "usearch": usearch,
}


def tuned(dataset: Dataset, search: Search, effort: Callable[[int], None]) -> int:
    """The least effort that reaches the target recall, or the most there is."""
    for ef in _EFFORTS:
        effort(ef)
        if dataset.recall([search(query) for query in dataset.queries()]) >= _TARGET:
            break
    return ef


def measured(dataset: Dataset, search: Search) -> dict[str, float]:
    """Recall, and latency and rate of single queries from one client and from four."""
    queries = dataset.queries()
    end = time.perf_counter() + _PATIENCE_S
    found = [search(query) for query in queries if time.perf_counter() < end]
    recall = dataset.recall(found)
    one, four = _drive(search, queries, 1), _drive(search, queries, 4)
    return {
        "recall": recall,
        "p50_ms": float(np.percentile(one, 50)) * 1000,
        "p99_ms": float(np.percentile(one, 99)) * 1000,
        "per_s": len(one) / _SECONDS,
        "per_s_of_4": len(four) / _SECONDS,
        "p99_ms_of_4": float(np.percentile(four, 99)) * 1000,
    }


def _drive(search: Search, queries: Rows, clients: int) -> list[float]:
    """Seconds of each query that was answered in time."""
    took: list[float] = []
    end = time.perf_counter() + _SECONDS
    for query in queries[:_WARM_UP]:
        if time.perf_counter() < end:
            search(query)
    end = time.perf_counter() + _SECONDS

    def run(first: int) -> None:
        _prepare_thread(clients)
        number = first * QUERIES // clients
        while (started := time.perf_counter()) < end:
            search(queries[number % len(queries)])
            took.append(time.perf_counter() - started)
            number += 1

    threads = [threading.Thread(target=run, args=(each,)) for each in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return took


def _prepare_thread(clients: int) -> None:
    """Several clients share the cores better than several teams of OpenMP's threads do."""
    faiss = sys.modules.get("faiss")
    if faiss is not None and clients > 1:
        faiss.omp_set_num_threads(1)


def _of_faiss(index: Any) -> Search:
    def search(query: Rows) -> np.ndarray:
        found: np.ndarray = index.search(query[None], K)[1][0]
        return found

    return search


def resident_mib() -> float:
    gc.collect()
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    return 0.0


def grown(before: float) -> float:
    """Resident memory since then, in MiB."""
    return resident_mib() - before


def main() -> None:
    name, folder, count, dim, limit_s = sys.argv[1:]
    dataset = Dataset(Path(folder), int(count), int(dim))
    rows: list[dict[str, Any]] = []
    note = ""
    try:
        rows += INDEXES[name](dataset, Clock(float(limit_s)))
    except TooSlow as error:
        note = str(error)
    print(json.dumps({"rows": rows, "note": note}))


if __name__ == "__main__":
    main()
