"""Check that store, checksums, index and brute force agree; repairs nothing, marks what is bad."""

from functools import partial
from typing import Final

import numpy as np
from numpy.typing import NDArray

from core.gallery.distances import distances
from core.gallery.index.index import VectorIndex
from core.gallery.index.nearest import NOTHING, NearRows
from core.gallery.records import Collection, Fault, Space
from core.gallery.sqlite import soundness
from core.gallery.sqlite.store import Store

_K: Final = 10
_SEED: Final = 0
_PIECE_BYTES: Final = 16 * 2**20
# An approximate answer may miss neighbors, but not this share of them.
_LEAST_RECALL: Final = 0.9


def damages(store: Store) -> list[Fault]:
    """What is not what was written; from then on no read shows it as sound, no search finds it."""
    names = {each.key: each.spec.name for each in store.collections()}
    faults = []
    after: int | None = 0
    while after is not None:
        found = store.examine(after, _PIECE_BYTES)
        after = found.last
        faults += [Fault(names.get(each.key, ""), each.space, str(each)) for each in found.damages]
    return faults


def verify(
    store: Store, index: VectorIndex, collection: Collection, space: Space, queries: int
) -> list[Fault]:
    """What does not agree, in words; nothing should be written meanwhile.

    Args:
        store: the truth.
        index: of the collection in that space.
        collection: what to look at.
        space: which of its spaces.
        queries: stored vectors whose neighbors are compared with brute force.
    """
    name = collection.spec.name
    live, _ = store.live(collection.key)
    damaged = store.read(partial(soundness.count_damaged, key=collection.key))
    faults = _compare_numbers(live, index.numbers(), collection.count - damaged)
    missing = [Fault(name, space, text) for text in faults]
    if missing or not len(live):
        return missing
    picked = np.random.default_rng(_SEED).choice(live, min(queries, len(live)), replace=False)
    return [
        Fault(name, space, text)
        for text in _compare_neighbors(store, index, collection, space, np.sort(picked))
    ]


def _compare_numbers(live: NDArray[np.int64], indexed: NDArray[np.int64], count: int) -> list[str]:
    found = []
    if count != len(live):
        found.append(f"the collection counts {count} items and holds {len(live)}")
    if lost := np.setdiff1d(live, indexed).tolist():
        found.append(f"{len(lost)} stored vectors are not in the index, such as {lost[:5]}")
    if extra := np.setdiff1d(indexed, live).tolist():
        found.append(f"{len(extra)} vectors in the index are not stored, such as {extra[:5]}")
    return found


def _compare_neighbors(
    store: Store,
    index: VectorIndex,
    collection: Collection,
    space: Space,
    picked: NDArray[np.int64],
) -> list[str]:
    """Every query against all vectors, in one pass over the store."""
    picked, asked = store.vectors_of(collection.key, picked, space)
    best = [NOTHING for _ in asked]
    for numbers, block in store.scan(collection.key, space):
        for row, vector in enumerate(asked):
            near = NearRows(numbers, distances(collection.spec.metric, vector, block))
            best[row] = (best[row] + near).cut(_K)
    found = []
    agreed = 0.0
    for number, vector, truth in zip(picked, asked, best, strict=True):
        hits = index.search(vector, _K)
        hit = np.count_nonzero(hits.distances[:_K] <= truth.distances[-1])
        agreed += hit / min(_K, len(truth.numbers)) / len(picked)
        exact = index.search(vector, _K, exact=True)
        same = np.array_equal(exact.distances, truth.distances)
        if not same or not np.array_equal(exact.numbers, truth.numbers):
            found.append(f"the exact neighbors of vector {number} are not those of brute force")
    if agreed < _LEAST_RECALL:
        found.append(f"the index finds only {agreed:.1%} of the true neighbors")
    return found
