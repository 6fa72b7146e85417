"""How a gallery takes care of its indexes: caches that may be lost, damaged or behind."""

import logging
import shutil
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from core.errors import NotYetApplied, UnknownCollection
from core.gallery.index.index import VectorIndex
from core.gallery.index.options import IndexOptions
from core.gallery.queries import Query
from core.gallery.records import Patch, Put, Reembedded, Remove, StoredPrediction
from core.gallery.sqlite.local import DATABASE, LocalGallery
from tests.core.gallery.records import DIM, new_item, spec

WAIT_S = 30
FEATURES, PIXELS = "1-features.index", "1-pixels.index"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A closed gallery of 40 items in "c", which has both spaces, and 30 in "d"."""
    folder = tmp_path / "gallery"
    with opened(folder) as gallery:
        gallery.create(spec("c", pixel_space=True)).result(WAIT_S)
        gallery.create(spec("d")).result(WAIT_S)
        fill(gallery, "c", range(40))
        fill(gallery, "d", range(100, 130))
        for seed in (3, 8):
            gallery.write(Remove("c", f"{seed:03}")).result(WAIT_S)
    return folder


@contextmanager
def opened(folder: Path, options: IndexOptions | None = None) -> Iterator[LocalGallery]:
    with closing(LocalGallery(folder, options)) as gallery:
        yield gallery


def fill(gallery: LocalGallery, name: str, seeds: Iterable[int]) -> None:
    items = [new_item(f"{seed:03}", seed, label=f"l{seed % 3}") for seed in seeds]
    for future in [gallery.write(Put(name, item, upsert=True)) for item in items]:
        future.result(WAIT_S)


def brute(gallery: LocalGallery, name: str, query: np.ndarray) -> list[str]:
    """Ids of the five nearest, from the vectors alone."""
    pairs = [
        (float(np.linalg.norm(row.astype(np.float64) - query)), item.id)
        for items, rows in gallery.vectors(name)
        for item, row in zip(items, rows, strict=True)
    ]
    return [id for _, id in sorted(pairs)[:5]]


def assert_right(gallery: LocalGallery) -> None:
    assert gallery.verify() == []
    for name in ("c", "d"):
        for seed in range(5):
            query = np.random.default_rng(seed).normal(size=DIM).astype(np.float32)
            found = gallery.nearest(name, Query(query, k=5)).found
            assert [each.item.id for each in found] == brute(gallery, name, query)


def test_what_was_closed_opens_with_its_indexes_and_without_a_word(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert sorted(each.name for each in (folder / "index").iterdir()) == [
        FEATURES, PIXELS, "2-features.index",
    ]  # fmt: skip
    with caplog.at_level(logging.INFO, "seethrough"), opened(folder) as gallery:
        assert_right(gallery)
    assert caplog.messages == []


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def flip(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 0x10
    file.write_bytes(content)


SPOILT: dict[str, Callable[[Path], object]] = {
    "missing": Path.unlink,
    "cut": cut,
    "one bit wrong": flip,
    "empty": lambda file: file.write_bytes(b""),
    "garbage": lambda file: file.write_bytes(np.random.default_rng(0).bytes(5000)),
    "of another space": lambda file: shutil.copy(
        file.with_name(PIXELS if file.name == FEATURES else FEATURES), file
    ),
}


@pytest.mark.parametrize("name", [FEATURES, PIXELS])
@pytest.mark.parametrize("how", SPOILT)
def test_an_index_file_that_is_of_no_use_is_made_anew_and_the_log_says_so(
    folder: Path, caplog: pytest.LogCaptureFixture, how: str, name: str
) -> None:
    SPOILT[how](folder / "index" / name)
    with caplog.at_level(logging.INFO, "seethrough"), opened(folder) as gallery:
        assert_right(gallery)
    (line,) = caplog.messages
    assert name in line
    assert "made from the stored vectors" in line
    caplog.clear()
    with caplog.at_level(logging.INFO, "seethrough"), opened(folder) as gallery:
        assert_right(gallery)
    assert caplog.messages == []


def test_index_files_of_two_collections_in_each_others_place_do_no_harm(folder: Path) -> None:
    one, two = folder / "index" / FEATURES, folder / "index" / "2-features.index"
    content = one.read_bytes()
    one.write_bytes(two.read_bytes())
    two.write_bytes(content)
    with opened(folder) as gallery:
        assert_right(gallery)


def test_an_index_from_after_the_backup_is_made_anew_with_the_restored_database(
    tmp_path: Path, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with opened(folder) as gallery:
        gallery.backup(tmp_path / "backup.db")
        fill(gallery, "c", range(200, 220))
    shutil.copy(tmp_path / "backup.db", folder / DATABASE)
    with caplog.at_level(logging.INFO, "seethrough"), opened(folder) as gallery:
        assert gallery.collection("c").count == 38
        assert_right(gallery)
    assert any(FEATURES in line and "it is of change" in line for line in caplog.messages)


def test_an_index_from_after_the_backup_does_not_come_back_when_its_change_is_reached(
    tmp_path: Path, folder: Path
) -> None:
    """Two numbers given after the backup are given again to each other's vectors."""
    with opened(folder) as gallery:
        gallery.backup(tmp_path / "backup.db")
        fill(gallery, "c", range(200, 300))
    shutil.copy(tmp_path / "backup.db", folder / DATABASE)
    with opened(folder) as gallery:
        fill(gallery, "c", (200, 201, 202, 204, 203, *range(205, 310)))
        killed = shutil.copytree(folder, tmp_path / "killed")
    with opened(killed) as gallery:
        assert gallery.collection("c").count == 148
        assert gallery.verify(queries=1000) == []


