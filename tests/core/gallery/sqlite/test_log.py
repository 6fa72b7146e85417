"""What is said of a write-ahead log that a killed service left, and a disk has changed."""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from core.errors import GalleryUnusable
from core.gallery.records import Put
from core.gallery.sqlite.local import DATABASE, LocalGallery
from core.gallery.sqlite.log import require_whole
from tests.core.gallery.records import WAIT_S, new_item, spec

ITEMS = 5
HEAD, FRAME = 32, 8192 + 24


@pytest.fixture
def killed(tmp_path: Path) -> Path:
    """A folder whose log has a change of each item."""
    with closing(LocalGallery(tmp_path / "used")) as gallery:
        gallery.create(spec("c")).result(WAIT_S)
    with closing(LocalGallery(tmp_path / "used")) as gallery:
        for seed in range(ITEMS):
            gallery.write(Put("c", new_item(str(seed), seed))).result(WAIT_S)
        shutil.copytree(tmp_path / "used", tmp_path / "killed")
    return tmp_path / "killed"


def log_of(folder: Path) -> Path:
    return folder / f"{DATABASE}-wal"


def flip(file: Path, offset: int) -> None:
    content = bytearray(file.read_bytes())
    content[offset] ^= 0x10
    file.write_bytes(content)


def count(folder: Path) -> int:
    with closing(LocalGallery(folder)) as gallery:
        return gallery.collection("c").count


def test_a_log_that_is_whole_is_read_to_its_end(killed: Path) -> None:
    assert require_whole(log_of(killed)) == ""
    assert count(killed) == ITEMS
    assert require_whole(log_of(killed)) == ""  # there is none any more


def test_changes_that_can_no_longer_be_read_are_not_dropped_without_a_word(killed: Path) -> None:
    """SQLite alone would open it, with fewer items."""
    flip(log_of(killed), HEAD + 5 * FRAME + 1000)
    with pytest.raises(GalleryUnusable, match=f"damaged at byte {HEAD + 5 * FRAME},"):
        LocalGallery(killed)
    with log_of(killed).open("r+b") as log:
        log.truncate(HEAD + 5 * FRAME)  # as the message says
    assert count(killed) < ITEMS


def test_a_log_whose_head_is_damaged_is_refused(killed: Path) -> None:
    flip(log_of(killed), 17)
    with pytest.raises(GalleryUnusable, match=r"the head of .* is damaged"):
        LocalGallery(killed)


def test_a_last_change_that_is_not_whole_is_named(killed: Path) -> None:
    flip(log_of(killed), log_of(killed).stat().st_size - 1000)
    with closing(LocalGallery(killed)) as gallery:
        (fault,) = gallery.verify()
        assert "the last change in" in fault.text
        assert gallery.collection("c").count == ITEMS - 1


@pytest.mark.parametrize("left_bytes", [0, 10, HEAD, HEAD + 100, HEAD + FRAME * 3 + 100])
def test_a_log_that_was_cut_short_is_what_a_kill_leaves(killed: Path, left_bytes: int) -> None:
    with log_of(killed).open("r+b") as log:
        log.truncate(left_bytes)
    assert require_whole(log_of(killed)) == ""
    assert count(killed) < ITEMS


def test_pages_of_an_earlier_log_behind_the_last_change_are_no_damage(tmp_path: Path) -> None:
    """SQLite begins a log anew in the same file."""
    file = tmp_path / "a.db"
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("CREATE TABLE t (a)")
        for _ in range(50):
            connection.execute("INSERT INTO t VALUES (zeroblob(3000))")
        connection.execute("PRAGMA wal_checkpoint(RESTART)")
        connection.execute("INSERT INTO t VALUES (1)")
        shutil.copy(f"{file}-wal", tmp_path / "b.db-wal")
    log = tmp_path / "b.db-wal"
    assert log.stat().st_size > 100_000
    assert require_whole(log) == ""


def test_checksums_are_sqlites_own_for_any_page(killed: Path) -> None:
    """SQLite reads as many pages as are whole: so do we, whichever byte is flipped."""
    random = np.random.default_rng(3)
    whole = log_of(killed).read_bytes()
    for offset in random.integers(HEAD, len(whole), 20).tolist():
        log_of(killed).write_bytes(whole)
        flip(log_of(killed), offset)
        try:
            said = require_whole(log_of(killed))
        except GalleryUnusable as error:
            said = str(error)
        assert said, offset
