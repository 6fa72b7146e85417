"""The commands that look after what is stored, with toy networks."""

import json
import shutil
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from core.gallery.index.index import VectorIndex
from core.gallery.records import Put
from core.gallery.sqlite.local import DATABASE, LocalGallery
from core.scratch import scratch
from tests.core.gallery.records import new_item, spec
from tests.core.gallery.test_parquet import everything
from tests.service.cli.gallery_commands import Commands, pictures, quadrants


@pytest.fixture
def run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Commands:
    """With a gallery of 20 items in "c", of a network that is not served."""
    commands = Commands(tmp_path, capsys)
    with closing(LocalGallery(commands.folder)) as gallery:
        gallery.create(spec("c", pixel_space=True)).result()
        for seed in range(20):
            gallery.write(Put("c", new_item(f"{seed:02}", seed, label="x"))).result()
    return commands


def test_export_and_import_carry_a_collection_over(run: Commands, tmp_path: Path) -> None:
    file = tmp_path / "c.parquet"
    assert run.plain("export", file, "--collection", "c") == 0
    assert run.out == f"{file}: 20 items of c\n"
    before, run.folder = run.folder, tmp_path / "elsewhere" / "data"
    assert run.plain("import", file) == 0
    assert run.plain("import", file, "--collection", "copy") == 0
    assert run.out == f"20 items from {file}\n"
    with closing(LocalGallery(before)) as one, closing(LocalGallery(run.folder)) as two:
        assert everything(one, "c") == everything(two, "c") == everything(two, "copy")
        assert two.verify() == []


def test_export_and_import_say_what_is_wrong(run: Commands, tmp_path: Path) -> None:
    file = tmp_path / "c.parquet"
    run.plain("export", file, "--collection", "c")
    text = tmp_path / "text"
    text.write_text("no Parquet")
    for arguments, said in (
        (("export", file), "no collection named 'default'; known: c"),
        (("export", tmp_path / "no" / "c.parquet", "--collection", "c"), "No such file"),
        (("export", tmp_path, "--collection", "c"), "directory"),
        (("import", tmp_path / "nowhere"), "No such file"),
        (("import", tmp_path), "allowed: a Parquet file"),
        (("import", text), "allowed: a Parquet file"),
        (("import", file, "--collection", "a/b"), "name='a/b' is not allowed"),
    ):
        assert run.plain(*arguments) == 1, arguments  # type: ignore[arg-type]
        assert said in run.err
        assert run.err.count("\n") == 1
    assert sorted(each.name for each in tmp_path.iterdir()) == [
        "c.parquet", "data", "models", "text",
    ]  # fmt: skip


def test_backup_of_a_gallery_in_use_opens_as_a_gallery(run: Commands, tmp_path: Path) -> None:
    file = tmp_path / "monday.db"
    with closing(LocalGallery(run.folder)) as gallery:
        gallery.write(Put("c", new_item("last", 99))).result()
        assert run.plain("backup", file) == 0
        assert run.out == f"{file}: {file.stat().st_size} bytes\n"
        gallery.write(Put("c", new_item("too late", 100))).result()
        before = everything(gallery, "c")[:21]
    restored = tmp_path / "restored"
    restored.mkdir()
    shutil.copy(file, restored / DATABASE)
    with closing(LocalGallery(restored)) as gallery:
        assert everything(gallery, "c") == before
        assert gallery.verify() == []


def test_what_a_killed_process_left_is_cleared_by_export_backup_and_start(
    run: Commands, tmp_path: Path
) -> None:
    def left_in(folder: Path) -> Path:
        with scratch(folder) as living:
            left = living.with_name(f"{living.name}-left")
            shutil.copytree(living, left)
        return left

    beside, inside = left_in(tmp_path), left_in(run.folder)
    assert run.plain("backup", tmp_path / "b.db") == 0
    assert not beside.exists()
    beside = left_in(tmp_path)
    assert inside.exists()
    assert run.plain("export", tmp_path / "c.parquet", "--collection", "c") == 0
    assert not beside.exists()
    assert not inside.exists()


