"""Answers of an approximate index, against brute force."""

import numpy as np
import pytest

from core.gallery.index.index import VectorIndex
from core.gallery.records import Metric
from tests.core.gallery.memory import (
    LISTED,
    METRICS,
    MISSING,
    GatedSource,
    MemorySource,
    clustered,
    listed,
    nearest,
)


@pytest.mark.parametrize("metric", METRICS)
def test_approximate_answers_hold_the_recall_that_they_name(metric: Metric) -> None:
    rows, numbers = clustered(6000, 48), np.arange(6000)
    index, _ = listed(rows, metric)
    found = 0
    for query in clustered(50, 48, seed=4):
        hits = index.search(query, 10)
        assert not hits.exact
        assert hits.recall == index.recall
        found += len(set(hits.numbers.tolist()) & set(nearest(metric, query, numbers, rows, 10)))
    assert index.recall is not None
    assert index.recall >= 0.99
    assert found / 500 >= 0.99


@pytest.mark.parametrize("metric", METRICS)
def test_the_recall_named_holds_for_pictures_like_none_that_is_stored(metric: Metric) -> None:
    rows, numbers = _scenes(8000, seed=1), np.arange(8000)
    index, _ = listed(rows, metric, measured=200)
    queries = _scenes(200, seed=2)
    found = sum(
        len(
            np.intersect1d(
                index.search(query, 10).numbers, nearest(metric, query, numbers, rows, 10)
            )
        )
        for query in queries
    )
    assert index.recall is not None
    assert found / 2000 >= index.recall - 0.01


def _scenes(count: int, seed: int) -> np.ndarray:
    """(n, 48) float32: views of 120 scenes of 8 kinds; another seed has other scenes."""
    kinds = np.random.default_rng(0).standard_normal((8, 48))
    rng = np.random.default_rng(seed)
    scenes = kinds[rng.integers(8, size=120)] + 0.6 * rng.standard_normal((120, 48))
    views = scenes[rng.integers(120, size=count)] + 0.25 * rng.standard_normal((count, 48))
    return views.astype(np.float32)


@pytest.mark.parametrize("metric", METRICS)
def test_exact_answers_of_an_approximate_index_are_brute_forces(metric: Metric) -> None:
    rows = clustered(5000, 16)
    labels: list[str | None] = ["even" if i % 2 == 0 else None for i in range(5000)]
    index, source = listed(rows, metric, labels)
    source.put(np.array([9000]), rows[:1])  # stored, but not yet applied: not there
    evens = np.arange(0, 5000, 2)
    for query in clustered(5, 16, seed=4):
        hits = index.search(query, 20, exact=True)
        assert hits.exact
        assert hits.recall is None
        assert hits.numbers.tolist() == nearest(metric, query, np.arange(5000), rows, 20)
        hits = index.search(query, 20, exact=True, label="even", exclude=int(evens[7]))
        others = np.delete(evens, 7)
        assert hits.numbers.tolist() == nearest(metric, query, others, rows[others], 20)


def test_a_rare_label_is_searched_exactly() -> None:
    rows = clustered(4000, 16)
    labels: list[str | None] = ["rare" if i % 100 == 0 else "common" for i in range(4000)]
    index, _ = listed(rows, labels=labels)
    mine = np.arange(0, 4000, 100)
    hits = index.search(rows[1], 10, label="rare")
    assert hits.exact
    assert hits.numbers.tolist() == nearest("l2", rows[1], mine, rows[mine], 10)
    common = index.search(rows[1], 10, label="common")
    assert not common.exact
    assert not set(common.numbers.tolist()) & set(mine.tolist())


@pytest.mark.parametrize("metric", METRICS)
def test_a_label_of_a_tenth_of_the_rows_is_found_as_well(metric: Metric) -> None:
    rows = clustered(6000, 32)
    labels: list[str | None] = ["tenth" if i % 10 == 0 else "other" for i in range(6000)]
    index, _ = listed(rows, metric, labels)
    mine, found = np.arange(0, 6000, 10), 0
    for query in clustered(30, 32, seed=4):
        hits = index.search(query, 10, label="tenth")
        assert not hits.exact
        want = nearest(metric, query, mine, rows[mine], 10)
        found += len(set(hits.numbers.tolist()) & set(want))
    assert found / 300 >= 0.97


def test_as_many_are_found_as_there_are() -> None:
    rows = clustered(4000, 16)
    labels: list[str | None] = ["few" if i < 60 else None for i in range(4000)]
    index, _ = listed(rows, labels=labels)
    assert len(index.search(rows[0], 60, label="few").numbers) == 60
    assert len(index.search(rows[0], 3999).numbers) == 3999
    assert len(index.search(rows[0], 9999).numbers) == 4000


def test_many_equal_vectors_do_not_spoil_the_lists() -> None:
    rows = clustered(5000, 16)
    rows[1000:4000] = rows[0]
    index, _ = listed(rows)
    hits = index.search(rows[0], 10)
    assert not hits.distances[:10].any()
    assert index.recall is not None
    assert index.recall >= 0.99


class Enough(Exception):
    """Nobody waits for the answer any more."""


@pytest.mark.parametrize("readable", [True, False])
def test_a_long_search_ends_at_the_next_tick(readable: bool) -> None:
    rows = clustered(6000, 16)
    index, source = listed(rows) if readable else _still_unread(rows)
    scans, ticks = source.scans, 0

    def tick() -> None:
        nonlocal ticks
        ticks += 1
        if ticks == 3:
            raise Enough

    with pytest.raises(Enough):
        index.search(np.zeros(16, np.float32), 5, exact=True, tick=tick)
    assert source.scans == scans + 1
    assert index.search(np.zeros(16, np.float32), 5, exact=True).exact  # the next one is whole
    index.close()


def _still_unread(rows: np.ndarray) -> tuple[VectorIndex, MemorySource]:
    """Many rows that could not be put in lists."""
    source = GatedSource(rows)

    def fail() -> None:
        raise OSError("the disk is gone")

    source.between = fail
    live = (np.arange(len(rows)), [None] * len(rows))
    index = VectorIndex.open(MISSING, rows.shape[1], "l2", source, live, 1, LISTED)
    index.wait()
    assert not index.approximate
    return index, source
