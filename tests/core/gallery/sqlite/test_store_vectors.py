"""What an index asks of a store: numbers, matrices, and new vectors for a collection."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from core.errors import Conflict, Draining, InvalidValue, UnknownCollection, UnknownItem
from core.gallery.changes import Rebound
from core.gallery.records import NewItem, Patch, Put, Reembedded, Remove, StoredPrediction
from core.gallery.sqlite.database import connect
from core.gallery.sqlite.store import Store
from tests.core.gallery.records import Clock, new_item, spec
from tests.core.gallery.sqlite.stores import Recorder, opened


@pytest.fixture
def store(tmp_path: Path, recorder: Recorder, clock: Clock) -> Iterator[Store]:
    """With 12 items in "c" and in "p", which has a pixel space; their numbers alternate."""
    with opened(tmp_path / "g.db", recorder, clock) as store:
        store.create(spec("p", pixel_space=True)).result()
        for seed in range(12):
            for name in ("c", "p"):
                store.write(Put(name, item(seed))).result()
        yield store


def item(seed: int) -> NewItem:
    return new_item(f"{seed:02}", seed, label=f"l{seed % 3}" if seed % 4 else None)


def key(store: Store, name: str) -> int:
    return store.collection(name).key


def numbers(store: Store, name: str) -> list[int]:
    return [each.number for each in store.items(name, limit=100).items]


def test_live_numbers_ascend_with_their_labels(store: Store) -> None:
    store.write(Put("p", new_item("03", 30, label="up"), upsert=True)).result()
    store.write(Patch("p", "05", label="patched")).result()
    store.write(Remove("p", "07")).result()
    found, labels = store.live(key(store, "p"))
    items = sorted(store.items("p", limit=100).items, key=lambda each: each.number)
    assert found.dtype == np.int64
    assert found.tolist() == [each.number for each in items]
    assert labels == [each.label for each in items]
    assert labels[-1] == "up"


def test_a_collection_without_items_or_of_no_known_key_has_no_vectors(store: Store) -> None:
    store.create(spec("empty")).result()
    for number, dim in ((key(store, "empty"), 4), (999, 0)):
        assert [len(each) for each in store.live(number)] == [0, 0]
        assert list(store.scan(number, "features")) == []
        assert store.items_of(number, [1, 2]) == [None, None]
        found, matrix = store.vectors_of(number, [1, 2], "features")
        assert (found.tolist(), matrix.shape, matrix.dtype) == ([], (0, dim), np.float32)
    assert store.vectors_of(key(store, "c"), [1], "pixels")[1].shape == (0, 3072)


def test_vectors_of_answers_those_that_are_there_ascending(store: Store) -> None:
    wanted = numbers(store, "p")
    store.write(Remove("p", "04")).result()
    asked = [*reversed(wanted), 10_000, wanted[0], *numbers(store, "c")]
    found, matrix = store.vectors_of(key(store, "p"), np.array(asked), "features")
    del wanted[4]
    assert found.tolist() == wanted
    left = [seed for seed in range(12) if seed != 4]
    assert np.array_equal(matrix, np.stack([item(seed).vector for seed in left]))
    matrix[0] = 0  # one's own


def test_pixels_come_between_0_and_1(store: Store) -> None:
    _, matrix = store.vectors_of(key(store, "p"), numbers(store, "p"), "pixels")
    expected = np.stack([item(seed).pixels.reshape(3072) / 255 for seed in range(12)])
    assert matrix.dtype == np.float32
    assert np.allclose(matrix, expected, atol=1e-7)
    assert (matrix.min(), matrix.max()) == (0, 1)


def test_more_numbers_than_one_statement_takes_are_all_found(store: Store) -> None:
    asked = list(range(5000))
    found, _ = store.vectors_of(key(store, "c"), asked, "features")
    assert found.tolist() == numbers(store, "c")
    items = store.items_of(key(store, "c"), asked)
    assert [each.number for each in items if each] == numbers(store, "c")


@pytest.mark.parametrize("space", ["features", "pixels"])
@pytest.mark.parametrize("block", [1, 5, 12, 100])
def test_a_scan_is_all_vectors_in_blocks(store: Store, space: str, block: int) -> None:
    blocks = list(store.scan(key(store, "p"), space, block))
    assert all(len(found) == block for found, _ in blocks[:-1])
    found, matrix = store.vectors_of(key(store, "p"), numbers(store, "p"), space)
    assert np.array_equal(np.concatenate([each for each, _ in blocks]), found)
    assert np.array_equal(np.concatenate([each for _, each in blocks]), matrix)


def test_a_scan_sees_one_state_however_long_it_takes(store: Store) -> None:
    expected = numbers(store, "c")
    scan = store.scan(key(store, "c"), "features", 5)
    seen = next(scan)[0].tolist()
    for id in ("00", "06", "11"):
        store.write(Remove("c", id)).result()
    store.write(Put("c", new_item("late"))).result()
    for found, matrix in scan:
        assert len(found) == len(matrix)
        seen += found.tolist()
    assert seen == expected


def test_an_abandoned_scan_lets_go_of_its_state(store: Store) -> None:
    scan = store.scan(key(store, "c"), "features", 1)
    next(scan)
    store.write(Remove("c", "00")).result()
    assert is_state_held(store)
    del scan
    assert not is_state_held(store)


def is_state_held(store: Store) -> bool:
    """Whether SQLite must keep its log because somebody reads an older state."""
    with closing(connect(store._file)) as connection:
        connection.execute("PRAGMA busy_timeout = 0")
        busy, _, _ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        return bool(busy)


def test_a_scan_ends_when_the_store_is_closed(tmp_path: Path) -> None:
    with opened(tmp_path / "other.db") as store:
        for seed in range(3):
            store.write(Put("c", item(seed))).result()
        scan = store.scan(key(store, "c"), "features", 1)
        next(scan)
    with pytest.raises(Draining):
        next(scan)


def test_items_come_in_the_order_of_their_numbers_asked_for(store: Store) -> None:
    wanted = [numbers(store, "c")[place] for place in (5, 0, 11, 5)]
    ids = [each and each.id for each in store.items_of(key(store, "c"), [*wanted, 9999])]
    assert ids == ["05", "00", "11", "05", None]
    assert store.items_of(key(store, "p"), wanted[:1]) == [None]
    assert store.items_of(key(store, "c"), np.array(wanted[:1]))[0] == store.item("c", "05")


def test_blocks_hold_all_items_in_the_listings_order(store: Store) -> None:
    store.write(Put("c", new_item("03", 99), upsert=True)).result()
    blocks = list(store.vectors("c", block=5))
    assert [len(items) for items, _ in blocks] == [5, 5, 2]
    items = [each for listed, _ in blocks for each in listed]
    assert items == list(store.items("c", limit=100).items)
    matrix = np.concatenate([each for _, each in blocks])
    assert np.array_equal(matrix, np.stack([store.vector("c", each.id) for each in items]))


def test_blocks_hold_the_items_asked_for_in_their_order(store: Store) -> None:
    ids = ["07", "01", "11", "01"]
    blocks = list(store.vectors("c", ids, block=3))
    assert [[each.id for each in items] for items, _ in blocks] == [ids[:3], ids[3:]]
    assert np.array_equal(blocks[0][1], np.stack([item(seed).vector for seed in (7, 1, 11)]))
    assert list(store.vectors("c", [])) == []


def test_blocks_of_what_is_not_there_say_so(store: Store) -> None:
    with pytest.raises(UnknownCollection):
        list(store.vectors("d"))
    with pytest.raises(UnknownItem):
        list(store.vectors("c", ["00", "nobody"]))


def fresh(store: Store, dim: int = 6) -> Iterator[Reembedded]:
    for each in reversed(store.items("p", limit=100).items):
        place = int(each.id)
        best = StoredPrediction(place, f"sort {place}", place / 12)
        yield Reembedded(each.id, np.full(dim, place, np.float32), best)


def test_a_rebound_collection_has_new_vectors_under_new_numbers(
    store: Store, recorder: Recorder
) -> None:
    before = {each.id: each for each in store.items("p", limit=100).items}
    others = numbers(store, "c")
    pixels = store.pixels("p", "03")
    wanted = spec("p", pixel_space=True, model="other", digest="sha256:1", layer="x", dim=6)
    store.rebind(wanted, fresh(store))
    collection = store.collection("p")
    assert (collection.spec, collection.count) == (wanted, 12)
    assert recorder.commits[-1] == ([Rebound(collection)], store.seq)
    after = store.items("p", limit=100).items
    assert [each.id for each in after] == list(before)
    assert min(each.number for each in after) > max(each.number for each in before.values())
    for each in after:
        assert np.array_equal(store.vector("p", each.id), np.full(6, int(each.id)))
    assert np.array_equal(store.pixels("p", "03"), pixels)
    assert numbers(store, "c") == others
    old = [each.number for each in before.values()]
    assert len(store.vectors_of(collection.key, old, "features")[0]) == 0
    assert len(store.vectors_of(collection.key, numbers(store, "p"), "pixels")[0]) == 12


def test_a_rebound_collection_has_the_new_networks_predictions(store: Store, clock: Clock) -> None:
    before = {each.id: each for each in store.items("p", limit=100).items}
    others = store.items("c", limit=100)
    clock.forward(hours=1)
    store.rebind(spec("p", pixel_space=True, dim=6), fresh(store))
    for each in store.items("p", limit=100).items:
        old, place = before[each.id], int(each.id)
        assert each.prediction == StoredPrediction(place, f"sort {place}", place / 12)
        assert (each.version, each.updated_at) == (store.seq, clock.now)
        for name in ("label", "metadata", "sha256", "created_at"):
            assert getattr(each, name) == getattr(old, name)
    assert [each.id for each in store.items("p", text="SORT 11").items] == ["11"]
    assert store.items("p", text="class").total == 0
    assert store.items("c", limit=100) == others


@pytest.mark.parametrize("what", ["missing", "twice", "unknown", "length", "raises", "metric"])
def test_a_rebinding_that_fails_changes_nothing(
    store: Store, recorder: Recorder, what: str
) -> None:
    def anew() -> Iterator[Reembedded]:
        for place, each in enumerate(fresh(store)):
            if place == 5 and what == "missing":
                continue
            if place == 5 and what == "raises":
                raise OSError("the model is gone")
            if place == 5 and what == "length":
                each = replace(each, vector=each.vector[:5])
            yield each
            if place == 5 and what == "twice":
                yield each
        if what == "unknown":
            yield replace(each, id="nobody")

    errors = {"missing": Conflict, "unknown": UnknownItem, "raises": OSError}
    state = (store.collection("p"), store.items("p", limit=100), store.seq)
    given = spec("p", pixel_space=True, dim=6, metric="l1" if what == "metric" else "l2")
    with pytest.raises(errors.get(what, InvalidValue)):
        store.rebind(given, anew())
    assert state == (store.collection("p"), store.items("p", limit=100), store.seq)
    assert np.array_equal(store.vector("p", "03"), item(3).vector)
    assert not any(isinstance(change, Rebound) for change in recorder.changes)


def test_a_rebinding_needs_a_collection(store: Store) -> None:
    with pytest.raises(UnknownCollection):
        store.rebind(spec("d"), iter(()))
