"""What a put, a patch and a removal decide, over dictionaries: no database, no SQL."""

import json
from dataclasses import replace

import numpy as np
import pytest

from core.errors import (
    Conflict,
    InvalidValue,
    SeethroughError,
    UnknownCollection,
    UnknownItem,
    VersionMismatch,
)
from core.gallery import rules
from core.gallery.changes import Added, Relabeled, Removed
from core.gallery.records import ANY_VERSION, Idempotency, Patch, Put, Remove, Write, Written
from core.types import ImageFile
from tests.core.gallery.dicts import DictTransaction
from tests.core.gallery.records import Clock, new_item, sha256, spec

SAME = sha256("same")


class Gallery:
    """Writes, each a transaction of its own, and the changes they told of."""

    def __init__(self, clock: Clock, **given: object) -> None:
        self.tx = DictTransaction(clock, **given)
        self.changes: list[object] = []

    def write(self, write: Write) -> Written:
        effect = rules.write(self.tx, write)
        self.changes = list(effect.changes)
        self.tx.seq += effect.counts
        return effect.answer

    @property
    def ids(self) -> list[str]:
        return [self.tx.stored[ordinal].item.id for ordinal in sorted(self.tx.stored)]


@pytest.fixture
def gallery(clock: Clock) -> Gallery:
    return Gallery(clock)


def test_a_new_item_is_added_and_told_of(gallery: Gallery) -> None:
    written = gallery.write(Put("c", new_item("a", label="x")))
    assert (written.created, written.seq, written.replayed) == (True, 1, False)
    (added,) = gallery.changes
    assert isinstance(added, Added)
    assert (added.key, added.number, added.label) == (7, written.item.number, "x")
    assert added.pixels is None  # the collection has no pixel space


def test_an_upsert_replaces_in_place_and_takes_the_old_vector_out(
    gallery: Gallery, clock: Clock
) -> None:
    old = gallery.write(Put("c", new_item("a", 1))).item
    gallery.write(Put("c", new_item("b", 2)))
    clock.forward(hours=1)
    written = gallery.write(Put("c", new_item("a", 3), upsert=True))
    assert not written.created
    assert gallery.ids == ["a", "b"]
    assert written.item.created_at == old.created_at
    removed, added = gallery.changes
    assert removed == Removed(7, old.number)
    assert isinstance(added, Added)
    assert added.number == written.item.number != old.number


def test_a_taken_id_is_a_conflict_and_changes_nothing(gallery: Gallery) -> None:
    old = gallery.write(Put("c", new_item("a", 1))).item
    with pytest.raises(Conflict, match="'a'"):
        gallery.write(Put("c", new_item("a", 2)))
    assert [each.item for each in gallery.tx.stored.values()] == [old]


def test_an_id_is_made_where_none_is_given(gallery: Gallery, clock: Clock) -> None:
    made = []
    for _ in range(3):
        made.append(gallery.write(Put("c", new_item(None))).item.id)
        clock.forward(milliseconds=1)
    assert made == sorted(set(made))
    assert all(len(id) == 26 for id in made)


@pytest.mark.parametrize("id", ["new", None])
def test_a_twin_is_kept_rejected_or_replaced(gallery: Gallery, id: str | None) -> None:
    twin = gallery.write(Put("c", new_item("old", sha256=SAME))).item
    put = Put("c", new_item(id, 5, sha256=SAME))
    with pytest.raises(Conflict, match="'old'"):
        gallery.write(replace(put, on_duplicate="reject"))
    written = gallery.write(replace(put, on_duplicate="replace"))
    # With an id of its own the new one stands in its own place; without, in the twin's.
    assert gallery.ids == [id or "old"]
    assert written.created == (id is not None)
    assert gallery.changes[0] == Removed(7, twin.number)


def test_of_several_twins_the_oldest_is_replaced(gallery: Gallery) -> None:
    for id in ("a", "b"):
        gallery.write(Put("c", new_item(id, sha256=SAME)))
    gallery.write(Put("c", new_item("n", 5, sha256=SAME), on_duplicate="replace"))
    assert gallery.ids == ["b", "n"]


def test_the_same_bytes_under_the_same_id_are_no_duplicate(gallery: Gallery) -> None:
    gallery.write(Put("c", new_item("a", sha256=SAME)))
    put = Put("c", new_item("a", 5, sha256=SAME), upsert=True, on_duplicate="reject")
    assert not gallery.write(put).created


