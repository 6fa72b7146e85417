"""A full disk: what fails, what does not, and that writing works again."""

import os
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from core.errors import StorageFull
from core.gallery.records import Patch, Put, Remove
from core.gallery.sqlite import database
from core.gallery.sqlite.local import DATABASE
from core.gallery.sqlite.reserve import RESERVE_BYTES, Reserve
from core.gallery.sqlite.store import Store
from service.cli.main import main
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


def test_a_disk_that_is_really_full_can_be_freed_by_removing(small_disk: Path) -> None:
    """The reserve is for that; other files have all that is left."""
    (small_disk / "ballast").write_bytes(bytes(3 * 2**20))
    with opened(small_disk / "g.db") as store:
        acknowledged: list[str] = []
        with pytest.raises(StorageFull):
            fill(store, acknowledged)
        take_the_rest(small_disk / "others")
        assert store.write(Patch("c", "0", label="kept")).result(WAIT_S).item.label == "kept"
        for id in acknowledged[1:]:
            store.write(Remove("c", id)).result(WAIT_S)
        assert [item.id for item in store.items("c").items] == ["0"]
        (small_disk / "ballast").unlink()
        for id in ("later", "last"):
            assert store.write(Put("c", new_item(id))).result(WAIT_S).created
        assert (small_disk / "g.db-reserve").stat().st_size == RESERVE_BYTES
    with opened(small_disk / "g.db") as store, store._readers.snapshot() as connection:
        assert [*connection.execute("PRAGMA integrity_check").fetchone()] == ["ok"]


def take_the_rest(file: Path) -> None:
    with file.open("wb", buffering=0) as out, suppress(OSError):
        while out.write(bytes(4096)):
            pass


def test_a_reserve_is_given_up_and_made_again(tmp_path: Path) -> None:
    file = tmp_path / "reserve"
    reserve = Reserve(file)
    assert file.stat().st_blocks * 512 >= RESERVE_BYTES
    reserve.give_up()
    assert not file.exists()
    reserve.restore()
    assert file.stat().st_size == RESERVE_BYTES
    Reserve(tmp_path / "missing" / "reserve").restore()  # none can be made: nothing happens


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


def test_a_gallery_on_a_read_only_file_system_is_backed_up(
    small_disk: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with opened(small_disk / DATABASE) as store:
        store.write(Put("c", new_item("a"))).result(WAIT_S)
    remount = ["mount", "-o", "remount,ro", str(small_disk)]
    subprocess.run(remount, check=True, timeout=WAIT_S)
    copy = tmp_path / "copy.db"
    assert main(["backup", "--data-dir", str(small_disk), str(copy)]) == 0
    with opened(copy) as store:
        assert store.item("c", "a").id == "a"
    assert main(["backup", "--data-dir", str(tmp_path), str(small_disk / "copy.db")]) == 1
    said = capsys.readouterr().err
    assert f"there is no gallery {tmp_path / DATABASE}" in said
    (tmp_path / DATABASE).write_bytes(copy.read_bytes())
    assert main(["backup", "--data-dir", str(tmp_path), str(small_disk / "copy.db")]) == 1
    assert f"Read-only file system: '{small_disk}'" in capsys.readouterr().err


def test_a_read_only_folder_with_a_log_is_named(
    small_disk: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with opened(tmp_path / "g.db") as store:
        store.write(Put("c", new_item("a"))).result(WAIT_S)
        for suffix in ("", "-wal"):
            content = (tmp_path / f"g.db{suffix}").read_bytes()
            (small_disk / f"{DATABASE}{suffix}").write_bytes(content)
    remount = ["mount", "-o", "remount,ro", str(small_disk)]
    subprocess.run(remount, check=True, timeout=WAIT_S)
    assert main(["backup", "--data-dir", str(small_disk), str(tmp_path / "copy.db")]) == 1
    assert "its log has not been written back" in capsys.readouterr().err
