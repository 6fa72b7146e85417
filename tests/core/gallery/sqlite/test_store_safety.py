"""Nothing acknowledged is lost: killed processes, many threads, copies of a running store."""

import random
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from core.errors import Conflict, GalleryUnusable, StorageFull
from core.gallery.records import Put, Remove
from core.gallery.sqlite import backup as backups
from core.gallery.sqlite.store import Store
from tests.core.gallery.records import new_item, spec
from tests.core.gallery.sqlite.stores import WAIT_S, Recorder, opened

ROOT = Path(__file__).parents[4]


def acknowledged_before_kill(file: Path, number: int, after: int) -> list[str]:
    """Ids that a writing process called stored; it is killed after so many."""
    command = [
        sys.executable,
        "-m",
        "tests.core.gallery.sqlite.endless_writer",
        str(file),
        str(number),
    ]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        said = [process.stdout.readline() for _ in range(after)]
        process.kill()
        said += process.stdout.readlines()
    return [line.strip() for line in said if line.endswith("\n")]


def test_a_killed_process_loses_nothing_it_acknowledged(tmp_path: Path) -> None:
    file, chosen = tmp_path / "g.db", random.Random(5)
    acknowledged: list[str] = []
    for number in range(4):
        acknowledged += acknowledged_before_kill(file, number, chosen.randint(1, 200))
        with opened(file) as store, store._readers.snapshot() as connection:
            assert [*connection.execute("PRAGMA integrity_check").fetchone()] == ["ok"]
            assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
            items = store.items("c", limit=100_000).items
            ids = [item.id for item in items]
            assert len(ids) == len(set(ids)) == store.collection("c").count
            assert set(acknowledged) <= set(ids)
            assert store.seq == 1 + len(ids)
    with opened(file) as store:
        for id in acknowledged[-20:]:
            seed = int(id.split("-")[1])
            assert np.array_equal(store.vector("c", id), new_item(id, seed).vector)


def test_readers_page_through_whole_states_while_eight_threads_write(tmp_path: Path) -> None:
    recorder, done = Recorder(), threading.Event()

    def write(worker: int) -> None:
        for each in range(30):
            id = f"{worker}-{each}"
            store.write(Put("c", new_item(id, each, label=str(worker)))).result(WAIT_S)
            assert store.item("c", id).id == id  # it is seen once it is acknowledged
            if each % 3 == 0:
                store.write(Remove("c", id)).result(WAIT_S)

    def read() -> int:
        rounds = 0
        while not done.is_set() or not rounds:
            page = store.items("c", limit=1000)
            assert page.total == len(page.items) == len({item.id for item in page.items})
            numbers, labels = store.live(store.collection("c").key)
            assert len(numbers) == len(labels)
            rounds += 1
        return rounds

    with opened(tmp_path / "g.db", recorder) as store, ThreadPoolExecutor(11) as threads:
        readers = [threads.submit(read) for _ in range(3)]
        writers = [threads.submit(write, worker) for worker in range(8)]
        try:
            for each in writers:
                each.result(WAIT_S)
        finally:
            done.set()
        assert all(each.result(WAIT_S) for each in readers)
        assert store.collection("c").count == 8 * 20
        assert sorted(recorder.vectors()) == store.live(store.collection("c").key)[0].tolist()
        seqs = [seq for _, seq in recorder.commits]
        assert seqs == sorted(set(seqs))
        assert store.seq == seqs[-1] == 1 + 8 * 40


def test_paging_meets_every_item_that_stays_while_others_go(store: Store) -> None:
    ids = [f"{each:03}" for each in range(120)]
    for future in [store.write(Put("c", new_item(id, label="x"))) for id in ids]:
        future.result()
    stay = ids[::3]

    def remove() -> None:
        for id in ids:
            if id not in stay:
                store.write(Remove("c", id)).result(WAIT_S)

    with ThreadPoolExecutor(1) as threads:
        removing = threads.submit(remove)
        for _ in range(5):
            seen, cursor = [], None
            while True:
                page = store.items("c", label="x", cursor=cursor, limit=7)
                seen += [item.id for item in page.items]
                cursor = page.next_cursor
                if cursor is None:
                    break
            assert seen == sorted(set(seen))
            assert set(stay) <= set(seen)
        removing.result(WAIT_S)
    assert [item.id for item in store.items("c", limit=1000).items] == stay