def test_a_label_is_told_of_and_metadata_alone_is_not(gallery: Gallery) -> None:
    old = gallery.write(Put("c", new_item("a", label="x", metadata={"n": 1}))).item
    now = gallery.write(Patch("c", "a", label="y")).item
    assert gallery.changes == [Relabeled(7, old.number, "y")]
    assert now.metadata == {"n": 1}
    now = gallery.write(Patch("c", "a", metadata={"n": 2})).item
    assert gallery.changes == []
    assert (now.label, now.metadata) == ("y", {"n": 2})


def test_a_removal_answers_what_was_there(gallery: Gallery) -> None:
    item = gallery.write(Put("c", new_item("a"))).item
    assert gallery.write(Remove("c", "a")).item == item
    assert gallery.ids == []
    assert gallery.changes == [Removed(7, item.number)]


def test_versions_that_match_and_that_do_not(gallery: Gallery) -> None:
    old = gallery.write(Put("c", new_item("a"))).item.version
    now = gallery.write(Patch("c", "a", label="x")).item.version
    stale, fresh = frozenset({old}), frozenset({old, now})
    for write in (
        Put("c", new_item("a"), upsert=True, if_match=stale),
        Patch("c", "a", label="y", if_match=stale),
        Remove("c", "a", if_match=stale),
    ):
        with pytest.raises(VersionMismatch, match=f"version {now}, not {old}"):
            gallery.write(write)
    gallery.write(Patch("c", "a", label="y", if_match=fresh))
    gallery.write(Remove("c", "a", if_match=ANY_VERSION))


@pytest.mark.parametrize(
    ("write", "error"),
    [
        (Put("d", new_item()), UnknownCollection),
        (Patch("c", "a"), UnknownItem),
        (Remove("c", "a"), UnknownItem),
        (Put("c", new_item("a"), upsert=True, if_match=ANY_VERSION), UnknownItem),
        (Put("c", new_item(None), if_match=ANY_VERSION), InvalidValue),
        (Put("c", new_item(dim=5)), InvalidValue),
        (Put("c", new_item(vector=np.full(4, np.nan, np.float32))), InvalidValue),
    ],
)
def test_what_cannot_be_done_is_said(
    gallery: Gallery, write: Write, error: type[SeethroughError]
) -> None:
    with pytest.raises(error):
        gallery.write(write)
    assert gallery.ids == []


def test_a_collection_keeps_only_what_it_is_for(clock: Clock) -> None:
    original = ImageFile(b"file", None)
    seen = []
    gallery = Gallery(clock)
    insert = gallery.tx.insert
    gallery.tx.insert = lambda c, id, new: seen.append(new) or insert(c, id, new)  # type: ignore
    gallery.write(Put("c", new_item("a", original=original)))
    assert (seen[0].pixels, seen[0].original) == (None, None)
    with_pixels = Gallery(clock, pixel_space=True)
    with pytest.raises(InvalidValue, match="pixels"):
        with_pixels.write(Put("c", new_item("a", pixels=None)))


def test_a_request_that_comes_twice_is_one(gallery: Gallery, clock: Clock) -> None:
    put = Put("c", new_item(None), idempotency=Idempotency("k", "f"))
    first = gallery.write(put)
    assert gallery.write(put) == replace(first, replayed=True)
    assert gallery.tx.seq == 2  # the second used no number
    with pytest.raises(Conflict, match="'k'"):
        gallery.write(replace(put, idempotency=Idempotency("k", "g")))
    clock.forward(hours=24)
    assert not gallery.write(put).replayed


def test_a_repeated_request_answers_what_is_there_or_what_was(gallery: Gallery) -> None:
    put = Put("c", new_item("a", metadata={"ä": [1]}), idempotency=Idempotency("k", "f"))
    first = gallery.write(put)
    patched = gallery.write(Patch("c", "a", label="new")).item
    assert gallery.write(put).item == patched
    gallery.write(Remove("c", "a"))
    assert gallery.write(put) == replace(first, replayed=True)


def test_an_answer_is_kept_by_names(gallery: Gallery) -> None:
    put = Put("c", new_item("a"), idempotency=Idempotency("k", "f"))
    item = gallery.write(put).item
    answer = json.loads(gallery.tx.kept["k"][1].answer)
    assert answer["id"] == "a"
    assert set(answer) == set(item.__slots__)


def test_a_network_of_the_same_kind_can_take_over_a_collection() -> None:
    rules.require_rebindable(spec(), spec(model="another", dim=9))
    for given in ({"metric": "l1"}, {"pixel_space": True}, {"keep_originals": True}):
        with pytest.raises(InvalidValue, match="as the collection has them"):
            rules.require_rebindable(spec(), spec(**given))
