"""What every `Gallery` promises, held against a dictionary and NumPy; SQLite and FAISS for now."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.errors import (
    Conflict,
    InvalidValue,
    NotYetApplied,
    UnknownCollection,
    UnknownItem,
    VersionMismatch,
)
from core.gallery.distances import PIXEL_DIM
from core.gallery.gallery import Gallery
from core.gallery.queries import Query
from core.gallery.records import METRICS, Metric, Patch, Put, Reembedded, Remove, StoredPrediction
from core.gallery.sqlite.local import LocalGallery
from core.types import FloatArray
from tests.core.gallery.records import DIM, new_item, sha256, spec

WAIT_S = 30
Opener = Callable[[], Gallery]


@pytest.fixture
def reopen(tmp_path: Path) -> Iterator[Opener]:
    """Opens the gallery under test; once more closes it first, as a restart does."""
    opened: list[Gallery] = []

    def open_() -> Gallery:
        if opened:
            opened.pop().close()
        opened.append(LocalGallery(tmp_path / "gallery"))
        return opened[-1]

    yield open_
    for each in opened:
        each.close()


@pytest.fixture
def gallery(reopen: Opener) -> Gallery:
    gallery = reopen()
    gallery.create(spec("c")).result(WAIT_S)
    return gallery


def put(gallery: Gallery, id: str, seed: int = 0, collection: str = "c", **given: object) -> int:
    item = new_item(id, seed, **given)  # type: ignore[arg-type]
    return gallery.write(Put(collection, item, upsert=True)).result(WAIT_S).seq


def brute(metric: Metric, query: FloatArray, rows: FloatArray) -> np.ndarray:
    query, rows = query.astype(np.float64), rows.astype(np.float64)
    if metric == "l2":
        return np.linalg.norm(rows - query, axis=1)
    if metric == "l1":
        return np.abs(rows - query).sum(axis=1)
    return 1 - rows @ query / np.linalg.norm(rows, axis=1) / np.linalg.norm(query)


def test_an_item_comes_back_as_it_was_stored(gallery: Gallery) -> None:
    item = new_item("a/b", 3, label="cat", metadata={"x": [1, None, "é"]})
    written = gallery.write(Put("c", item)).result(WAIT_S)
    assert written.created
    assert gallery.item("c", "a/b") == written.item
    assert (written.item.label, dict(written.item.metadata)) == ("cat", {"x": [1, None, "é"]})
    assert np.array_equal(gallery.vector("c", "a/b"), item.vector)
    assert gallery.thumbnail("c", "a/b") == item.thumbnail
    assert gallery.collection("c").count == 1


@pytest.mark.parametrize("metric", METRICS)
def test_neighbors_are_those_of_brute_force_nearest_first(gallery: Gallery, metric: Metric) -> None:
    gallery.create(spec("m", metric=metric)).result(WAIT_S)
    for seed in range(50):
        put(gallery, f"{seed:02}", seed, "m")
    rows = np.stack([gallery.vector("m", f"{seed:02}") for seed in range(50)])
    query = new_item("q", 99).vector
    truth = brute(metric, query, rows)
    found = gallery.nearest("m", Query(query, k=7)).found
    order = sorted(range(50), key=lambda row: (truth[row], row))[:7]
    assert [each.item.id for each in found] == [f"{row:02}" for row in order]
    assert [each.distance for each in found] == pytest.approx(truth[order], rel=1e-9)
    assert all(0 <= each.similarity <= 1 for each in found)


def test_ties_are_ordered_by_id(gallery: Gallery) -> None:
    vector = new_item("x", 1).vector
    for id in ("d", "b", "e", "a", "c"):
        put(gallery, id, 0, vector=vector, sha256=sha256(id))
    found = gallery.nearest("c", Query(vector, k=3)).found
    assert [(each.item.id, each.distance) for each in found] == [("a", 0), ("b", 0), ("c", 0)]


def test_a_replaced_vector_is_found_where_it_is_now(gallery: Gallery) -> None:
    put(gallery, "a", 1)
    old = gallery.vector("c", "a")
    put(gallery, "a", 2)
    found = gallery.nearest("c", Query(old, k=5)).found
    assert len(found) == 1
    assert found[0].distance > 0


def test_a_removed_item_is_found_nowhere(gallery: Gallery) -> None:
    put(gallery, "a", 1)
    put(gallery, "b", 2)
    gallery.write(Remove("c", "a")).result(WAIT_S)
    assert [
        each.item.id for each in gallery.nearest("c", Query(np.zeros(DIM, np.float32))).found
    ] == ["b"]
    with pytest.raises(UnknownItem):
        gallery.item("c", "a")


def test_a_label_filters_and_follows_a_patch(gallery: Gallery) -> None:
    put(gallery, "a", 1, label="cat")
    put(gallery, "b", 2, label="dog")
    query = Query(np.zeros(DIM, np.float32), label="dog")
    assert [each.item.id for each in gallery.nearest("c", query).found] == ["b"]
    gallery.write(Patch("c", "a", label="dog")).result(WAIT_S)
    assert {each.item.id for each in gallery.nearest("c", query).found} == {"a", "b"}
    assert gallery.labels("c") == [("dog", 2)]


def test_max_per_label_makes_room_for_others(gallery: Gallery) -> None:
    for seed in range(30):
        near = np.full(DIM, 0.001 * seed, np.float32)
        put(gallery, f"cat {seed:02}", seed, label="cat", vector=near)
    put(gallery, "dog", 50, label="dog", vector=np.full(DIM, 9, np.float32))
    query = Query(np.zeros(DIM, np.float32), k=3, max_per_label=2)
    found = gallery.nearest("c", query)
    assert [each.item.id for each in found.found] == ["cat 00", "cat 01", "dog"]
    assert found.exact


def test_the_item_asked_about_can_be_left_out(gallery: Gallery) -> None:
    put(gallery, "a", 1)
    put(gallery, "b", 2)
    query = Query(gallery.vector("c", "a"), exclude="a")
    assert [each.item.id for each in gallery.nearest("c", query).found] == ["b"]


def test_pixels_are_compared_where_they_are_kept(gallery: Gallery) -> None:
    gallery.create(spec("p", pixel_space=True)).result(WAIT_S)
    for seed in range(5):
        put(gallery, str(seed), seed, "p")
    pixels = gallery.pixels("p", "3")
    assert pixels is not None
    query = Query(pixels.reshape(-1).astype(np.float32) / 255, space="pixels", k=2)
    found = gallery.nearest("p", query)
    assert (found.found[0].item.id, found.found[0].distance) == ("3", 0)
    assert found.space == "pixels"
    with pytest.raises(InvalidValue):
        gallery.nearest("c", Query(np.zeros(PIXEL_DIM, np.float32), space="pixels"))


def test_a_vector_of_another_length_is_refused(gallery: Gallery) -> None:
    put(gallery, "a", 1)
    with pytest.raises(InvalidValue, match="4"):
        gallery.nearest("c", Query(np.zeros(DIM + 1, np.float32)))
    with pytest.raises(InvalidValue):
        put(gallery, "b", 1, dim=DIM + 1)
    assert gallery.collection("c").count == 1


def test_an_empty_collection_has_no_neighbors(gallery: Gallery) -> None:
    found = gallery.nearest("c", Query(np.zeros(DIM, np.float32)))
    assert (found.found, found.exact) == ((), True)


def test_a_write_is_seen_by_whoever_names_its_number(gallery: Gallery) -> None:
    seq = put(gallery, "a", 1)
    assert gallery.seq >= seq
    assert gallery.nearest("c", Query(np.zeros(DIM, np.float32), min_seq=seq)).seq >= seq
    with pytest.raises(NotYetApplied):
        gallery.nearest("c", Query(np.zeros(DIM, np.float32), min_seq=seq + 1))


def test_a_version_guards_a_change(gallery: Gallery) -> None:
    put(gallery, "a", 1)
    version = gallery.item("c", "a").version
    gallery.write(Patch("c", "a", label="x", if_match=frozenset({version}))).result(WAIT_S)
    with pytest.raises(VersionMismatch):
        gallery.write(Remove("c", "a", if_match=frozenset({version}))).result(WAIT_S)
    assert gallery.item("c", "a").label == "x"


def test_a_version_never_comes_back_with_a_new_item(gallery: Gallery) -> None:
    put(gallery, "a", 1)
    version = gallery.item("c", "a").version
    gallery.write(Remove("c", "a")).result(WAIT_S)
    put(gallery, "a", 1)
    assert gallery.item("c", "a").version != version


def test_a_taken_id_is_a_conflict(gallery: Gallery) -> None:
    put(gallery, "a", 1)
    with pytest.raises(Conflict, match="a"):
        gallery.write(Put("c", new_item("a", 2))).result(WAIT_S)


def test_names_that_are_not_there_are_named(gallery: Gallery) -> None:
    with pytest.raises(UnknownCollection, match="nope"):
        gallery.collection("nope")
    with pytest.raises(UnknownCollection):
        gallery.nearest("nope", Query(np.zeros(DIM, np.float32)))
    with pytest.raises(UnknownItem, match="nope"):
        gallery.thumbnail("c", "nope")


def test_a_dropped_collection_takes_its_items_along(gallery: Gallery) -> None:
    put(gallery, "a", 1)
    gallery.drop("c").result(WAIT_S)
    assert gallery.collections() == []
    gallery.create(spec("c")).result(WAIT_S)
    assert gallery.collection("c").count == 0
    assert gallery.nearest("c", Query(np.zeros(DIM, np.float32))).found == ()


def test_pages_hold_every_item_once_in_the_order_stored(gallery: Gallery) -> None:
    ids = [f"{(7 * seed) % 23}" for seed in range(23)]
    for seed, id in enumerate(ids):
        put(gallery, id, seed)
    put(gallery, ids[3], 99)
    seen: list[str] = []
    cursor = None
    while True:
        page = gallery.items("c", cursor=cursor, limit=5)
        seen += [item.id for item in page.items]
        assert page.total == 23
        cursor = page.next_cursor
        if cursor is None:
            break
    assert seen == ids


def test_another_network_replaces_all_vectors_or_none(gallery: Gallery) -> None:
    put(gallery, "a", 1)
    put(gallery, "b", 2)
    wider = spec("c", model="wide", digest="sha256:1", dim=6)
    anew = [
        Reembedded(id, np.full(6, value, np.float32), StoredPrediction(1, "one", 0.9))
        for id, value in (("a", 1), ("b", 2))
    ]
    with pytest.raises(Conflict):
        gallery.rebind(wider, iter(anew[:1]))
    assert gallery.collection("c").spec.dim == DIM
    gallery.rebind(wider, iter(anew))
    found = gallery.nearest("c", Query(np.full(6, 2, np.float32), k=1))
    assert (found.found[0].item.id, found.found[0].distance) == ("b", 0)
    assert found.found[0].item.prediction == StoredPrediction(1, "one", 0.9)
    assert gallery.verify() == []


def test_everything_is_there_after_a_restart(gallery: Gallery, reopen: Opener) -> None:
    for seed in range(40):
        put(gallery, str(seed), seed, label=str(seed % 3))
    for seed in range(0, 40, 4):
        gallery.write(Remove("c", str(seed))).result(WAIT_S)
    query = Query(new_item("q", 77).vector, k=12, label="1")
    before = gallery.nearest("c", query)
    again = reopen()
    assert again.nearest("c", query) == before or again.nearest("c", query).found == before.found
    assert again.verify() == []


def test_writers_and_searchers_do_not_disturb_each_other(gallery: Gallery) -> None:
    stop = threading.Event()
    finished: set[str] = set()

    def search() -> int:
        count = 0
        while not stop.is_set():
            must_be_there = set(finished)
            found = gallery.nearest("c", Query(np.zeros(DIM, np.float32), k=1000)).found
            assert must_be_there <= {each.item.id for each in found}
            distances = [each.distance for each in found]
            assert distances == sorted(distances)
            count += 1
        return count

    def write(first: int) -> None:
        for seed in range(first, first + 60):
            put(gallery, str(seed), seed)
            finished.add(str(seed))

    with ThreadPoolExecutor(6) as pool:
        searching = [pool.submit(search) for _ in range(2)]
        for each in [pool.submit(write, 100 * writer) for writer in range(4)]:
            each.result(WAIT_S)
        stop.set()
        assert all(each.result(WAIT_S) for each in searching)
    assert gallery.verify() == []


_IDS = st.sampled_from("abcdef")
_STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("put"), _IDS, st.integers(0, 50)),
        st.tuples(st.just("remove"), _IDS, st.just(0)),
        st.tuples(st.just("label"), _IDS, st.integers(0, 2)),
        st.tuples(st.just("restart"), st.just(""), st.just(0)),
    ),
    max_size=25,
)


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(steps=_STEPS)
def test_any_history_leaves_what_a_dictionary_would_hold(
    steps: list[tuple[str, str, int]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("history")
    gallery = LocalGallery(folder)
    gallery.create(spec("c")).result(WAIT_S)
    model: dict[str, tuple[int, str | None]] = {}
    for step, id, value in steps:
        if step == "put":
            put(gallery, id, value)
            model[id] = (value, None)
        elif step == "remove" and id in model:
            gallery.write(Remove("c", id)).result(WAIT_S)
            del model[id]
        elif step == "label" and id in model:
            gallery.write(Patch("c", id, label=str(value))).result(WAIT_S)
            model[id] = (model[id][0], str(value))
        elif step == "restart":
            gallery.close()
            gallery = LocalGallery(folder)
    try:
        query = new_item("q", 7).vector
        for label in (None, "0", "1"):
            found = gallery.nearest("c", Query(query, k=10, label=label)).found
            ids = sorted(id for id, (_, own) in model.items() if label in (None, own))
            rows = np.array([new_item(id, model[id][0]).vector for id in ids]).reshape(-1, DIM)
            near = brute("l2", query, rows)
            truth = [ids[row] for row in np.argsort(near, kind="stable")]
            assert [each.item.id for each in found] == truth
        assert gallery.verify() == []
    finally:
        gallery.close()
