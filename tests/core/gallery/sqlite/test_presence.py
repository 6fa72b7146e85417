"""A data folder that is taken away, replaced or made read-only while it is in use."""

import logging
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from core.errors import StorageUnusable
from core.gallery.queries import Query
from core.gallery.records import Put, Remove
from core.gallery.sqlite import presence
from core.gallery.sqlite.database import connect_reader
from core.gallery.sqlite.local import DATABASE, LocalGallery
from core.gallery.sqlite.store import Store
from tests.core.gallery.records import Clock, new_item, put, spec
from tests.core.gallery.sqlite.stores import WAIT_S, Recorder, opened


def deleted(folder: Path) -> None:
    shutil.rmtree(folder)


def moved(folder: Path) -> None:
    folder.rename(folder.with_name("elsewhere"))


def replaced(folder: Path) -> None:
    """As a copy of it that somebody put back."""
    moved(folder)
    shutil.copytree(folder.with_name("elsewhere"), folder)


def emptied(folder: Path) -> None:
    deleted(folder)
    folder.mkdir()


def without_its_log(folder: Path) -> None:
    (folder / f"{DATABASE}-wal").unlink()


@pytest.mark.parametrize("taken", [deleted, moved, replaced, emptied, without_its_log])
def test_nothing_is_acknowledged_or_read_once_the_folder_is_gone(
    tmp_path: Path, taken: Callable[[Path], None], caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "data"
    with closing(LocalGallery(folder)) as gallery:
        gallery.create(spec()).result(WAIT_S)
        seq = put(gallery, "a")
        gallery.require_writable()
        taken(folder)
        with caplog.at_level(logging.INFO, "seethrough"):
            for each in (Put("c", new_item("b")), Remove("c", "a")):
                with pytest.raises(StorageUnusable, match=DATABASE):
                    gallery.write(each).result(WAIT_S)
            for read in (
                lambda: gallery.item("c", "a"),
                lambda: gallery.nearest("c", Query(new_item().vector)),
                lambda: gallery.backup(tmp_path / "copy.db"),
                gallery.require_writable,
            ):
                with pytest.raises(StorageUnusable):
                    read()
        assert gallery.seq == seq
    assert [record.levelname for record in caplog.records] == ["CRITICAL"]
    assert str(folder / DATABASE) in caplog.text
    assert not (tmp_path / "copy.db").exists()


def test_another_gallery_in_its_place_is_left_as_it_is(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    with closing(LocalGallery(folder)) as gallery:
        gallery.create(spec()).result(WAIT_S)
        put(gallery, "a")
        moved(folder)
        with closing(LocalGallery(folder)) as other:
            other.create(spec("theirs")).result(WAIT_S)
            for seed in range(30):
                put(other, str(seed), seed, "theirs")
            with pytest.raises(StorageUnusable):
                put(gallery, "b")
            gallery.close()
            assert (folder / f"{DATABASE}-wal").exists()
            assert other.verify() == []
    with closing(LocalGallery(folder)) as other:
        assert other.collection("theirs").count == 30


def test_a_folder_that_comes_back_is_written_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "data"
    with closing(LocalGallery(folder)) as gallery:
        gallery.create(spec()).result(WAIT_S)
        put(gallery, "a")
        moved(folder)
        with pytest.raises(StorageUnusable, match="no longer in the data folder"):
            put(gallery, "b")
        folder.with_name("elsewhere").rename(folder)
        put(gallery, "c")
        assert [item.id for item in gallery.items("c").items] == ["a", "c"]
        assert gallery.verify() == []
    assert "is in its place again" in caplog.text


def test_what_is_lost_between_check_and_commit_is_not_acknowledged(tmp_path: Path) -> None:
    """The index still follows: the files may come back with what was committed."""
    folder = tmp_path / "data"
    folder.mkdir()
    recorder = Recorder()
    store = Store(folder / DATABASE, recorder)
    store.create(spec()).result(WAIT_S)
    commit = store._writer._commit

    def commit_late(jobs: object) -> object:
        group = commit(jobs)  # type: ignore[arg-type]
        moved(folder)
        return group

    store._writer._commit = commit_late  # type: ignore[method-assign, assignment]
    with pytest.raises(StorageUnusable):
        store.write(Put("c", new_item("a"))).result(WAIT_S)
    store._writer._commit = commit  # type: ignore[method-assign]
    folder.with_name("elsewhere").rename(folder)
    assert store.item("c", "a").version == store.seq == 2
    assert recorder.commits[-1][1] == 2
    store.close()


def test_a_read_only_file_system_is_named(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    store._writer._connection.execute("PRAGMA query_only = ON")  # SQLite's error is the same
    with pytest.raises(StorageUnusable, match="read-only; nothing was changed"):
        store.write(Put("c", new_item("a"))).result(WAIT_S)
    store._writer._connection.execute("PRAGMA query_only = OFF")
    assert store.write(Put("c", new_item("a"))).result(WAIT_S).created
    store.require_writable()
    monkeypatch.setattr(presence, "is_read_only", lambda _: True)
    with pytest.raises(StorageUnusable, match="read-only"):
        store.require_writable()


def test_a_read_only_database_can_still_be_read(store: Store) -> None:
    put_ = store.write(Put("c", new_item("a"))).result(WAIT_S)
    store._writer._connection.execute("PRAGMA query_only = ON")
    assert store.item("c", "a") == put_.item


def test_a_reader_makes_no_file_where_there_is_none(tmp_path: Path) -> None:
    with pytest.raises(sqlite3.OperationalError):
        connect_reader(tmp_path / "g.db")
    assert list(tmp_path.iterdir()) == []


def test_a_clock_set_back_keeps_ids_versions_and_the_order_of_the_listing(
    tmp_path: Path, recorder: Recorder, clock: Clock
) -> None:
    with opened(tmp_path / "g.db", recorder, clock) as store:
        first = [store.write(Put("c", new_item(None, seed))).result().item for seed in range(5)]
        clock.forward(days=-400)
        later = [store.write(Put("c", new_item(None, seed))).result().item for seed in range(5)]
    with opened(tmp_path / "g.db", recorder, clock) as store:
        last = [store.write(Put("c", new_item(None, seed))).result().item for seed in range(5)]
        made = [*first, *later, *last]
        assert [item.id for item in store.items("c").items] == [item.id for item in made]
        assert len({item.id for item in made}) == len(made)
        versions = [item.version for item in made]
        assert versions == sorted(set(versions))
