"""What every `Gallery` promises, held against a dictionary and NumPy; SQLite and FAISS for now."""

import threading
from concurrent.futures import ThreadPoolExecutor

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
from core.gallery.gallery import Gallery
from core.gallery.queries import Query
from core.gallery.records import Patch, Put, Reembedded, Remove, StoredPrediction
from core.gallery.sqlite.local import LocalGallery
from tests.core.gallery.conftest import Opener
from tests.core.gallery.memory import brute
from tests.core.gallery.records import DIM, WAIT_S, new_item, put, spec


def test_an_item_comes_back_as_it_was_stored(gallery: Gallery) -> None:
    item = new_item("a/b", 3, label="cat", metadata={"x": [1, None, "é"]})
    written = gallery.write(Put("c", item)).result(WAIT_S)
    assert written.created
    assert gallery.item("c", "a/b") == written.item
    assert (written.item.label, dict(written.item.metadata)) == ("cat", {"x": [1, None, "é"]})
    assert np.array_equal(gallery.vector("c", "a/b"), item.vector)
    assert gallery.thumbnail("c", "a/b") == item.thumbnail
    assert gallery.collection("c").count == 1


def test_a_removed_item_is_found_nowhere(gallery: Gallery) -> None:
    put(gallery, "a", 1)
    put(gallery, "b", 2)
    gallery.write(Remove("c", "a")).result(WAIT_S)
    assert [
        each.item.id for each in gallery.nearest("c", Query(np.zeros(DIM, np.float32))).found
    ] == ["b"]
    with pytest.raises(UnknownItem):
        gallery.item("c", "a")


def test_a_write_is_seen_by_whoever_names_its_number(gallery: Gallery) -> None:
    seq = put(gallery, "a", 1)
    assert gallery.seq >= seq
    assert gallery.nearest("c", Query(np.zeros(DIM, np.float32), min_seq=seq)).seq >= seq
    with pytest.raises(NotYetApplied):
        gallery.nearest("c", Query(np.zeros(DIM, np.float32), min_seq=seq + 1))
    with pytest.raises(InvalidValue, match="at most 10000 above the last change"):
        gallery.nearest("c", Query(np.zeros(DIM, np.float32), min_seq=seq + 10_001))


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
