"""What is said of a database file that something else has written into."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from core.errors import GalleryUnusable
from core.gallery.queries import Query
from core.gallery.records import Put, Remove
from core.gallery.sqlite.database import connect
from core.gallery.sqlite.local import DATABASE, LocalGallery
from core.gallery.sqlite.schema import PAGE_SIZE_BYTES
from core.types import ImageFile
from service.cli.main import main
from tests.core.gallery.records import DIM, new_item, spec
from tests.core.gallery.sqlite.stores import opened


@pytest.fixture
def whole(tmp_path: Path) -> bytes:
    """The file of a closed gallery of a few items, one of them with a long original."""
    file = tmp_path / "whole.db"
    with opened(file) as store:
        store.create(spec("p", pixel_space=True, keep_originals=True)).result()
        for seed in range(20):
            original = ImageFile(bytes(30_000) if seed == 3 else b"short")
            store.write(Put("p", new_item(f"{seed:02}", seed, original=original))).result()
        store.write(Remove("p", "07")).result()
    return file.read_bytes()


def damaged(folder: Path, whole: bytes, page: int) -> Path:
    """A gallery's folder whose file has noise instead of this page, counted from 0."""
    folder.mkdir()
    noise = np.random.default_rng(page).bytes(PAGE_SIZE_BYTES)
    start = page * PAGE_SIZE_BYTES
    (folder / DATABASE).write_bytes(whole[:start] + noise + whole[start + PAGE_SIZE_BYTES :])
    return folder


def faults_of(folder: Path) -> Iterator[str]:
    try:
        gallery = LocalGallery(folder)
    except GalleryUnusable as error:
        yield str(error)
        return
    with closing(gallery):
        yield from (fault.text for fault in gallery.verify())


def test_a_whole_file_has_no_faults(tmp_path: Path, whole: bytes) -> None:
    (tmp_path / "g").mkdir()
    (tmp_path / "g" / DATABASE).write_bytes(whole)
    assert list(faults_of(tmp_path / "g")) == []


def test_noise_in_any_page_is_named_and_crashes_nothing(
    tmp_path: Path, whole: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    pages = len(whole) // PAGE_SIZE_BYTES
    assert pages > 20
    for page in range(pages):
        folder = damaged(tmp_path / str(page), whole, page)
        faults = list(faults_of(folder))
        assert faults, f"nobody saw the noise in page {page}"
        assert main(["verify", "--data-dir", str(folder)]) == 1
        said = capsys.readouterr().err.splitlines()
        assert said
        named = ("is damaged", "cannot open")
        assert all(line.startswith("seethrough: ") for line in said), said
        assert all(any(text in line for text in named) for line in said), said


def test_a_row_that_belongs_to_nothing_is_named(tmp_path: Path, whole: bytes) -> None:
    file = tmp_path / DATABASE
    file.write_bytes(whole)
    with closing(connect(file)) as connection:
        connection.execute("PRAGMA foreign_keys = OFF")
        connection.execute("DELETE FROM vectors WHERE number = 5")
    with opened(file) as store:
        assert "a row of items belongs to nothing" in store.check()


def test_reads_and_writes_of_a_damaged_file_name_it(tmp_path: Path, whole: bytes) -> None:
    """Every page is noise but those that opening and listing need."""
    file = tmp_path / DATABASE
    file.write_bytes(whole)
    with closing(connect(file)) as connection:
        (root,) = connection.execute(
            "SELECT rootpage FROM sqlite_schema WHERE name = 'vectors'"
        ).fetchone()
    folder = damaged(tmp_path / "g", whole, root - 1)
    with opened(folder / DATABASE) as store:
        for read in (lambda: store.vector("p", "00"), lambda: list(store.vectors("p"))):
            with pytest.raises(GalleryUnusable, match="is damaged"):
                read()
        with pytest.raises(GalleryUnusable, match="is damaged"):
            store.write(Put("p", new_item("new"))).result()


def test_a_search_of_a_damaged_file_names_it(tmp_path: Path, whole: bytes) -> None:
    with closing(connect(tmp_path / "whole.db")) as connection:
        (root,) = connection.execute(
            "SELECT rootpage FROM sqlite_schema WHERE name = 'items'"
        ).fetchone()
    folder = damaged(tmp_path / "g", whole, root - 1)
    with closing(LocalGallery(folder)) as gallery, pytest.raises(GalleryUnusable, match="damaged"):
        gallery.nearest("p", Query(np.zeros(DIM, np.float32)))
