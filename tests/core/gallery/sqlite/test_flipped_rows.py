"""Rows of a database that are damaged, and are not an item's: named, refused, removed."""

import logging
import re
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from core.errors import GalleryUnusable, RecordDamaged, UnknownCollection
from core.gallery.queries import Query
from core.gallery.records import Idempotency, Patch, Put, Remove, StoredProjection
from core.gallery.sqlite import schema
from core.gallery.sqlite.database import connect
from core.gallery.sqlite.local import DATABASE, LocalGallery
from core.gallery.sqlite.sweep import Sweep
from tests.core.gallery.records import WAIT_S, Clock, new_item, spec
from tests.core.gallery.sqlite.flipped import ITEMS, change, everything, filled

PROMISED = Put("c", new_item("promised", 77, 64), idempotency=Idempotency("key", "fingerprint"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "g"
    filled(folder)
    with closing(LocalGallery(folder)) as gallery:
        gallery.create(spec("other")).result(WAIT_S)
        gallery.write(PROMISED).result(WAIT_S)
        gallery.keep_projection(projection(), b"result", b"placement").result(WAIT_S)
    return folder


def projection() -> StoredProjection:
    return StoredProjection(
        id="map",
        collection="c",
        parameters={"method": "pca"},
        status="done",
        reason="",
        count=3,
        seq=4,
        created_at=Clock().now,
    )


def texts(gallery: LocalGallery) -> list[str]:
    return [fault.text.split(" (")[0] for fault in gallery.verify()]


@pytest.mark.parametrize(
    ("part", "statement"),
    [
        ("pixels", "UPDATE pixels SET pixels = zeroblob(3071) WHERE number = 5"),
        ("pixels", "UPDATE pixels SET pixels = zeroblob(4000) WHERE number = 5"),
        ("vector", "UPDATE vectors SET features = zeroblob(255) WHERE number = 5"),
        ("vector", "UPDATE vectors SET features = zeroblob(512) WHERE number = 5"),
    ],
)
def test_a_blob_of_another_length_is_left_out_of_searches(
    folder: Path, part: str, statement: str
) -> None:
    """Also where the index has to be made from what is stored."""
    change(folder, statement)
    for file in (folder / "index").glob("*.index"):
        file.unlink()
    with closing(LocalGallery(folder)) as gallery:
        for space, dim in (("features", 64), ("pixels", 3072)):
            query = Query(np.zeros(dim, np.float32), k=99, space=space)  # type: ignore[arg-type]
            assert len(gallery.nearest("c", query).found) >= ITEMS
        assert sum(len(items) for items, _ in gallery.vectors("c")) >= ITEMS
        assert texts(gallery) == [f"the stored {part} of 'item 04' is damaged"]
        gallery.write(Remove("c", "item 04")).result(WAIT_S)
        assert texts(gallery) == []


def retyped(folder: Path, table: str, column: str) -> None:
    """As a flipped bit of a row's head does: a column holds what its declaration forbids."""
    with closing(sqlite3.connect(folder / DATABASE)) as connection:
        connection.execute("PRAGMA writable_schema = ON")
        (sql,) = connection.execute(
            "SELECT sql FROM sqlite_schema WHERE name = ?", (table,)
        ).fetchone()
        loose = "UPDATE sqlite_schema SET sql = ? WHERE name = ?"
        connection.execute(loose, (sql.replace(") STRICT", ")"), table))
        connection.commit()
    with closing(sqlite3.connect(folder / DATABASE)) as connection:
        key = "ordinal" if table == "pictures" else "number"
        connection.execute(f"UPDATE {table} SET {column} = CAST({column} AS TEXT) WHERE {key} = 5")
        connection.execute("PRAGMA writable_schema = ON")
        connection.execute(loose, (sql, table))
        connection.commit()


@pytest.mark.parametrize(
    ("table", "column"),
    [
        ("vectors", "features"),
        ("pixels", "pixels"),
        ("pictures", "thumbnail"),
        ("pictures", "original"),
    ],
)
def test_a_blob_that_became_a_text_of_the_same_bytes_is_named_and_read_as_it_was(
    folder: Path, table: str, column: str
) -> None:
    with closing(LocalGallery(folder)) as gallery:
        before = {name: read() for name, read in everything(gallery).items()}
    retyped(folder, table, column)
    with closing(LocalGallery(folder)) as gallery:
        assert f"non-BLOB value in {table}.{column}" in " ".join(texts(gallery))
        assert {name: read() for name, read in everything(gallery).items()} == before
        gallery.write(Remove("c", "item 04")).result(WAIT_S)
        assert texts(gallery) == []


@pytest.mark.parametrize(
    "change_of_it",
    [
        "count = 7",
        "metric = 'l1'",
        "dim = 65",
        "seq = 1",
        "model = 'tony'",
        "layer = CAST(x'ff' AS TEXT)",
        "created_at = 1 << 62",
    ],
)
def test_a_damaged_collection_is_refused_by_name_and_can_be_removed(
    folder: Path, change_of_it: str, caplog: pytest.LogCaptureFixture
) -> None:
    change(folder, f"UPDATE collections SET {change_of_it} WHERE name = 'c'")
    with closing(LocalGallery(folder)) as gallery:
        assert [each.spec.name for each in gallery.collections()] == ["other"]
        assert "left out of an answer: the stored collection of 'c' is damaged" in caplog.text
        for read in (
            lambda: gallery.collection("c"),
            lambda: gallery.items("c"),
            lambda: gallery.item("c", "item 03"),
            lambda: gallery.nearest("c", Query(np.zeros(64, np.float32))),
            lambda: gallery.write(Put("c", new_item("new", 1, 64))).result(WAIT_S),
            lambda: gallery.write(Patch("c", "item 03", label="x")).result(WAIT_S),
            lambda: gallery.create(spec("c")).result(WAIT_S),
        ):
            with pytest.raises(RecordDamaged, match="collection of 'c' is damaged"):
                read()
        assert "the stored collection of 'c' is damaged" in texts(gallery)
        with pytest.raises(UnknownCollection, match="known: other"):
            gallery.collection("x")
        gallery.drop("c").result(WAIT_S)
        assert texts(gallery) == []
        assert gallery.create(spec("c")).result(WAIT_S).count == 0


def test_a_repeated_request_whose_answer_is_damaged_is_refused_for_a_day(folder: Path) -> None:
    change(folder, "UPDATE idempotency SET fingerprint = 'another'")
    with closing(LocalGallery(folder)) as gallery:
        for _ in range(2):
            with pytest.raises(RecordDamaged, match="answer to the request of 'key'"):
                gallery.write(PROMISED).result(WAIT_S)
            assert texts(gallery) == ["the stored answer of 'key' is damaged"]
        gallery._writer._clock = lambda: Clock().now.replace(year=2999)
        other = Put("c", new_item("other", 78, 64), idempotency=Idempotency("other key", "f"))
        gallery.write(other).result(WAIT_S)
        assert texts(gallery) == []


@pytest.mark.parametrize("changed", ["status = 'failed'", "parameters = '['", "count = 4"])
def test_a_damaged_map_is_shown_no_more_and_can_be_removed(folder: Path, changed: str) -> None:
    change(folder, f"UPDATE projections SET {changed}")
    with closing(LocalGallery(folder)) as gallery:
        assert texts(gallery) == ["the stored projection of 'map' is damaged"]
        assert gallery.projections("c") == []
        for read in (gallery.projection, gallery.projected):
            with pytest.raises(RecordDamaged):
                read("c", "map")
        gallery.remove_projection("c", "map").result(WAIT_S)
        assert texts(gallery) == []


@pytest.mark.parametrize("changed", ["seq = 3", "secret = x'00'"])
def test_a_gallery_whose_own_row_is_damaged_is_not_opened(folder: Path, changed: str) -> None:
    """Numbers of changes would be given twice."""
    change(folder, f"UPDATE gallery SET {changed}")
    with pytest.raises(GalleryUnusable, match="its table of one row is damaged"):
        LocalGallery(folder)


@pytest.mark.parametrize(
    ("text", "other"),
    [
        (b"items (collection, label)", b"items (collection, width)"),
        (b"thumbnail BLOB", b"thumbnbil BLOB"),
    ],
)
def test_a_gallery_whose_schema_is_another_is_not_opened(
    folder: Path, text: bytes, other: bytes
) -> None:
    content = (folder / DATABASE).read_bytes()
    assert text in content
    (folder / DATABASE).write_bytes(content.replace(text, other))
    with pytest.raises(GalleryUnusable, match="is damaged"):
        LocalGallery(folder)


def test_an_index_that_has_another_key_is_made_anew_by_verify(folder: Path) -> None:
    content = (folder / DATABASE).read_bytes()
    changed = re.sub(rb"item 04(?!.label 4)", b"item 94", content, flags=re.DOTALL)
    assert changed != content
    (folder / DATABASE).write_bytes(changed)
    with closing(LocalGallery(folder)) as gallery:
        assert any("index" in text for text in texts(gallery))
        assert gallery.item("c", "item 04").id == "item 04"
        assert texts(gallery) == []


def test_the_sweep_names_rows_that_are_of_no_item(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    change(folder, "UPDATE collections SET count = 3 WHERE name = 'other'")
    change(folder, "UPDATE projections SET status = 'failed'")
    with closing(LocalGallery(folder)) as gallery, caplog.at_level(logging.ERROR):
        sweep = Sweep(gallery, bytes_s=10**9, every_s=0.01)
        until = time.monotonic() + WAIT_S
        while "projection of 'map'" not in caplog.text and time.monotonic() < until:
            time.sleep(0.01)
        sweep.close()
        assert "the stored collection of 'other' is damaged" in caplog.text
        assert gallery.projections("c") == []


def test_rows_of_an_older_version_get_sums_and_are_compared_from_then_on(tmp_path: Path) -> None:
    with closing(connect(tmp_path / DATABASE)) as connection:
        connection.execute("PRAGMA page_size = 8192")
        schema.migrate(connection, schema.MIGRATIONS[:6])
        for name in ("verified", "written"):
            connection.execute(
                "INSERT INTO collections (name, model, digest, layer, at, pool, dim, metric, "
                "pixel_space, keep_originals, count, seq, created_at) VALUES "
                "(?, 'tiny', 'sha256:0', 'head', 'input', 'avg', 4, 'l2', 0, 0, 0, 1, 0)",
                (name,),
            )
        connection.execute(
            "INSERT INTO idempotency (collection, key, fingerprint, ordinal, answer, seq, created, "
            "at) VALUES (1, 'k', 'f', 9, '{}', 1, 1, 0)"
        )
        connection.execute("UPDATE gallery SET seq = 2")
    with closing(LocalGallery(tmp_path)) as gallery:
        assert gallery.seq == 2
        gallery.write(Put("written", new_item("a"))).result(WAIT_S)
        assert sums(tmp_path, "collections") == {"verified": False, "written": True}
        assert texts(gallery) == []
        assert sums(tmp_path, "collections") == {"verified": True, "written": True}
        assert gallery.seq == 3
    change(tmp_path, "UPDATE collections SET dim = 5")
    change(tmp_path, "UPDATE gallery SET seq = seq")
    with closing(LocalGallery(tmp_path)) as gallery:
        assert texts(gallery) == [
            "the stored collection of 'verified' is damaged",
            "the stored collection of 'written' is damaged",
        ]


def sums(folder: Path, table: str) -> dict[str, bool]:
    """Which rows have one."""
    with closing(connect(folder / DATABASE)) as connection:
        rows = connection.execute(f"SELECT name, sum IS NOT NULL FROM {table}")
        return {name: bool(has) for name, has in rows}
