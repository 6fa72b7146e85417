from pathlib import Path

import numpy as np
import pytest

from core.errors import InvalidValue
from core.gallery.index.index import Hits, IndexOptions, VectorIndex
from core.gallery.records import Metric
from tests.core.gallery.memory import (
    EXACT,
    LISTED,
    METRICS,
    MemorySource,
    brute,
    clustered,
    nearest,
)

NONE = np.empty(0, dtype=np.int64)
NO_ROWS = (NONE, np.empty((0, 0), dtype=np.float32), [])


def _made(
    rows: np.ndarray,
    metric: Metric = "l2",
    labels: list[str | None] | None = None,
    options: IndexOptions = EXACT,
) -> tuple[VectorIndex, MemorySource]:
    source = MemorySource(rows)
    index = VectorIndex(rows.shape[1], metric, source, options)
    index.apply((np.arange(len(rows)), rows, labels or [None] * len(rows)), NONE, [], 1)
    return index, source


def _bytes(hits: Hits) -> bytes:
    return hits.numbers.tobytes() + hits.distances.tobytes()


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize(("dim", "count"), [(1, 3000), (7, 12_000), (3072, 600)])
def test_the_nearest_are_those_of_brute_force(metric: Metric, dim: int, count: int) -> None:
    rows = np.random.default_rng(1).standard_normal((count, dim)).astype(np.float32)
    index, _ = _made(rows, metric)
    for query in np.random.default_rng(2).standard_normal((5, dim)).astype(np.float32):
        hits = index.search(query, 10)
        want = np.sort(brute(metric, query, rows))
        assert hits.exact
        assert hits.recall is None
        np.testing.assert_allclose(hits.distances[:10], want[:10], rtol=1e-9, atol=1e-13)
        assert len(hits.numbers) == np.count_nonzero(want <= hits.distances[-1] + 1e-15)


@pytest.mark.parametrize("metric", METRICS)
def test_near_duplicates_far_from_the_origin_are_in_their_true_order(metric: Metric) -> None:
    rng = np.random.default_rng(3)
    rows = np.float32(1000) + rng.standard_normal((12_000, 64)).astype(np.float32)
    rows[5000:5100] = rows[4] + rng.standard_normal((100, 64)).astype(np.float32) * 0.001
    index, _ = _made(rows, metric)
    hits = index.search(rows[4], 50)
    assert hits.numbers.tolist() == nearest(metric, rows[4], np.arange(12_000), rows, 50)


@pytest.mark.parametrize("metric", METRICS)
def test_all_of_thousands_of_identical_vectors_tie(metric: Metric) -> None:
    rows = clustered(8000, 32)
    rows[1000:6000] = rows[0]
    index, _ = _made(rows, metric)
    hits = index.search(rows[0], 3)
    assert hits.numbers.tolist() == [0, *range(1000, 6000)]
    assert not hits.distances.any()
    beside = index.search(rows[0] + np.float32(0.01), 3)
    assert len(beside.numbers) >= 5001
    assert len(np.unique(beside.distances[:3])) == 1


def test_an_empty_index_finds_nothing() -> None:
    index = VectorIndex(4, "l2", MemorySource(np.empty((0, 4), dtype=np.float32)))
    hits = index.search(np.ones(4, dtype=np.float32), 5)
    assert (len(hits.numbers), hits.exact, index.count, index.approximate) == (0, True, 0, False)


def test_fewer_rows_than_asked_for_are_all_found() -> None:
    rows = clustered(7, 5)
    index, _ = _made(rows)
    assert sorted(index.search(rows[0], 1000).numbers.tolist()) == list(range(7))


def test_a_thousand_neighbors_are_those_of_brute_force() -> None:
    rows = clustered(5000, 16)
    index, _ = _made(rows)
    want = nearest("l2", rows[9], np.arange(5000), rows, 1000)
    assert index.search(rows[9], 1000).numbers[:1000].tolist() == want


def test_zeros_are_at_distance_one_by_cosine_and_found_there() -> None:
    rows = clustered(600, 8)
    rows[100:200] = 0
    index, _ = _made(rows, "cosine")
    hits = index.search(-rows[0], 1)  # every angle is obtuse
    assert hits.numbers.tolist() == list(range(100, 200))
    assert set(hits.distances.tolist()) == {1.0}
    nowhere = index.search(np.zeros(8, dtype=np.float32), 5)
    assert nowhere.numbers.tolist() == list(range(600))
    assert set(nowhere.distances.tolist()) == {1.0}


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("scale", [1e-30, 1e-24, 1e20, 1e37])
def test_extreme_numbers_keep_their_order(metric: Metric, scale: float) -> None:
    rows = clustered(2000, 16) * np.float32(scale)
    index, _ = _made(rows, metric)
    hits = index.search(rows[3], 10)
    want = np.sort(brute(metric, rows[3] / scale, rows / scale))[:10]
    got = hits.distances[:10] / (1 if metric == "cosine" else scale)
    np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-6)


def test_a_query_of_another_length_or_not_finite_is_refused() -> None:
    index, _ = _made(clustered(10, 4))
    with pytest.raises(InvalidValue, match="vector='5' is not allowed: 4 numbers"):
        index.search(np.ones(5, dtype=np.float32), 1)
    with pytest.raises(InvalidValue, match="finite"):
        index.search(np.array([1, 2, 3, np.nan], dtype=np.float32), 1)
    with pytest.raises(InvalidValue, match="k=0"):
        index.search(np.ones(4, dtype=np.float32), 0)