def while_written(store: Store, work: Callable[[], None]) -> None:
    """Does the work between the first write and the last of another thread."""
    going, stop = threading.Event(), threading.Event()

    def write() -> None:
        number = store.collection("c").count
        while not stop.is_set():
            store.write(Put("c", new_item(f"{number:05}", number))).result(WAIT_S)
            number += 1
            going.set()

    with ThreadPoolExecutor(1) as threads:
        writing = threads.submit(write)
        try:
            assert going.wait(WAIT_S)
            work()
        finally:
            stop.set()
        writing.result(WAIT_S)


def check_copy(file: Path, at_least: int) -> None:
    with opened(file) as copy, copy._readers.snapshot() as connection:
        assert [*connection.execute("PRAGMA integrity_check").fetchone()] == ["ok"]
        items = copy.items("c", limit=100_000).items
        assert len(items) == copy.collection("c").count >= at_least
        # Writes came one after the other: a copy of one moment holds the first of them.
        assert [item.id for item in items] == [f"{each:05}" for each in range(len(items))]
        assert copy.seq == 1 + len(items)
        number = len(items) - 1
        assert np.array_equal(
            copy.vector("c", f"{number:05}"), new_item(f"{number:05}", number).vector
        )


def test_a_backup_of_a_running_store_is_a_store_of_one_moment(store: Store, tmp_path: Path) -> None:
    counts = []

    def twice() -> None:
        for _ in range(2):  # the second replaces the first
            counts.append(store.collection("c").count)
            store.backup(tmp_path / "b.db")

    while_written(store, twice)
    check_copy(tmp_path / "b.db", counts[-1])
    names = {file.name for file in tmp_path.iterdir()}
    reserves = {"g.db-reserve", "b.db-reserve"}
    assert names == {"g.db", "g.db-wal", "g.db-shm", "b.db", *reserves}


def test_another_process_can_back_up_a_running_store(store: Store, tmp_path: Path) -> None:
    text = "import sys; from pathlib import Path; from core.gallery.sqlite.backup import back_up; "
    text += "back_up(*map(Path, sys.argv[1:]))"
    command = [sys.executable, "-c", text, str(tmp_path / "g.db"), str(tmp_path / "b.db")]
    while_written(
        store, lambda: subprocess.run(command, cwd=ROOT, check=True, timeout=WAIT_S) and None
    )
    check_copy(tmp_path / "b.db", 1)


def test_a_backup_never_overwrites_a_gallery_in_use(store: Store, tmp_path: Path) -> None:
    with opened(tmp_path / "other.db"):
        for target in (tmp_path / "other.db", tmp_path / "g.db"):
            with pytest.raises(Conflict, match="in use"):
                store.backup(target)


def test_only_a_gallery_is_backed_up(tmp_path: Path) -> None:
    (tmp_path / "empty.db").touch()
    (tmp_path / "picture.db").write_bytes(b"no database" * 1000)
    for name in ("missing.db", "empty.db", "picture.db"):
        with pytest.raises(GalleryUnusable, match=name):
            backups.back_up(tmp_path / name, tmp_path / "b.db")
    assert not (tmp_path / "missing.db").exists()
    assert not (tmp_path / "b.db").exists()


def test_a_backup_that_does_not_fit_leaves_the_one_before(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.backup(tmp_path / "b.db")
    before = (tmp_path / "b.db").read_bytes()
    store.create(spec("more")).result()

    def full(_handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(StorageFull):
        store.backup(tmp_path / "b.db")
    assert (tmp_path / "b.db").read_bytes() == before
    assert {file.name for file in tmp_path.iterdir()} == {
        "g.db",
        "g.db-wal",
        "g.db-shm",
        "g.db-reserve",
        "b.db",
    }
