import logging
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from core.gallery.index.index import VectorIndex
from core.gallery.records import Metric
from tests.core.gallery.memory import LISTED, METRICS, MemorySource, clustered, nearest

NONE = np.empty(0, dtype=np.int64)
NO_ROWS = (NONE, np.empty((0, 0), dtype=np.float32), [])
MISSING = Path("no such folder") / "index"


class GatedSource(MemorySource):
    """Something happens between two blocks of a scan."""

    def __init__(self, vectors: np.ndarray) -> None:
        super().__init__(vectors)
        self.between = lambda: None

    def scan(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for i, block in enumerate(super().scan()):
            if i == 2:
                between, self.between = self.between, lambda: None
                between()
            yield block


def _listed(
    rows: np.ndarray,
    metric: Metric = "l2",
    labels: list[str | None] | None = None,
    measured: int = LISTED.measured,
) -> tuple[VectorIndex, MemorySource]:
    source = MemorySource(rows)
    live = (np.arange(len(rows)), labels or [None] * len(rows))
    options = replace(LISTED, measured=measured)
    index = VectorIndex.open(MISSING, rows.shape[1], metric, source, live, 1, options)
    index.wait()
    assert index.approximate
    return index, source


@pytest.mark.parametrize("metric", METRICS)
def test_approximate_answers_hold_the_recall_that_they_name(metric: Metric) -> None:
    rows, numbers = clustered(6000, 48), np.arange(6000)
    index, _ = _listed(rows, metric)
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
    index, _ = _listed(rows, metric, measured=200)
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
    index, source = _listed(rows, metric, labels)
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
    index, _ = _listed(rows, labels=labels)
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
    index, _ = _listed(rows, metric, labels)
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
    index, _ = _listed(rows, labels=labels)
    assert len(index.search(rows[0], 60, label="few").numbers) == 60
    assert len(index.search(rows[0], 3999).numbers) == 3999
    assert len(index.search(rows[0], 9999).numbers) == 4000


def test_it_turns_approximate_when_it_grows_and_exact_when_it_shrinks() -> None:
    rows = clustered(4000, 16)
    source = MemorySource(rows)
    index = VectorIndex(16, "l2", source, LISTED)
    for start in range(0, 4000, 500):
        part = np.arange(start, start + 500)
        index.apply((part, rows[part], [None] * 500), NONE, [], start)
        assert index.search(rows[start + 9], 1).numbers.tolist() == [start + 9]
    index.wait()
    assert index.approximate
    gone = np.arange(100, 4000)
    source.drop(gone)
    index.apply(NO_ROWS, gone, [], 9000)
    assert set(index.search(rows[500], 200).numbers.tolist()) == set(range(100))
    index.wait()
    assert not index.approximate
    assert index.search(rows[50], 1).numbers.tolist() == [50]


def test_new_rows_join_the_lists_in_the_background_and_are_found() -> None:
    rows = clustered(4000, 16)
    index, source = _listed(rows)
    fresh = clustered(2000, 16, seed=6)
    for start in range(0, 2000, 200):
        numbers = 4000 + np.arange(start, start + 200)
        source.put(numbers, fresh[start : start + 200])
        index.apply((numbers, fresh[start : start + 200], ["n"] * 200), NONE, [], start)
        index.wait()
    assert source.scans == 1  # merged from memory, not made anew
    found = [index.search(row, 1).numbers[0] for row in fresh]
    assert np.mean(np.array(found) == 4000 + np.arange(2000)) >= 0.99
    everything, numbers = np.concatenate([rows, fresh]), np.arange(6000)
    hits = index.search(fresh[3], 10, exact=True)
    assert hits.numbers.tolist() == nearest("l2", fresh[3], numbers, everything, 10)


def test_removed_rows_are_never_found_and_in_time_cleared_away() -> None:
    rows = clustered(5000, 16)
    index, source = _listed(rows)
    gone = np.arange(0, 1000)
    index.apply(NO_ROWS, gone, [], 2)  # the source still has them: they are dead all the same
    for exact in (False, True):
        for i in range(0, 1000, 50):
            assert index.search(rows[i], 10, exact=exact).numbers.min() >= 1000
    more = np.arange(1000, 2500)
    source.drop(np.concatenate([gone, more]))
    index.apply(NO_ROWS, more, [], 3)
    index.wait()
    assert source.scans > 1
    assert index.numbers().tolist() == list(range(2500, 5000))
    assert index.search(rows[3000], 1).numbers.tolist() == [3000]


def test_changes_during_a_build_are_not_lost() -> None:
    rows = clustered(4000, 16)
    source = GatedSource(rows)
    fresh = clustered(10, 16, seed=6)
    index = VectorIndex(16, "l2", source, LISTED)

    def change() -> None:
        source.put(np.arange(4000, 4010), fresh)
        source.drop(np.array([3, 3999]))
        added = (np.arange(4000, 4010), fresh, ["fresh"] * 10)
        index.apply(added, np.array([3, 3999]), [(5, "moved"), (3998, "moved")], 2)

    source.between = change
    index.apply((np.arange(4000), rows, [None] * 4000), NONE, [], 1)
    index.wait()
    assert index.approximate
    assert (index.seq, index.count) == (2, 4008)
    assert index.search(fresh[0], 1, label="fresh").numbers.tolist() == [4000]
    assert sorted(index.search(rows[0], 5, label="moved").numbers.tolist()) == [5, 3998]
    assert not {3, 3999} & set(index.search(rows[3], 4008).numbers.tolist())


def test_a_removal_that_the_scan_saw_first_is_taken_as_it_comes() -> None:
    rows = clustered(4000, 16)
    source = MemorySource(rows)
    index = VectorIndex(16, "l2", source, LISTED)
    source.drop(np.array([17]))  # committed, not yet applied
    index.apply((np.arange(4000), rows, [None] * 4000), NONE, [], 1)
    index.wait()
    assert index.approximate
    index.apply(NO_ROWS, np.array([17]), [], 2)
    assert index.count == 3999
    assert 17 not in index.search(rows[17], 3999).numbers


def test_a_failed_build_is_logged_and_the_old_state_serves(
    caplog: pytest.LogCaptureFixture,
) -> None:
    rows = clustered(4000, 16)
    source = GatedSource(rows)

    def fail() -> None:
        raise OSError("the disk is gone")

    source.between = fail
    index = VectorIndex(16, "l2", source, LISTED)
    with caplog.at_level(logging.ERROR, "seethrough"):
        index.apply((np.arange(4000), rows, [None] * 4000), NONE, [], 1)
        index.wait()
    assert "the disk is gone" in caplog.text
    assert not index.approximate
    assert index.search(rows[7], 1).numbers.tolist() == [7]
    index.apply(NO_ROWS, np.array([8]), [], 2)
    index.wait()
    assert not index.approximate  # not again within a minute
    assert source.scans == 1


def test_a_failed_build_is_tried_again_at_a_later_change() -> None:
    rows = clustered(4000, 16)
    source = GatedSource(rows)

    def fail() -> None:
        raise OSError("for once")

    source.between = fail
    index = VectorIndex(16, "l2", source, replace(LISTED, retry_after_s=0.0))
    index.apply((np.arange(4000), rows, [None] * 4000), NONE, [], 1)
    index.wait()
    index.apply(NO_ROWS, np.array([8]), [], 2)
    index.wait()
    assert index.approximate


def test_closing_stops_a_build() -> None:
    rows = clustered(4000, 16)
    source = GatedSource(rows)
    index = VectorIndex(16, "l2", source, LISTED)
    index.apply((np.arange(4000), rows, [None] * 4000), NONE, [], 1)
    index.close()
    index.apply(NO_ROWS, np.array([8]), [], 2)
    assert index.search(rows[7], 1).numbers.tolist() == [7]


def test_many_equal_vectors_do_not_spoil_the_lists() -> None:
    rows = clustered(5000, 16)
    rows[1000:4000] = rows[0]
    index, _ = _listed(rows)
    hits = index.search(rows[0], 10)
    assert not hits.distances[:10].any()
    assert index.recall is not None
    assert index.recall >= 0.99


class Enough(Exception):
    """Nobody waits for the answer any more."""


@pytest.mark.parametrize("listed", [True, False])
def test_a_long_search_ends_at_the_next_tick(listed: bool) -> None:
    index, source = _listed(clustered(6000, 16)) if listed else _still_unread(clustered(6000, 16))
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