def test_refused_rows_change_nothing() -> None:
    index, _ = _made(clustered(10, 4))
    bad = np.full((1, 4), np.nan, dtype=np.float32)
    with pytest.raises(InvalidValue, match="finite"):
        index.apply((np.array([10]), bad, [None]), np.array([3]), [], 2)
    with pytest.raises(InvalidValue, match=r"10 vectors|1 vectors"):
        index.apply((np.array([10]), bad[:, :3], [None]), np.array([3]), [], 2)
    with pytest.raises(InvalidValue, match="after 9"):
        index.apply((np.array([9]), np.ones((1, 4), np.float32), [None]), np.array([3]), [], 2)
    assert (index.seq, index.count) == (1, 10)


def test_changes_are_seen_at_once() -> None:
    rows = clustered(500, 8)
    index, _ = _made(rows, labels=["old"] * 500)
    fresh = clustered(2, 8, seed=5)
    index.apply((np.array([500, 700]), fresh, ["new", None]), np.array([3, 3, 999]), [(7, "x")], 2)
    assert (index.seq, index.count) == (2, 501)
    assert index.numbers().tolist() == [n for n in range(500) if n != 3] + [500, 700]
    assert index.search(fresh[0], 1).numbers.tolist() == [500]
    assert index.search(rows[3], 1).numbers.tolist() != [3]
    assert index.search(rows[0], 9, label="x").numbers.tolist() == [7]
    assert 7 not in index.search(rows[7], 999, label="old").numbers
    assert index.search(rows[0], 9, any_label=False).numbers.tolist() == [700]
    assert len(index.search(rows[0], 9, label="never seen").numbers) == 0


def test_what_is_added_and_removed_in_one_change_is_not_there() -> None:
    index, _ = _made(clustered(10, 4))
    index.apply((np.array([10]), clustered(1, 4), ["a"]), np.array([10]), [(10, "b")], 2)
    assert index.count == 10
    assert 10 not in index.numbers()


def test_no_label_and_an_empty_label_are_two_things() -> None:
    rows = clustered(6, 4)
    index, _ = _made(rows, labels=[None, "", "a", None, "", "a"])
    assert sorted(index.search(rows[0], 9, any_label=False).numbers.tolist()) == [0, 3]
    assert sorted(index.search(rows[0], 9, label="").numbers.tolist()) == [1, 4]
    assert len(index.search(rows[0], 9).numbers) == 6


def test_an_excluded_row_is_not_found() -> None:
    rows = clustered(900, 8)
    index, _ = _made(rows)
    hits = index.search(rows[5], 10, exclude=5)
    others = np.arange(900) != 5
    want = nearest("l2", rows[5], np.arange(900)[others], rows[others], 10)
    assert hits.numbers.tolist() == want
    assert index.search(rows[5], 10, exclude=12345).numbers[0] == 5


@pytest.mark.parametrize("metric", METRICS)
def test_a_label_finds_what_brute_force_finds_among_its_rows(metric: Metric) -> None:
    rows = clustered(5000, 12)
    labels: list[str | None] = [f"l{i % 3}" if i % 50 else "rare" for i in range(5000)]
    index, _ = _made(rows, metric, labels)
    for label in ("l0", "rare"):
        mine = np.flatnonzero(np.array(labels) == label)
        want = nearest(metric, rows[77], mine, rows[mine], 10)
        assert index.search(rows[77], 10, label=label).numbers[:10].tolist() == want


@pytest.mark.parametrize("metric", METRICS)
def test_the_same_question_gets_the_same_bytes_however_rows_came_in(
    metric: Metric, tmp_path: Path
) -> None:
    rows = clustered(3000, 24)
    labels: list[str | None] = ["a"] * 3000
    whole, source = _made(rows, metric, labels, IndexOptions(threads=1))
    pieces = VectorIndex(24, metric, source, IndexOptions(threads=2))
    for start in range(0, 3000, 37):
        part = np.arange(start, min(3000, start + 37))
        pieces.apply((part, rows[part], ["a"] * len(part)), NONE, [], 1)
    whole.save(tmp_path / "index")
    live = (np.arange(3000), labels)
    loaded = VectorIndex.open(tmp_path / "index", 24, metric, source, live, 1)
    listed = VectorIndex.open(tmp_path / "none", 24, metric, source, live, 1, LISTED)
    listed.wait()
    assert listed.approximate
    for query in clustered(10, 24, seed=8):
        want = _bytes(whole.search(query, 10))
        assert _bytes(pieces.search(query, 10)) == want
        assert _bytes(loaded.search(query, 10)) == want
        assert _bytes(whole.search(query, 10, label="a")) == want
        assert _bytes(listed.search(query, 10, exact=True)) == want


@pytest.mark.parametrize("metric", METRICS)
def test_blocks_searched_by_several_threads_give_the_same_bytes(metric: Metric) -> None:
    rows = clustered(9000, 512)  # 18 MB: five blocks
    one, _ = _made(rows, metric, options=IndexOptions(threads=1))
    three, _ = _made(rows, metric, options=IndexOptions(threads=3))
    for query in clustered(3, 512, seed=8):
        assert _bytes(one.search(query, 10)) == _bytes(three.search(query, 10))
        want = nearest(metric, query, np.arange(9000), rows, 10)
        assert one.search(query, 10).numbers[:10].tolist() == want


def test_many_removed_rows_are_cleared_away_in_the_background() -> None:
    rows = clustered(4000, 8)
    index, source = _made(rows)
    gone = np.arange(0, 4000, 2)
    source.drop(gone)
    index.apply(NO_ROWS, gone, [(1, "x")], 2)
    index.wait()
    assert source.scans == 1
    assert index.numbers().tolist() == list(range(1, 4000, 2))
    assert index.search(rows[1], 1, label="x").numbers.tolist() == [1]
    left = np.arange(1, 4000, 2)
    want = nearest("l2", rows[2], left, rows[left], 10)
    assert index.search(rows[2], 10).numbers.tolist() == want
