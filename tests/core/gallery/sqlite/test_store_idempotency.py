"""Requests that come twice are one."""

from dataclasses import replace

import pytest

from core.errors import Conflict
from core.gallery.records import Idempotency, Patch, Put, Remove
from core.gallery.sqlite.store import Store
from tests.core.gallery.records import Clock, new_item, spec
from tests.core.gallery.sqlite.stores import Recorder, one_group


def promised(id: str | None = None, key: str = "k", fingerprint: str = "f", seed: int = 0) -> Put:
    return Put("c", new_item(id, seed), idempotency=Idempotency(key, fingerprint))


def test_a_repeated_request_is_answered_and_not_repeated(store: Store) -> None:
    first = store.write(promised()).result()
    again = store.write(promised()).result()
    assert again == replace(first, replayed=True)
    assert store.collection("c").count == 1
    assert store.seq == first.seq


def test_a_repeated_request_answers_the_item_as_it_stands(store: Store) -> None:
    first = store.write(promised("a")).result()
    patched = store.write(Patch("c", "a", label="new")).result().item
    assert store.write(promised("a")).result() == replace(first, item=patched, replayed=True)


def test_a_repeated_request_answers_a_removed_item_as_it_was(store: Store) -> None:
    first = store.write(promised("a")).result()
    store.write(Remove("c", "a")).result()
    store.write(Put("c", new_item("a", 5))).result()  # another item, though of the same id
    assert store.write(promised("a")).result() == replace(first, replayed=True)


def test_a_key_with_another_request_is_a_conflict(store: Store) -> None:
    store.write(promised()).result()
    with pytest.raises(Conflict, match="'k'"):
        store.write(promised(fingerprint="g")).result()
    store.create(spec("d")).result()
    elsewhere = replace(promised(fingerprint="g"), collection="d")
    assert not store.write(elsewhere).result().replayed


def test_a_request_that_failed_is_not_remembered(store: Store) -> None:
    store.write(Put("c", new_item("a"))).result()
    with pytest.raises(Conflict):
        store.write(promised("a")).result()
    store.write(Remove("c", "a")).result()
    assert not store.write(promised("a")).result().replayed


def test_requests_are_forgotten_after_a_day(store: Store, clock: Clock) -> None:
    store.write(promised(key="old")).result()
    clock.forward(hours=23)
    store.write(promised(key="new")).result()
    assert store.write(promised(key="old")).result().replayed
    clock.forward(hours=1)
    store.write(promised(key="newer")).result()
    with store._readers.snapshot() as connection:
        keys = connection.execute("SELECT key FROM idempotency ORDER BY key").fetchall()
    assert [key for (key,) in keys] == ["new", "newer"]
    assert not store.write(promised(key="old")).result().replayed


def test_of_two_equal_requests_at_once_one_is_stored(store: Store, recorder: Recorder) -> None:
    with one_group(store, recorder):
        futures = [store.write(promised()) for _ in range(3)]
    assert [future.result().replayed for future in futures] == [False, True, True]
    assert store.collection("c").count == 1
