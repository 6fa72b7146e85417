"""Many writes to a commit: who is told when, and who fails."""

import sqlite3
import threading
from concurrent.futures import CancelledError, Future
from pathlib import Path

import pytest

from core.errors import Conflict, Draining, QueueFull, Unavailable
from core.gallery.records import Patch, Put, Remove, Written
from core.gallery.sqlite import database
from core.gallery.sqlite.groups import WriteLimits
from core.gallery.sqlite.store import Store
from tests.core.gallery.records import new_item, spec
from tests.core.gallery.sqlite.stores import WAIT_S, Recorder, one_group, opened


def test_waiting_writes_share_one_commit(store: Store, recorder: Recorder) -> None:
    with one_group(store, recorder):
        futures = [store.write(Put("c", new_item(str(each)))) for each in range(20)]
    seqs = [future.result().seq for future in futures]
    told, seq = recorder.commits[-1]
    assert len(told) == 20
    assert seqs == list(range(seq - 19, seq + 1))
    assert store.collection("c").seq == seq


def test_a_write_sees_those_before_it_in_its_group(store: Store, recorder: Recorder) -> None:
    with one_group(store, recorder):
        put = store.write(Put("c", new_item("a")))
        twice = store.write(Put("c", new_item("a")))
        patch = store.write(Patch("c", "a", label="x"))
        drop = store.drop("c")
        late = store.write(Remove("c", "a"))
    assert put.result().created
    assert isinstance(twice.exception(), Conflict)
    assert patch.result().item.version == patch.result().seq == put.result().seq + 1
    assert drop.result().count == 1
    assert late.exception() is not None


def test_the_index_is_told_before_the_caller(tmp_path: Path) -> None:
    futures: list[Future[Written]] = []
    done: list[bool] = []
    seen: list[int] = []

    def on_commit(_: object, __: int) -> None:
        done.extend(future.done() for future in futures)
        seen.append(store.seq)

    store = Store(tmp_path / "g.db", on_commit)
    store.create(spec()).result()
    futures.append(store.write(Put("c", new_item())))
    futures[0].result()
    assert seen == [0, 1]
    assert not any(done)
    assert store.seq == 2
    store.close()


def test_nobody_is_told_of_writes_that_failed(store: Store, recorder: Recorder) -> None:
    commits = len(recorder.commits)
    assert store.write(Remove("c", "a")).exception() is not None
    assert len(recorder.commits) == commits


def test_the_last_number_survives_a_restart(tmp_path: Path) -> None:
    with opened(tmp_path / "g.db") as store:
        store.write(Put("c", new_item())).result()
        store.drop("c").result()
    with opened(tmp_path / "g.db") as store:
        assert store.seq == 3
        assert store.create(spec()).result().seq == 4


def test_a_cancelled_write_is_not_done(store: Store, recorder: Recorder) -> None:
    with one_group(store, recorder):
        gone = store.write(Put("c", new_item("gone")))
        stays = store.write(Put("c", new_item("stays")))
        assert gone.cancel()
    with pytest.raises(CancelledError):
        gone.result()
    assert stays.result().created
    assert [item.id for item in store.items("c").items] == ["stays"]


def test_a_future_that_somebody_else_ended_does_not_stop_the_writer(
    store: Store, recorder: Recorder
) -> None:
    def end_it_first(_: object, __: int) -> None:
        futures[0].set_exception(TimeoutError())

    futures: list[Future[Written]] = []
    store._writer._on_commit = end_it_first
    with store._writer._changed:
        futures.append(store.write(Put("c", new_item("z"))))
    with pytest.raises(TimeoutError):
        futures[0].result(WAIT_S)
    store._writer._on_commit = recorder
    assert store.write(Put("c", new_item("later"))).result(WAIT_S).created


def test_an_index_that_fails_fails_the_write_but_not_the_writer(tmp_path: Path) -> None:
    broken = threading.Event()

    def on_commit(_: object, __: int) -> None:
        if broken.is_set():
            raise RuntimeError("no index")

    store = Store(tmp_path / "g.db", on_commit)
    store.create(spec()).result()
    broken.set()
    with pytest.raises(RuntimeError, match="no index"):
        store.write(Put("c", new_item("a"))).result()
    broken.clear()
    assert store.write(Put("c", new_item("b"))).result().seq == store.seq == 3
    store.close()


