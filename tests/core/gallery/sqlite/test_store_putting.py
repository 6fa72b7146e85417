"""What a picture is when it is stored, changed, replaced and removed."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from core.errors import Conflict, InvalidValue, UnknownCollection, UnknownItem, VersionMismatch
from core.gallery.changes import Added, Created, Dropped, Relabeled, Removed
from core.gallery.records import (
    ANY_VERSION,
    UNSET,
    Idempotency,
    Patch,
    Put,
    Remove,
    StoredPrediction,
)
from core.gallery.sqlite.store import Store
from core.types import ImageFile
from tests.core.gallery.records import Clock, new_item, spec
from tests.core.gallery.sqlite.stores import Recorder, one_group


def test_an_item_comes_back_as_it_was_put(store: Store, clock: Clock) -> None:
    new = new_item(
        "ä/1",
        label="Kätzchen",
        metadata={"a": [1, 2.5, None, {"ü": True}], "big": 2**80},
        prediction=StoredPrediction(3, "cat", 0.75),
    )
    written = store.write(Put("c", new)).result()
    item = store.item("c", "ä/1")
    assert written.item == item
    assert (written.created, written.replayed, written.seq) == (True, False, store.seq)
    for name in ("id", "label", "metadata", "sha256", "width", "height", "prediction"):
        assert getattr(item, name) == getattr(new, name)
    assert (item.version, item.created_at, item.updated_at) == (store.seq, clock.now, clock.now)
    assert np.array_equal(store.vector("c", "ä/1"), new.vector)
    assert store.thumbnail("c", "ä/1") == new.thumbnail


def test_pixels_and_originals_are_kept_only_where_the_collection_says_so(store: Store) -> None:
    store.create(spec("p", pixel_space=True, keep_originals=True)).result()
    new = new_item("a", original=ImageFile(b"a file", 12))
    for name in ("c", "p"):
        store.write(Put(name, new)).result()
    assert store.pixels("c", "a") is None
    assert store.original("c", "a") is None
    assert np.array_equal(store.pixels("p", "a"), new.pixels)
    assert store.original("p", "a") == ImageFile(b"a file", 12)


def test_a_taken_id_is_a_conflict_and_changes_nothing(store: Store) -> None:
    before = store.write(Put("c", new_item("a", 1))).result()
    future = store.write(Put("c", new_item("a", 2)))
    with pytest.raises(Conflict, match="'a'"):
        future.result()
    assert store.item("c", "a") == before.item
    assert store.seq == before.seq


def test_an_upsert_keeps_the_place_and_takes_a_new_number(
    store: Store, recorder: Recorder, clock: Clock
) -> None:
    old = store.write(Put("c", new_item("a", 1))).result().item
    store.write(Put("c", new_item("b", 2))).result()
    clock.forward(hours=1)
    new = new_item("a", 3, label="x")
    written = store.write(Put("c", new, upsert=True)).result()
    assert not written.created
    assert written.item.version == written.seq > old.version
    assert written.item.number > old.number
    assert (written.item.created_at, written.item.updated_at) == (old.created_at, clock.now)
    assert [item.id for item in store.items("c").items] == ["a", "b"]
    assert store.collection("c").count == 2
    removed, added = recorder.commits[-1][0]
    key = store.collection("c").key
    assert removed == Removed(key, old.number)
    assert isinstance(added, Added)
    assert (added.key, added.number, added.label) == (key, written.item.number, "x")
    assert np.array_equal(added.vector, new.vector)
    assert added.pixels is None


def test_an_upsert_of_an_unknown_id_creates_it(store: Store) -> None:
    assert store.write(Put("c", new_item("a"), upsert=True)).result().created


def test_numbers_are_never_given_twice(store: Store) -> None:
    numbers = []
    for seed in range(3):
        numbers.append(store.write(Put("c", new_item("a", seed))).result().item.number)
        store.write(Remove("c", "a")).result()
    store.drop("c").result()
    key = store.create(spec("c")).result().key
    numbers.append(store.write(Put("c", new_item("a"))).result().item.number)
    assert len(set(numbers)) == 4
    assert key == 2


def test_keys_are_not_given_twice_though_the_last_collection_went(store: Store) -> None:
    first = store.collection("c").key
    assert store.drop("c").result().key == first
    assert store.create(spec("c")).result().key > first


@pytest.mark.parametrize("label", [None, "new", UNSET])
def test_a_patch_keeps_the_number(
    store: Store, recorder: Recorder, clock: Clock, label: object
) -> None:
    old = store.write(Put("c", new_item("a", label="old", metadata={"a": 1}))).result().item
    clock.forward(seconds=1)
    patch = Patch("c", "a", label=label, metadata={"b": 2})  # type: ignore[arg-type]
    written = store.write(patch).result()
    wanted = "old" if label is UNSET else label
    changed = {"label": wanted, "version": written.seq, "updated_at": clock.now}
    expected = replace(old, metadata={"b": 2}, **changed)  # type: ignore[arg-type]
    assert written.item == expected == store.item("c", "a")
    told = [] if label is UNSET else [Relabeled(store.collection("c").key, old.number, wanted)]
    assert recorder.commits[-1] == (told, store.seq)


def test_a_patched_label_is_found_and_the_old_one_is_not(store: Store) -> None:
    store.write(Put("c", new_item("a", label="old"))).result()
    store.write(Patch("c", "a", label="new")).result()
    assert store.items("c", text="OLD").total == store.items("c", label="old").total == 0
    assert store.items("c", text="NEW").total == store.items("c", label="new").total == 1


def test_a_removal_answers_what_was_there(store: Store, recorder: Recorder) -> None:
    item = store.write(Put("c", new_item("a"))).result().item
    assert store.write(Remove("c", "a")).result().item == item
    with pytest.raises(UnknownItem):
        store.item("c", "a")
    assert recorder.commits[-1][0] == [Removed(store.collection("c").key, item.number)]


def test_a_removal_leaves_no_row_behind(store: Store, tmp_path: Path) -> None:
    store.create(spec("p", pixel_space=True)).result()
    for seed in range(3):
        store.write(Put("p", new_item("a", seed), upsert=True)).result()
    store.write(Remove("p", "a")).result()
    assert rows_left(store) == {"items": 0, "vectors": 0, "pixels": 0, "pictures": 0}


def test_a_dropped_collection_leaves_no_row_and_the_others_alone(
    store: Store, recorder: Recorder
) -> None:
    store.create(spec("p", pixel_space=True)).result()
    store.write(Put("c", new_item("a"))).result()
    for seed in range(5):
        promise = Idempotency(str(seed), "f")
        store.write(Put("p", new_item(None, seed), idempotency=promise)).result()
    before = store.collection("p")
    assert before.count == 5
    assert store.drop("p").result() == before
    assert rows_left(store) == {"items": 1, "vectors": 1, "pixels": 0, "pictures": 1}
    assert recorder.commits[-1][0] == [Dropped(before.key)]
    assert [each.spec.name for each in store.collections()] == ["c"]


def rows_left(store: Store) -> dict[str, int]:
    with store._readers.snapshot() as connection:
        return {
            table: connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
            for table in ("items", "vectors", "pixels", "pictures")
        }


def test_a_created_collection_is_as_it_was_specified(store: Store, recorder: Recorder) -> None:
    wanted = spec("other", dim=7, metric="cosine", pixel_space=True, keep_originals=True)
    collection = store.create(wanted).result()
    assert collection.spec == wanted
    assert (collection.count, collection.seq) == (0, store.seq)
    assert collection == store.collection("other")
    assert recorder.commits[-1][0] == [Created(collection)]
    with pytest.raises(Conflict, match="other"):
        store.create(wanted).result()


def test_writes_to_what_is_not_there_say_so(store: Store) -> None:
    for write in (Put("d", new_item()), Patch("d", "a"), Remove("d", "a")):
        with pytest.raises(UnknownCollection, match="known: c"):
            store.write(write).result()
    for write in (
        Patch("c", "a"),
        Remove("c", "a"),
        Put("c", new_item("a"), if_match=frozenset({1})),
        Put("c", new_item("a"), upsert=True, if_match=ANY_VERSION),
    ):
        with pytest.raises(UnknownItem):
            store.write(write).result()
    with pytest.raises(UnknownCollection):
        store.drop("d").result()


def test_a_write_with_another_version_is_refused_and_names_both(store: Store) -> None:
    old = store.write(Put("c", new_item("a"))).result().seq
    now = store.write(Patch("c", "a", label="x")).result().seq
    put = Put("c", new_item("a"), upsert=True, if_match=frozenset({old}))
    for write in (
        put,
        Patch("c", "a", if_match=frozenset({old})),
        Remove("c", "a", if_match=frozenset({old})),
    ):
        with pytest.raises(VersionMismatch, match=f"version {now}, not {old}"):
            store.write(write).result()
    for write in (put, Patch("c", "a")):
        written = store.write(replace(write, if_match=frozenset({now}))).result()
        assert written.item.version == written.seq == now + 1
        now = written.seq
    assert store.write(Remove("c", "a", if_match=frozenset({now}))).result().item.version == now


def test_any_of_several_versions_will_do_and_so_will_whatever_there_is(store: Store) -> None:
    now = store.write(Put("c", new_item("a"))).result().seq
    for wanted in (frozenset({1, now}), ANY_VERSION):
        patch = Patch("c", "a", label="x", if_match=wanted)
        assert store.write(patch).result().item.label == "x"


def test_a_version_never_comes_back_though_the_item_does(store: Store) -> None:
    versions = []
    for _ in range(3):
        versions.append(store.write(Put("c", new_item("a"))).result().item.version)
        store.write(Remove("c", "a")).result()
    assert versions == sorted(set(versions))
    with pytest.raises(UnknownItem):
        store.write(
            Put("c", new_item("a"), upsert=True, if_match=frozenset({versions[-1]}))
        ).result()


def test_a_version_without_an_id_matches_nothing(store: Store) -> None:
    with pytest.raises(InvalidValue, match="if_match"):
        store.write(Put("c", new_item(None), if_match=frozenset({1}))).result()


def test_ids_are_made_in_the_order_of_time(store: Store, clock: Clock) -> None:
    ids = []
    for _ in range(5):
        ids.append(store.write(Put("c", new_item(None))).result().item.id)
        clock.forward(milliseconds=1)
    assert ids == sorted(set(ids))
    assert all(each.isalnum() and each.isascii() and each.islower() for each in ids)


def test_a_made_id_that_is_taken_is_made_anew(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = iter([7, 7, 7, 8])
    monkeypatch.setattr("core.gallery.rules.secrets.randbits", lambda _: next(drawn))
    first = store.write(Put("c", new_item(None))).result().item.id
    second = store.write(Put("c", new_item(None))).result().item.id
    assert first != second


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"vector": np.zeros(5, np.float32)}, r"vector=\(5,\).*\(4,\)"),
        ({"vector": np.zeros((1, 4), np.float32)}, "vector"),
        ({"vector": np.array([0, 1, np.nan, 2], np.float32)}, "finite"),
        ({"vector": np.array([0, 1, np.inf, 2], np.float32)}, "finite"),
        ({"pixels": None}, "pixels"),
        ({"pixels": np.zeros((16, 16, 3), np.uint8)}, "pixels"),
        ({"pixels": np.zeros((32, 32, 3), np.float32)}, "pixels"),
        ({"metadata": {"a": float("nan")}}, "metadata"),
        ({"metadata": {"a": object()}}, "metadata"),
        ({"label": "\ud800"}, "UTF-8"),
    ],
)
def test_what_cannot_be_stored_fails_alone(
    store: Store, recorder: Recorder, given: dict[str, object], named: str
) -> None:
    store.create(spec("p", pixel_space=True)).result()
    with one_group(store, recorder):
        good = [store.write(Put("p", new_item(str(seed), seed))) for seed in range(2)]
        bad = store.write(Put("p", new_item("bad", **given)))
        good += [store.write(Put("p", new_item(str(seed), seed))) for seed in range(2, 4)]
    with pytest.raises(InvalidValue, match=named):
        bad.result()
    seqs = [future.result().seq for future in good]
    assert seqs == list(range(seqs[0], seqs[0] + 4))
    assert store.collection("p").count == 4
