"""One byte flipped in a database: named, never served as if it were sound, in nobody's way."""

import hashlib
import logging
import re
import time
from contextlib import closing, nullcontext
from pathlib import Path

import numpy as np
import pytest

from core.errors import GalleryUnusable, RecordDamaged, SeethroughError
from core.gallery.gallery import every_item
from core.gallery.parquet import export_collection
from core.gallery.queries import Query
from core.gallery.records import Patch, Put, Remove
from core.gallery.sqlite.database import connect
from core.gallery.sqlite.local import DATABASE, LocalGallery
from core.gallery.sqlite.sweep import Sweep
from core.types import ImageFile
from tests.core.gallery.records import WAIT_S, new_item, sha256
from tests.core.gallery.sqlite.flipped import ITEMS, change, everything, filled


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    filled(tmp_path / "g")
    return tmp_path / "g"


def test_a_sound_gallery_has_no_faults_and_all_its_sums(folder: Path) -> None:
    with closing(LocalGallery(folder)) as gallery:
        assert gallery.verify() == []
    with closing(connect(folder / DATABASE)) as connection:
        columns = "vector_sum, pixels_sum, thumbnail_sum, original_sum, sum"
        rows = connection.execute(f"SELECT {columns} FROM items").fetchall()
    assert len(rows) == ITEMS
    assert all(value is not None for row in rows for value in row)


@pytest.mark.parametrize(
    ("part", "statement"),
    [
        ("vector", "UPDATE vectors SET features = zeroblob(256) WHERE number = 5"),
        ("pixels", "UPDATE pixels SET pixels = zeroblob(3072) WHERE number = 5"),
        ("thumbnail", "UPDATE pictures SET thumbnail = x'00' WHERE ordinal = 5"),
        ("original", "UPDATE pictures SET original = x'00' WHERE ordinal = 5"),
        ("original", "UPDATE pictures SET bits = 12 WHERE ordinal = 5"),
        ("item", "UPDATE items SET metadata = '{\"text\":1}' WHERE ordinal = 5"),
        ("item", "UPDATE items SET metadata = '{' WHERE ordinal = 5"),
        ("item", "UPDATE items SET metadata = '[]' WHERE ordinal = 5"),
        ("item", "UPDATE items SET label = CAST(x'ff61' AS TEXT) WHERE ordinal = 5"),
        ("item", "UPDATE items SET width = 7 WHERE ordinal = 5"),
        ("item", "UPDATE items SET updated_at = 1 << 62 WHERE ordinal = 5"),
        ("item", "UPDATE items SET vector_sum = 7 WHERE ordinal = 5"),
    ],
)
def test_what_is_damaged_is_named_and_not_served_and_the_rest_goes_on(
    folder: Path, part: str, statement: str
) -> None:
    change(folder, statement)
    with closing(LocalGallery(folder)) as gallery:
        reads = everything(gallery)
        for name, read in reads.items():
            if name == f"item 04 {part}" or (part == "item" and name.startswith("item 04 ")):
                with pytest.raises(RecordDamaged, match="'item 04' is damaged"):
                    read()
            else:
                read()
        faults = gallery.verify()
        assert [fault.text.split(" (")[0] for fault in faults] == [
            f"the stored {part} of 'item 04' is damaged"
        ]
        listed = [item.id for item in gallery.items("c", limit=100).items]
        assert len(listed) == ITEMS - (part == "item")
        assert len(list(every_item(gallery, "c"))) == len(listed)
        for space in ("features", "pixels"):
            dim = 64 if space == "features" else 3072
            near = gallery.nearest("c", Query(np.zeros(dim, np.float32), k=ITEMS, space=space))
            hidden = part in ("item", "vector", "pixels")
            assert len(near.found) == ITEMS - hidden
        with pytest.raises(RecordDamaged) if part == "item" else nullcontext():
            gallery.write(Patch("c", "item 04", label="x")).result(WAIT_S)
        gallery.write(Remove("c", "item 04")).result(WAIT_S)
        assert gallery.verify() == []
        assert gallery.collection("c").count == ITEMS - 1


