"""From an index's hits to neighbors: items, ties by id, diversity over labels."""

import math
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from core.errors import InvalidValue
from core.gallery.gallery import Tick, go_on
from core.gallery.index.index import Hits, VectorIndex
from core.gallery.queries import Neighbor, Neighbors, Query
from core.gallery.records import Collection, Item, Metric

# How far a search for diverse neighbors looks at once before it says that it is not exact.
_MOST_HITS: Final = 8192


class ItemSource(Protocol):
    """What knows the items behind vector numbers."""

    def item(self, collection: str, id: str) -> Item:
        """One item by its id."""

    def items_of(self, key: int, numbers: NDArray[np.int64]) -> list[Item | None]:
        """The item of each number; None for one that has gone."""


def similarity(metric: Metric, distance: float) -> float:
    """1 for the same, towards 0 the farther: 1 - d / 2 for cosine, 1 / (1 + d) for the others."""
    return max(0.0, 1 - distance / 2) if metric == "cosine" else 1 / (1 + distance)


def nearest(
    items: ItemSource,
    index: VectorIndex,
    collection: Collection,
    query: Query,
    seq: Callable[[], int],
    tick: Tick = go_on,
) -> Neighbors:
    """The nearest items of a collection.

    Args:
        items: of the store.
        index: of the collection in the query's space.
        collection: where to search.
        query: what for.
        seq: the last change applied, read before the search.
        tick: called now and then; what it raises ends the search.

    Raises:
        InvalidValue: the vector has another length or is not finite, or a count is below 1.
        UnknownItem: the one to exclude.
    """
    if query.max_per_label is not None and query.max_per_label < 1:
        raise InvalidValue("max_per_label", query.max_per_label, "1 or more")
    excluded = None
    if query.exclude is not None:
        excluded = items.item(collection.spec.name, query.exclude).number
    seen = seq()
    wanted = query.k if query.max_per_label is None else 4 * query.k
    while True:
        hits = index.search(
            query.vector,
            wanted,
            label=query.label,
            any_label=query.label is None,
            exact=query.exact,
            exclude=excluded,
            tick=tick,
        )
        found = _ranked(items, collection, hits, query)
        exhausted = len(hits.numbers) < wanted
        if len(found) >= query.k or exhausted or wanted >= _MOST_HITS:
            break
        wanted *= 4
    return Neighbors(
        metric=collection.spec.metric,
        space=query.space,
        exact=hits.exact and (exhausted or len(found) >= query.k),
        recall=None if hits.exact else hits.recall,
        seq=seen,
        found=tuple(found[: query.k]),
    )


def _ranked(items: ItemSource, collection: Collection, hits: Hits, query: Query) -> list[Neighbor]:
    """Those hits that still exist, nearest first, ties by id, no label more often than asked."""
    metric = collection.spec.metric
    # An item that went while we searched is no neighbor any more.
    pairs = [
        (float(distance), item)
        for distance, item in zip(
            hits.distances, items.items_of(collection.key, hits.numbers), strict=True
        )
        if item is not None
    ]
    pairs.sort(key=lambda pair: (pair[0], pair[1].id))
    return [
        Neighbor(item, distance, similarity(metric, distance))
        for distance, item in _diverse(pairs, query.max_per_label)
    ]


def _diverse(
    pairs: Sequence[tuple[float, Item]], max_per_label: int | None
) -> list[tuple[float, Item]]:
    most = math.inf if max_per_label is None else max_per_label
    seen: Counter[str | None] = Counter()
    kept = []
    for distance, item in pairs:
        seen[item.label] += 1
        if seen[item.label] <= most:
            kept.append((distance, item))
    return kept
