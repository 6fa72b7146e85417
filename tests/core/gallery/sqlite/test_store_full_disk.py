"""A full disk: what fails, what does not, and that writing works again."""

import os
import sqlite3
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.errors import StorageFull
from core.gallery.records import Put, Remove
from core.gallery.sqlite import database
from core.gallery.sqlite.store import Store
from tests.core.gallery.records import new_item
from tests.core.gallery.sqlite.stores import WAIT_S, Recorder, one_group, opened


def limit_pages(store: Store, more: int) -> None:
    """SQLite answers "database or disk is full" beyond that many pages more than now."""
    connection = store._writer._connection
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    connection.execute(f"PRAGMA max_page_count = {pages + more}")


def test_a_full_disk_fails_the_write_and_changes_nothing(store: Store) -> None:
    before = store.write(Put("c", new_item("a"))).result()
    limit_pages(store, 2)
    large = new_item("large", thumbnail=bytes(200_000))
    for put in (Put("c", large), Put("c", new_item("a", thumbnail=bytes(200_000)), upsert=True)):
        with pytest.raises(StorageFull, match="no space"):
            store.write(put).result()
    assert store.item("c", "a") == before.item
    assert store.seq == before.seq
    assert store.collection("c").count == 1
    limit_pages(store, 1000)
    assert store.write(Put("c", large)).result().seq == before.seq + 1


def test_on_a_full_disk_what_fits_is_still_written(store: Store, recorder: Recorder) -> None:
    first = store.write(Put("c", new_item("a", thumbnail=bytes(50_000)))).result()
    with one_group(store, recorder):
        futures = [
            store.write(Put("c", new_item("large", thumbnail=bytes(500_000)))),
            store.write(Remove("c", "a")),
            store.write(Put("c", new_item("large", thumbnail=bytes(500_000)))),
            store.write(Put("c", new_item("small"))),
        ]
        limit_pages(store, 2)
    assert isinstance(futures[0].exception(WAIT_S), StorageFull)
    assert isinstance(futures[2].exception(WAIT_S), StorageFull)
    assert futures[1].result().item == first.item
    assert futures[3].result().seq == futures[1].result().seq + 1
    assert [item.id for item in store.items("c").items] == ["small"]
    limit_pages(store, 1000)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder on a file system of 8 MiB."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(folder)]
    try:
        done = subprocess.run(mount, capture_output=True, text=True, timeout=WAIT_S, check=False)
    except OSError as error:
        pytest.skip(f"cannot mount a small file system: {error}")
    if done.returncode:
        pytest.skip(f"cannot mount a small file system: {done.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True, timeout=WAIT_S)


def fill(store: Store, acknowledged: list[str]) -> None:
    for each in range(1000):
        put = Put("c", new_item(str(each), each, thumbnail=os.urandom(50_000)))
        store.write(put).result()
        acknowledged.append(str(each))


def test_a_disk_that_is_really_full_loses_nothing_and_recovers(small_disk: Path) -> None:
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(3 * 2**20))
    with opened(small_disk / "g.db") as store:
        acknowledged: list[str] = []
        with pytest.raises(StorageFull):
            fill(store, acknowledged)
        assert acknowledged
        assert [item.id for item in store.items("c", limit=1000).items] == acknowledged
        assert all(len(store.thumbnail("c", id)) == 50_000 for id in acknowledged)
        ballast.unlink()
        assert store.write(Put("c", new_item("later"))).result().created
    with opened(small_disk / "g.db") as store, store._readers.snapshot() as connection:
        assert store.collection("c").count == len(acknowledged) + 1
        assert [*connection.execute("PRAGMA integrity_check").fetchone()] == ["ok"]


def test_an_io_error_is_a_full_disk_only_where_the_disk_is_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    error = sqlite3.OperationalError("disk I/O error")
    error.sqlite_errorcode = sqlite3.SQLITE_IOERR_WRITE
    free = [0]
    usage = type("Usage", (), {"free": property(lambda _: free[0])})
    monkeypatch.setattr(database.shutil, "disk_usage", lambda _: usage())
    assert isinstance(database.translated(error, tmp_path / "g.db"), StorageFull)
    free[0] = 2**30
    assert database.translated(error, tmp_path / "g.db") is error