def test_an_index_that_raises_is_made_anew_and_nothing_is_lost(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with opened(folder) as gallery:
        broken = gallery._indexes[1, "features"]
        raising = {"left": 2}
        whole = VectorIndex.apply

        def apply(self: VectorIndex, *given: object) -> None:
            if self is broken and raising["left"]:
                raising["left"] -= 1
                raise MemoryError("no room for a row")
            whole(self, *given)  # type: ignore[arg-type]

        monkeypatch.setattr(VectorIndex, "apply", apply)
        fill(gallery, "c", range(300, 303))
        gallery.write(Patch("c", "301", label="new")).result(WAIT_S)
        assert_right(gallery)
        assert gallery._indexes[1, "features"] is not broken
        near = gallery.nearest("c", Query(np.zeros(DIM, np.float32), label="new"))
        assert [each.item.id for each in near.found] == ["301"]
        assert near.seq == gallery.seq
    assert any("made anew" in line for line in caplog.messages)
    with opened(folder) as gallery:
        assert_right(gallery)


def test_files_of_collections_that_are_gone_are_removed_at_start(folder: Path) -> None:
    stray = folder / "index" / "9-features.index"
    shutil.copy(folder / "index" / FEATURES, stray)
    (folder / "index" / f"{FEATURES}.draft").write_bytes(b"begun")
    with opened(folder) as gallery:
        assert not stray.exists()
        assert len(list((folder / "index").iterdir())) == 3
        gallery.drop("c").result(WAIT_S)
        assert [each.name for each in (folder / "index").iterdir()] == ["2-features.index"]
        with pytest.raises(UnknownCollection):
            gallery.nearest("c", Query(np.zeros(DIM, np.float32)))


def test_a_collection_that_comes_back_under_its_name_begins_empty(folder: Path) -> None:
    with opened(folder) as gallery:
        gallery.drop("c")
        gallery.create(spec("c", dim=7))
        gallery.write(Put("c", new_item("x", dim=7))).result(WAIT_S)
        found = gallery.nearest("c", Query(np.zeros(7, np.float32))).found
        assert [each.item.id for each in found] == ["x"]
        assert gallery.verify() == []


def test_a_collection_made_and_filled_in_one_commit_is_indexed_once(
    folder: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened(folder) as gallery:
        apply = VectorIndex.apply

        def slowly(*given: Any) -> None:
            time.sleep(0.2)  # until all that follows waits together
            apply(*given)

        monkeypatch.setattr(VectorIndex, "apply", slowly)
        futures = [gallery.write(Remove("d", "100")), gallery.create(spec("e"))]
        futures += [gallery.write(Put("e", new_item(str(i), i))) for i in range(10)]
        for future in futures:
            future.result(WAIT_S)
        assert gallery.verify() == []
    assert caplog.messages == []


def test_a_search_while_an_index_is_made_is_told_to_come_back(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    raised: list[BaseException] = []
    whole = VectorIndex.open

    with opened(folder) as gallery:

        def open_(*given: object) -> VectorIndex:
            try:  # the collection is in the database, its index is not there yet
                gallery.nearest("e", Query(np.zeros(DIM, np.float32)))
            except BaseException as error:
                raised.append(error)
            return whole(*given)  # type: ignore[arg-type]

        monkeypatch.setattr(VectorIndex, "open", open_)
        gallery.create(spec("e")).result(WAIT_S)
        assert isinstance(raised[0], NotYetApplied)
        assert gallery.nearest("e", Query(np.zeros(DIM, np.float32))).found == ()


def test_rebinding_makes_the_indexes_anew(folder: Path) -> None:
    with opened(folder) as gallery:
        ids = [item.id for item in gallery.items("c", limit=100).items]
        best = StoredPrediction(1, "x", 0.5)
        anew = [Reembedded(id, np.full(6, int(id), np.float32), best) for id in ids]
        gallery.rebind(spec("c", pixel_space=True, dim=6, digest="sha256:1"), iter(anew))
        near = gallery.nearest("c", Query(np.full(6, 17, np.float32), k=3))
        assert [each.item.id for each in near.found] == ["017", "016", "018"]
        assert gallery.verify() == []
    with opened(folder) as gallery:
        assert gallery.verify() == []


def test_indexes_are_saved_in_the_background_after_many_changes(
    folder: Path,
) -> None:
    file = folder / "index" / FEATURES
    with opened(folder, IndexOptions(save_every_s=0.01, save_after=20)) as gallery:
        before, index = file.read_bytes(), gallery._indexes[1, "features"]
        fill(gallery, "c", range(200, 230))
        until = time.monotonic() + WAIT_S
        while index.unsaved > 20 and time.monotonic() < until:
            time.sleep(0.01)
        assert index.unsaved <= 20
        assert file.read_bytes() != before


def test_an_index_that_cannot_be_saved_is_made_anew_at_the_next_start(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def save(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched, opened(folder) as gallery:
        patched.setattr(VectorIndex, "save", save)
        fill(gallery, "c", range(200, 205))
        gallery.close()
    assert f"{FEATURES} could not be saved" in caplog.text
    with opened(folder) as gallery:
        assert gallery.collection("c").count == 43
        assert_right(gallery)