def test_too_many_waiting_writes_are_refused(tmp_path: Path, recorder: Recorder) -> None:
    limits = WriteLimits(waiting=3)
    with opened(tmp_path / "g.db", recorder, limits=limits) as store, one_group(store, recorder):
        futures = [store.write(Put("c", new_item(str(each)))) for each in range(3)]
        with pytest.raises(QueueFull) as refused:
            store.write(Put("c", new_item("more")))
        assert refused.value.retry_after_s >= 1
        assert futures[1].cancel()  # its place is free
        futures.append(store.write(Put("c", new_item("instead"))))
    with opened(tmp_path / "g.db") as store:
        assert [store.item("c", id).id for id in ("0", "2", "instead")]
        assert store.collection("c").count == 3


def test_waiting_pictures_are_refused_by_their_bytes(tmp_path: Path, recorder: Recorder) -> None:
    with opened(tmp_path / "g.db", recorder, limits=WriteLimits(waiting_bytes=1000)) as store:
        with one_group(store, recorder):
            large = store.write(Put("c", new_item("large", thumbnail=bytes(2000))))  # alone it may
            with pytest.raises(QueueFull):
                store.write(Put("c", new_item("small")))
        assert large.result().created
        assert store.write(Put("c", new_item("small"))).result().created


def test_a_group_is_bounded_in_number_and_bytes(tmp_path: Path, recorder: Recorder) -> None:
    sizes = [0, 0, 0, 0, 0, 2000, 2000, 4000, 0]
    limits = WriteLimits(group=4, group_bytes=3000)
    with opened(tmp_path / "g.db", recorder, limits=limits) as store, one_group(store, recorder):
        commits = len(recorder.commits)
        futures = [
            store.write(Put("c", new_item(str(each), thumbnail=bytes(size))))
            for each, size in enumerate(sizes)
        ]
    for future in futures:
        future.result()
    assert [len(told) for told, _ in recorder.commits[commits:]] == [4, 2, 1, 1, 1]


def test_close_finishes_what_waits_and_refuses_the_rest(tmp_path: Path, recorder: Recorder) -> None:
    store = Store(tmp_path / "g.db", recorder)
    store.create(spec()).result()
    with one_group(store, recorder):
        futures = [store.write(Put("c", new_item(str(each)))) for each in range(5)]
        closing = threading.Thread(target=store.close)
        closing.start()
    closing.join(WAIT_S)
    assert all(future.result().created for future in futures)
    for call in (
        lambda: store.write(Remove("c", "0")),
        lambda: store.create(spec("d")),
        lambda: store.drop("c"),
        lambda: store.rebind(spec(), iter(())),
        lambda: store.item("c", "0"),
        lambda: store.backup(tmp_path / "b.db"),
    ):
        with pytest.raises(Draining):
            call()
    store.close()
    names = {file.name for file in tmp_path.iterdir()}
    assert names == {"g.db", "g.db-reserve"}  # its log is written back


def test_reads_do_not_wait_for_a_writer_in_its_transaction(store: Store) -> None:
    store.write(Put("c", new_item("a"))).result()
    other = database.connect(store._file)
    other.execute("BEGIN IMMEDIATE")
    other.execute("UPDATE items SET label = 'uncommitted'")
    assert store.item("c", "a").label is None
    assert store.items("c").total == 1
    other.execute("ROLLBACK")
    other.close()


def test_another_process_that_writes_makes_writes_unavailable(
    tmp_path: Path,
) -> None:
    with opened(tmp_path / "g.db", busy_s=0.01) as store:
        other = sqlite3.connect(tmp_path / "g.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(Unavailable, match="another process"):
            store.write(Put("c", new_item())).result()
        other.execute("ROLLBACK")
        other.close()
        assert store.write(Put("c", new_item())).result().created
