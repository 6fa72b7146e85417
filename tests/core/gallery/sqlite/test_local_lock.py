"""A gallery's folder belongs to one process at a time."""

import os
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from core.errors import GalleryUnusable
from core.gallery.sqlite.local import DATABASE, LocalGallery
from tests.core.gallery.records import spec

ROOT = Path(__file__).parents[4]
HOLDER = """
import sys
from pathlib import Path
from core.gallery.sqlite.local import LocalGallery
gallery = LocalGallery(Path(sys.argv[1]))
print("open", flush=True)
sys.stdin.read()
"""


def test_a_second_gallery_in_the_same_folder_is_refused_and_names_the_process(
    tmp_path: Path,
) -> None:
    with closing(LocalGallery(tmp_path)) as gallery:
        for _ in range(2):
            with pytest.raises(GalleryUnusable, match=f"in use by process {os.getpid()}"):
                LocalGallery(tmp_path)
        gallery.create(spec("c")).result()
    with closing(LocalGallery(tmp_path)) as gallery:
        assert gallery.collection("c").count == 0


def test_a_killed_process_holds_its_folder_no_longer(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLDER, str(tmp_path)]
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "open\n"
        with pytest.raises(GalleryUnusable, match=f"in use by process {process.pid}"):
            LocalGallery(tmp_path)
        process.kill()
    LocalGallery(tmp_path).close()


def test_a_folder_that_could_not_be_opened_is_let_go(tmp_path: Path) -> None:
    database = tmp_path / DATABASE
    database.write_bytes(b"no database" * 100)
    with pytest.raises(GalleryUnusable, match="not a database"):
        LocalGallery(tmp_path)
    database.unlink()
    LocalGallery(tmp_path).close()


def test_a_folder_whose_index_could_not_be_made_is_let_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(LocalGallery(tmp_path)) as gallery:
        gallery.create(spec("c")).result()

    def open_(*_: object) -> None:
        raise GalleryUnusable("a page is damaged")

    with monkeypatch.context() as patched:
        patched.setattr("core.gallery.sqlite.local.VectorIndex.open", open_)
        with pytest.raises(GalleryUnusable, match="a page is damaged"):
            LocalGallery(tmp_path)
    with closing(LocalGallery(tmp_path)) as gallery:
        assert [each.spec.name for each in gallery.collections()] == ["c"]


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(GalleryUnusable, match="file"):
            LocalGallery(folder)
