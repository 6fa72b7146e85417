"""Lists made in the background, while rows come and go."""

import logging
from dataclasses import replace

import numpy as np
import pytest

from core.gallery.index.index import VectorIndex
from tests.core.gallery.memory import (
    LISTED,
    GatedSource,
    MemorySource,
    clustered,
    listed,
    nearest,
)

NONE = np.empty(0, dtype=np.int64)

NO_ROWS = (NONE, np.empty((0, 0), dtype=np.float32), [])


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
    index, source = listed(rows)
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
    index, source = listed(rows)
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