def test_backup_says_what_is_wrong(run: Commands, tmp_path: Path) -> None:
    assert run.plain("backup", tmp_path / "no" / "monday.db") == 1
    assert "No such file" in run.err
    assert run.plain("backup", tmp_path) == 1
    assert run.plain("backup", run.folder / DATABASE) == 1
    assert "is a gallery in use" in run.err
    run.folder = tmp_path / "nothing"
    assert run.plain("backup", tmp_path / "monday.db") == 1
    assert "there is no gallery" in run.err
    assert not run.folder.exists()
    assert not list(tmp_path.glob("*monday*"))


def test_verify_says_that_all_agrees(run: Commands) -> None:
    assert run.plain("verify") == 0
    assert run.out == "database, indexes and brute force agree: c 20\n"


def test_verify_names_what_does_not_agree(run: Commands, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(VectorIndex, "apply", lambda *_: None)
    verify = LocalGallery.verify

    def after_a_write(self: LocalGallery, queries: int) -> object:
        self.write(Put("c", new_item("unseen", 50))).result()
        return verify(self, queries)

    monkeypatch.setattr(LocalGallery, "verify", after_a_write)
    assert run.plain("verify") == 1
    assert run.out == ""
    assert run.err.splitlines() == [
        f"seethrough: c: {space}: 1 stored vectors are not in the index, such as [21]"
        for space in ("features", "pixels")
    ]


def test_verify_says_what_is_wrong(run: Commands, tmp_path: Path) -> None:
    assert run.plain("verify", "--queries", "0") == 1
    assert "queries=0 is not allowed: 1 or more" in run.err
    with closing(LocalGallery(run.folder)):
        assert run.plain("verify") == 1
        assert "is in use by process" in run.err
    run.folder = tmp_path / "nothing"
    for command in (["verify"], ["export", tmp_path / "x"]):
        assert run.plain(*command) == 1
        assert run.err == f"seethrough: there is no gallery in {run.folder}\n"
    assert not run.folder.exists()


def test_reindex_gives_a_collection_the_vectors_of_another_network(
    run: Commands, tmp_path: Path
) -> None:
    photos = pictures(tmp_path / "photos")
    options = ("--collection", "p", "--keep-originals", "--pixel-space", "--labels")
    assert run("index", photos, *options) == 0
    with closing(LocalGallery(run.folder)) as gallery:
        before = everything(gallery, "p")
        digest = gallery.collection("p").spec.digest
    assert run("reindex", "p", "--model", "other", models="other") == 0
    assert "p: 6 pictures embedded anew\n" in run.out
    with closing(LocalGallery(run.folder)) as gallery:
        bound = gallery.collection("p")
        assert (bound.spec.model, bound.count) == ("other", 6)
        assert bound.spec.digest != digest
        after = everything(gallery, "p")
        # Everything but prediction and vector is as it was; each feature is greater by one.
        assert [row[:6] + row[8:] for row in after] == [row[:6] + row[8:] for row in before]
        for old, new in zip(before, after, strict=True):
            vectors = [np.frombuffer(row[7], np.float32) for row in (old, new)]
            np.testing.assert_allclose(vectors[1], vectors[0] + 1, rtol=1e-5)
        assert gallery.verify() == []
    assert run("neighbors", photos / "dark" / "2.png", "--collection", "p", "--json",
               models="other") == 0  # fmt: skip
    nearest = json.loads(run.out)["neighbors"][0]
    assert nearest["id"] == "dark/2.png"
    assert nearest["distance"] < 1e-4


def test_reindex_needs_originals_and_a_network_that_is_served(run: Commands) -> None:
    assert run("reindex", "c", "--model", "toy") == 1
    assert "keeps no originals" in run.err
    assert run("reindex", "nope") == 1
    assert "no collection named 'nope'" in run.err


def test_reindex_of_a_picture_that_no_longer_fits_changes_nothing(
    run: Commands, tmp_path: Path
) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    (photos / "a.png").write_bytes(quadrants(1, 2, 3, 4))
    run("index", photos, "--collection", "p", "--keep-originals")
    with closing(LocalGallery(run.folder)) as gallery:
        before = gallery.items("p").items
    assert run("reindex", "p", "--model", "toy", "--max-pixels", "1") == 1
    assert "'a.png' cannot be embedded, so nothing was changed" in run.err
    with closing(LocalGallery(run.folder)) as gallery:
        assert gallery.items("p").items == before
