"""What happens to bytes that a collection holds already."""

from dataclasses import replace

import pytest

from core.errors import Conflict
from core.gallery.changes import Added, Removed
from core.gallery.records import Put
from core.gallery.sqlite.store import Store
from tests.core.gallery.records import new_item, sha256, spec
from tests.core.gallery.sqlite.stores import Recorder


def twin(id: str | None, seed: int = 9) -> Put:
    return Put("c", new_item(id, seed, sha256=sha256("same")), on_duplicate="replace")


def test_the_same_bytes_are_kept_twice_by_default(store: Store) -> None:
    store.write(Put("c", new_item("a", sha256=sha256("same")))).result()
    store.write(Put("c", new_item("b", sha256=sha256("same")))).result()
    assert store.collection("c").count == 2


def test_the_same_bytes_are_refused_with_the_holders_id(store: Store) -> None:
    store.write(Put("c", new_item("holder", sha256=sha256("same")))).result()
    store.create(spec("d")).result()
    store.write(Put("d", new_item("b", sha256=sha256("same")), on_duplicate="reject")).result()
    for id in (None, "b"):
        put = Put("c", new_item(id, sha256=sha256("same")), on_duplicate="reject")
        with pytest.raises(Conflict, match="'holder'"):
            store.write(put).result()


def test_an_items_own_bytes_are_no_duplicate(store: Store) -> None:
    for id in ("older", "a"):
        store.write(Put("c", new_item(id, sha256=sha256("same")))).result()
    for choice in ("reject", "replace"):
        put = replace(twin("a"), upsert=True, on_duplicate=choice)
        written = store.write(put).result()
        assert not written.created
    assert store.collection("c").count == 2
    assert store.item("c", "a").version == written.seq


def test_a_replaced_twin_keeps_its_id_where_none_is_given(store: Store, recorder: Recorder) -> None:
    old = store.write(twin("a", 1)).result().item
    store.write(Put("c", new_item("b", sha256=sha256("same")))).result()
    written = store.write(twin(None, 2)).result()
    assert (written.item.id, written.item.version, written.created) == ("a", written.seq, False)
    assert [item.id for item in store.items("c").items] == ["a", "b"]
    assert recorder.commits[-1][0][0] == Removed(store.collection("c").key, old.number)


def test_a_replaced_twin_gives_way_to_the_given_id(store: Store, recorder: Recorder) -> None:
    old = store.write(twin("a", 1)).result().item
    written = store.write(twin("b", 2)).result()
    assert (written.item.id, written.item.version, written.created) == ("b", written.seq, True)
    assert [item.id for item in store.items("c").items] == ["b"]
    removed, added = recorder.commits[-1][0]
    assert removed == Removed(store.collection("c").key, old.number)
    assert isinstance(added, Added)
    assert store.collection("c").count == 1


def test_an_upsert_that_replaces_a_twin_leaves_one_of_the_two(store: Store) -> None:
    store.write(twin("a", 1)).result()
    store.write(Put("c", new_item("b", 2))).result()
    with pytest.raises(Conflict):  # the id is taken, whatever the bytes
        store.write(twin("b", 3)).result()
    assert store.collection("c").count == 2
    written = store.write(replace(twin("b", 3), upsert=True)).result()
    assert (written.item.version, written.created) == (written.seq, False)
    assert [item.id for item in store.items("c").items] == ["b"]
