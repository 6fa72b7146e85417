"""Which files are opened, and how an older version becomes this one."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import numpy as np
import pytest

from core.errors import GalleryUnusable
from core.gallery.records import Idempotency, Item, Put, StoredPrediction
from core.gallery.sqlite import schema
from core.gallery.sqlite.database import connect
from core.gallery.sqlite.rows import from_time, to_time
from core.gallery.sqlite.store import Store
from tests.core.gallery.records import Clock, new_item, spec
from tests.core.gallery.sqlite.stores import Recorder, opened


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "g.db"


@contextmanager
def raw(file: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        yield connection


def refused(file: Path) -> str:
    with pytest.raises(GalleryUnusable) as error:
        Store(file, Recorder())
    assert str(file) in str(error.value)
    return str(error.value)


def test_a_new_file_is_durable_and_says_what_it_is(file: Path) -> None:
    with opened(file) as store, raw(file) as connection:
        pragmas = {
            name: connection.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("journal_mode", "page_size", "application_id", "user_version")
        }
        writing = store._writer._connection.execute("PRAGMA synchronous").fetchone()[0]
        keys = store._writer._connection.execute("PRAGMA foreign_keys").fetchone()[0]
    assert pragmas == {
        "journal_mode": "wal",
        "page_size": 8192,
        "application_id": schema.APPLICATION_ID,
        "user_version": schema.VERSION,
    }
    assert (writing, keys) == (2, 1)  # FULL, on


def test_an_empty_file_becomes_a_gallery(file: Path) -> None:
    file.touch()
    store = Store(file, Recorder())
    assert store.collections() == []
    store.close()


def test_what_was_stored_is_there_after_opening_again(file: Path) -> None:
    new = new_item("a")
    with opened(file) as store:
        written = store.write(Put("c", new)).result()
    with opened(file) as store:
        assert store.item("c", "a") == written.item
        assert np.array_equal(store.vector("c", "a"), new.vector)
        assert store.collection("c").spec == spec()


def test_a_file_that_is_no_database_is_refused(file: Path) -> None:
    file.write_bytes(b"a picture, perhaps" * 1000)
    assert "not a database" in refused(file)
    assert file.read_bytes() == b"a picture, perhaps" * 1000


def test_a_folder_and_a_missing_folder_are_refused(tmp_path: Path) -> None:
    refused(tmp_path)
    refused(tmp_path / "missing" / "g.db")


@pytest.mark.parametrize(
    "statement",
    ["CREATE TABLE theirs (a)", "PRAGMA application_id = 77", "PRAGMA user_version = 1"],
)
def test_another_programs_database_is_refused_and_left_alone(file: Path, statement: str) -> None:
    with raw(file) as connection:
        connection.execute(statement)
    before = file.read_bytes()
    assert "another program" in refused(file)
    assert file.read_bytes() == before


def test_a_newer_versions_gallery_is_refused_and_left_alone(file: Path) -> None:
    with opened(file):
        pass
    with raw(file) as connection:
        connection.execute(f"PRAGMA user_version = {schema.VERSION + 1}")
    before = file.read_bytes()
    assert "newer version" in refused(file)
    assert file.read_bytes() == before


def test_a_cut_off_gallery_is_refused(file: Path) -> None:
    with opened(file) as store:
        for each in range(10):
            store.write(Put("c", new_item(str(each), thumbnail=bytes(20_000)))).result()
    whole = file.read_bytes()
    for size in (len(whole) // 2, 8192, 5000, 100, 50):
        file.write_bytes(whole[:size])
        refused(file)


def test_a_gallery_without_its_tables_is_refused(file: Path) -> None:
    with opened(file):
        pass
    with raw(file) as connection:
        connection.execute("DROP TABLE gallery")
    assert "its table gallery is damaged" in refused(file)


def version_1(file: Path) -> None:
    """A gallery as version 1 made it, with one item."""
    vector = np.arange(4, dtype="<f4")
    with closing(connect(file)) as connection:
        connection.execute("PRAGMA page_size = 8192")
        connection.execute("PRAGMA journal_mode = WAL")
        schema.migrate(connection, schema.MIGRATIONS[:1])
        connection.execute(
            "INSERT INTO collections VALUES (7, 'c', 'tiny', 'sha256:0', 'head', 'input', 'avg', "
            "4, 'l2', 0, 0, 1, 2, 1700000000000000)"
        )
        connection.execute("INSERT INTO vectors VALUES (5, 7, ?)", (vector.tobytes(),))
        connection.execute(
            "INSERT INTO items VALUES (3, 7, 'a', 5, 'x', 'a', 'ff', 4, 3, 1, 'cat', 0.5, "
            "1700000000000000, 1700000000000000, 1, '{}')"
        )
        connection.execute("INSERT INTO pictures VALUES (3, x'00', NULL)")
        connection.execute("UPDATE gallery SET seq = 2")


def tables(file: Path) -> set[str]:
    with raw(file) as connection:
        rows = connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")
        return {name for (name,) in rows}


def test_a_version_1_gallery_is_brought_up_to_date_with_all_it_holds(file: Path) -> None:
    version_1(file)
    assert "idempotency" not in tables(file)
    with opened(file) as store:
        assert (store.seq, store.collection("c").count) == (2, 1)
        assert store.item("c", "a").label == "x"
        assert store.vector("c", "a").tolist() == [0, 1, 2, 3]
        put = Put("c", new_item(None), idempotency=Idempotency("k", "f"))
        first = store.write(put).result()
        assert first.item.number > 5
        assert store.write(put).result().replayed
    with raw(file) as connection:
        assert schema.version_of(connection) == schema.VERSION


def test_answers_that_version_4_kept_are_given_again(file: Path) -> None:
    version_1(file)
    with closing(connect(file)) as connection:
        schema.migrate(connection, schema.MIGRATIONS[:4])
        answer = (
            9, "gone", 8, None, "ff", 4, 3, 1, "cat", 0.25, 1715000000123456, 1715000000999999, 2,
            '{"n": [1, "\u00e4"]}',
        )  # fmt: skip
        connection.execute(
            "INSERT INTO idempotency VALUES (7, 'k', 'f', 9, ?, 2, 1, ?)",
            (json.dumps(answer), from_time(Clock().now)),
        )
    with opened(file) as store:
        put = Put("c", new_item("gone"), idempotency=Idempotency("k", "f"))
        written = store.write(put).result()
    assert (written.replayed, written.created, written.seq) == (True, True, 2)
    assert written.item == Item(
        id="gone",
        number=8,
        label=None,
        metadata={"n": [1, "ä"]},
        sha256="ff",
        width=4,
        height=3,
        prediction=StoredPrediction(1, "cat", 0.25),
        created_at=to_time(1715000000123456),
        updated_at=to_time(1715000000999999),
        version=2,
    )


def test_a_migration_that_fails_leaves_the_version_before_it(file: Path) -> None:
    version_1(file)
    failing = (*schema.MIGRATIONS, ("CREATE TABLE half (a)", "CREATE TABLE half (a)"))
    with closing(connect(file)) as connection:
        with pytest.raises(sqlite3.OperationalError, match="already exists"):
            schema.migrate(connection, failing)
        assert schema.version_of(connection) == schema.VERSION
    assert "half" not in tables(file)
    assert "idempotency" in tables(file)
    with opened(file) as store:
        assert store.item("c", "a").label == "x"


def test_a_migrated_gallery_has_the_tables_of_a_new_one(file: Path, tmp_path: Path) -> None:
    version_1(file)
    with opened(file), opened(tmp_path / "new.db"):
        assert tables(file) == tables(tmp_path / "new.db")
