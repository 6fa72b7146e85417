"""Random writes against a plain list of dicts that does the same."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.errors import Conflict, InvalidValue, UnknownItem, VersionMismatch
from core.gallery.records import ANY_VERSION, UNSET, IfMatch, Patch, Put, Remove, Write
from core.gallery.sqlite.store import Store
from tests.core.gallery.records import new_item, sha256
from tests.core.gallery.sqlite.stores import Recorder, opened

IDS = st.sampled_from(["a", "b", "c"])
LABELS = st.sampled_from([None, "x", "y"])
# Of the first few changes (the first one makes the collection), so that some of them match.
VERSIONS = st.none() | st.just(ANY_VERSION) | st.frozensets(st.integers(2, 5), max_size=2)


@st.composite
def puts(draw: st.DrawFn) -> Put:
    seed = draw(st.integers(0, 10_000))
    content = sha256(draw(st.sampled_from("123")))
    return Put(
        "c",
        new_item(draw(st.none() | IDS), seed, label=draw(LABELS), sha256=content),
        upsert=draw(st.booleans()),
        on_duplicate=draw(st.sampled_from(["keep", "reject", "replace"])),
        if_match=draw(st.none() | st.none() | VERSIONS),
    )


WRITES = st.one_of(
    puts(),
    puts(),
    st.builds(
        Patch,
        st.just("c"),
        IDS,
        label=LABELS | st.just(UNSET),
        metadata=st.just(UNSET) | st.just({"changed": True}),
        if_match=VERSIONS,
    ),
    st.builds(Remove, st.just("c"), IDS, if_match=VERSIONS),
)


def admits(wanted: IfMatch | None, version: int) -> bool:
    return wanted in (None, ANY_VERSION) or version in set(wanted or ())


@dataclass
class Model:
    """A collection as a list, in the listing's order.

    Attributes:
        seq: number of the last change: that which made the collection.
    """

    seq: int
    items: list[dict[str, Any]] = field(default_factory=list)

    def write(self, write: Write) -> dict[str, Any] | type[Exception]:
        """The item as it should be answered, or the error that should be raised."""
        if isinstance(write, Put):
            return self.put(write)
        found = self.find("id", write.id)
        if found is None:
            return UnknownItem
        if not admits(write.if_match, found["version"]):
            return VersionMismatch
        self.seq += 1
        if isinstance(write, Remove):
            self.items.remove(found)
            return found
        if write.label is not UNSET:
            found["label"] = write.label
        if write.metadata is not UNSET:
            found["metadata"] = write.metadata
        found["version"] = self.seq
        return found

    def put(self, put: Put) -> dict[str, Any] | type[Exception]:
        new = put.item
        own = None if new.id is None else self.find("id", new.id)
        if own is None and put.if_match is not None:
            return InvalidValue if new.id is None else UnknownItem
        if own is not None and not admits(put.if_match, own["version"]):
            return VersionMismatch
        if own is not None and not put.upsert:
            return Conflict
        twin = self.find("sha256", new.sha256)
        if put.on_duplicate != "keep" and twin and not (own and own["sha256"] == new.sha256):
            if put.on_duplicate == "reject":
                return Conflict
            if new.id is None:
                own = twin
            else:
                self.items.remove(twin)
        self.seq += 1
        if own is None:
            own = {"id": new.id, "created": self.seq}
            self.items.append(own)
        own |= {"label": new.label, "metadata": {}, "sha256": new.sha256, "vector": new.vector}
        own["version"] = self.seq
        return own

    def find(self, name: str, value: str) -> dict[str, Any] | None:
        return next((item for item in self.items if item[name] == value), None)


def run(store: Store, model: Model, write: Write) -> None:
    before = model.seq
    expected = model.write(write)
    future = store.write(write)
    if isinstance(expected, type):
        with pytest.raises(expected):
            future.result()
        assert store.seq == before
        return
    written = future.result()
    expected["id"] = expected["id"] or written.item.id  # a made one
    assert written.seq == store.seq == model.seq == before + 1
    assert written.created == (isinstance(write, Put) and expected["created"] == model.seq)
    for name in ("id", "version", "label", "metadata", "sha256"):
        assert getattr(written.item, name) == expected[name], name


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(WRITES, max_size=25))
def test_store_and_index_agree_with_a_plain_list(
    tmp_path_factory: pytest.TempPathFactory, writes: list[Write]
) -> None:
    recorder = Recorder()
    with opened(tmp_path_factory.mktemp("model") / "g.db", recorder) as store:
        model = Model(store.seq)
        for write in writes:
            run(store, model, write)
        items = store.items("c", limit=100).items
        assert [item.id for item in items] == [each["id"] for each in model.items]
        assert store.collection("c").count == len(model.items)
        held = recorder.vectors()
        assert sorted(held) == sorted(item.number for item in items)
        for item, each in zip(items, model.items, strict=True):
            assert np.array_equal(store.vector("c", item.id), each["vector"])
            assert np.array_equal(held[item.number][1], each["vector"])
            assert held[item.number][0] == item.label == each["label"]