def test_an_item_stored_again_in_the_place_of_a_damaged_one_is_sound(folder: Path) -> None:
    change(folder, "UPDATE items SET metadata = 'nonsense' WHERE ordinal IN (5, 6)")
    change(folder, "UPDATE vectors SET features = zeroblob(256) WHERE number = 8")
    with closing(LocalGallery(folder)) as gallery:
        assert len(gallery.verify()) == 3
        for seed in (4, 5, 7):
            item = new_item(f"item {seed:02}", 99 + seed, 64, original=ImageFile(b"x"))
            assert not gallery.write(Put("c", item, upsert=True)).result(WAIT_S).created
        assert gallery.verify() == []
        assert len(gallery.items("c", limit=100).items) == ITEMS


def test_what_was_found_stays_so_after_a_restart(folder: Path) -> None:
    change(folder, "UPDATE vectors SET features = zeroblob(256) WHERE number = 5")
    for _ in range(2):
        with closing(LocalGallery(folder)) as gallery:
            assert len(gallery.verify()) == 1
            near = gallery.nearest("c", Query(np.zeros(64, np.float32), k=1))
            assert near.found[0].item.id != "item 04"


@pytest.mark.parametrize("text", [b"item 04", b"label 4", b'{"text":"words of 04"}'])
def test_text_that_is_no_utf_8_hides_nothing_and_can_be_removed(
    folder: Path, text: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """Its indexes have the text as it was."""
    content = bytearray((folder / DATABASE).read_bytes())
    for found in re.finditer(re.escape(text), bytes(content)):
        beside = content[max(0, found.start() - 400) : found.start() + 400]
        if b'{"text":"words of 04"}' in beside and sha256("item 04 4").encode() in beside:
            content[found.start()] ^= 0x80  # in the table; an index has no metadata
    (folder / DATABASE).write_bytes(content)
    with closing(LocalGallery(folder)) as gallery, caplog.at_level(logging.WARNING):
        assert len(gallery.items("c", limit=100).items) == ITEMS - 1
        assert "left out of an answer" in caplog.text
        assert gallery.nearest("c", Query(np.zeros(64, np.float32), k=ITEMS)).found
        assert len(gallery.labels("c")) >= ITEMS - 1
        assert sum(len(items) for items, _ in gallery.vectors("c")) == ITEMS - 1
        with pytest.raises(RecordDamaged):
            gallery.item("c", "item 04")
        gallery.write(Remove("c", "item 04")).result(WAIT_S)
        assert gallery.verify() == []


def test_a_label_that_its_index_does_not_have_is_named_and_served_no_more(folder: Path) -> None:
    """SQLite names the index, the checksum the item."""
    content = (folder / DATABASE).read_bytes()
    row = re.search(rb"item 04.label 4", content, re.DOTALL)
    assert row is not None
    changed = content[: row.end() - 1] + b"9" + content[row.end() :]
    (folder / DATABASE).write_bytes(changed)
    with closing(LocalGallery(folder)) as gallery:
        texts = [fault.text for fault in gallery.verify()]
        assert any("index" in text for text in texts)
        assert any("item of 'item 04' is damaged" in text for text in texts)
        assert "label 9" not in {item.label for item in gallery.items("c", limit=100).items} - {
            gallery.item("c", "item 09").label
        }
        assert len(gallery.items("c", limit=100).items) == ITEMS - 1
        gallery.write(Remove("c", "item 04")).result(WAIT_S)
        assert gallery.verify() == []


def test_the_sweep_finds_damage_by_itself_and_says_so(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    change(folder, "UPDATE vectors SET features = zeroblob(256) WHERE number = 5")
    change(folder, "UPDATE pictures SET thumbnail = x'00' WHERE ordinal = 7")
    with closing(LocalGallery(folder)) as gallery:
        sweep = Sweep(gallery, bytes_s=10**6, every_s=0.01)  # some two items at a time
        until = time.monotonic() + WAIT_S
        while "thumbnail of 'item 06'" not in caplog.text and time.monotonic() < until:
            time.sleep(0.01)
        sweep.close()
        assert "the stored vector of 'item 04' is damaged" in caplog.text
        assert "the stored thumbnail of 'item 06' is damaged" in caplog.text
        near = gallery.nearest("c", Query(np.zeros(64, np.float32), k=ITEMS))
        assert "item 04" not in {each.item.id for each in near.found}
    with closing(LocalGallery(folder, sweep_bytes_s=1)):
        pass  # it ends at once


def test_a_schema_that_is_no_utf_8_is_named(folder: Path) -> None:
    """SQLite's message quotes it."""
    content = (folder / DATABASE).read_bytes()
    assert content.count(b"ended_at INTEGER") == 1
    damaged = content.replace(b"ended_at INTEGER", b"ended_at INTE\xf0ER")
    (folder / DATABASE).write_bytes(damaged)
    with pytest.raises(GalleryUnusable, match="cannot open"):
        LocalGallery(folder)


def test_an_export_leaves_out_what_is_damaged(folder: Path, tmp_path: Path) -> None:
    change(folder, "UPDATE vectors SET features = zeroblob(256) WHERE number = 5")
    change(folder, "UPDATE pictures SET thumbnail = x'00' WHERE ordinal = 7")
    change(folder, "UPDATE items SET metadata = '{' WHERE ordinal = 9")
    with closing(LocalGallery(folder)) as gallery:
        assert export_collection(gallery, "c", tmp_path / "c.parquet") == ITEMS - 3


def test_items_of_an_older_version_get_sums_when_they_are_first_verified(folder: Path) -> None:
    names = ("vector_sum", "pixels_sum", "thumbnail_sum", "original_sum", "sum")
    originals = "UPDATE items SET sha256 = ?, " + ", ".join(f"{name} = NULL" for name in names)
    with closing(connect(folder / DATABASE)) as connection:
        rows = connection.execute("SELECT ordinal, original FROM pictures").fetchall()
        for ordinal, original in rows:
            digest = hashlib.sha256(original).hexdigest()
            connection.execute(f"{originals} WHERE ordinal = ?", (digest, ordinal))
        connection.execute("UPDATE pictures SET original = x'00' WHERE ordinal = 5")
    with closing(LocalGallery(folder)) as gallery:
        assert gallery.vector("c", "item 03").shape == (64,)
        with pytest.raises(RecordDamaged, match="SHA-256"):
            gallery.original("c", "item 04")
        assert len(gallery.verify()) == 1
        seq = gallery.seq
    change(folder, "UPDATE vectors SET features = zeroblob(256) WHERE number = 9")
    with closing(LocalGallery(folder)) as gallery:
        assert gallery.seq == seq
        assert {fault.text.split(" is")[0] for fault in gallery.verify()} == {
            "the stored original of 'item 04'",
            "the stored vector of 'item 08'",
        }


def test_one_byte_flipped_anywhere_is_named_or_changes_nothing(tmp_path: Path) -> None:
    filled(tmp_path / "whole")
    whole = (tmp_path / "whole" / DATABASE).read_bytes()
    with closing(LocalGallery(tmp_path / "whole")) as gallery:
        before = {name: read() for name, read in everything(gallery).items()}
    random = np.random.default_rng(8)
    named = 0
    for number in range(40):
        folder = tmp_path / str(number)
        folder.mkdir()
        content = bytearray(whole)
        content[int(random.integers(len(content)))] ^= int(random.integers(1, 256))
        (folder / DATABASE).write_bytes(content)
        try:
            gallery = LocalGallery(folder)
        except GalleryUnusable:
            named += 1
            continue
        with closing(gallery):
            faults = gallery.verify()
            for name, read in everything(gallery).items():
                try:
                    same = read() == before[name]
                except SeethroughError:
                    same = False
                assert same or faults, (number, name)
            named += bool(faults)
    assert named > 20
