"""`seethrough index` and `seethrough neighbors`, with the toy network."""

import json
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from core.collections.bulk import FileOutcome, index_folder
from core.errors import StorageFull
from core.gallery.records import Item, Patch
from core.gallery.sqlite.local import LocalGallery
from core.gallery.sqlite.store import Store
from tests.service.cli.gallery_commands import Commands, pictures, quadrants


@pytest.fixture
def run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Commands:
    return Commands(tmp_path, capsys)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return pictures(tmp_path / "photos")


def stored(run: Commands) -> dict[str, Item]:
    with closing(LocalGallery(run.folder)) as gallery:
        assert gallery.verify() == []
        return {item.id: item for item in gallery.items("c", limit=1000).items}


def test_index_stores_every_picture_under_its_path(run: Commands, photos: Path) -> None:
    (photos / "notes.txt").write_text("no picture")
    assert run("index", photos, "--collection", "c") == 0
    assert run.out == "c: 6 stored, 0 replaced, 0 unchanged, 0 failed\n"
    items = stored(run)
    assert sorted(items) == sorted(f"{'bright' if i % 2 else 'dark'}/{i}.png" for i in range(6))
    assert {item.label for item in items.values()} == {None}


def test_index_begun_again_leaves_alone_what_is_there(run: Commands, photos: Path) -> None:
    run("index", photos, "--collection", "c", "--labels")
    before = stored(run)
    for labels in ("--labels", None):
        assert run("index", photos, "--collection", "c", *filter(None, [labels])) == 0
        assert run.out == "c: 0 stored, 0 replaced, 6 unchanged, 0 failed\n"
        assert stored(run) == before


def test_index_replaces_a_changed_file_and_keeps_what_was_said_of_it(
    run: Commands, photos: Path
) -> None:
    run("index", photos, "--collection", "c")
    with closing(LocalGallery(run.folder)) as gallery:
        gallery.write(Patch("c", "dark/2.png", label="mine", metadata={"a": 1})).result()
    before = stored(run)
    (photos / "dark" / "2.png").write_bytes(quadrants(9, 9, 9, 9))
    (photos / "dark" / "new.png").write_bytes(quadrants(8, 8, 8, 8))
    assert run("index", photos, "--collection", "c") == 0
    assert run.out == "c: 1 stored, 1 replaced, 5 unchanged, 0 failed\n"
    after = stored(run)
    changed = after["dark/2.png"]
    assert changed.sha256 != before["dark/2.png"].sha256
    assert (changed.label, changed.metadata) == ("mine", {"a": 1})
    assert {id for id in before if after[id] == before[id]} == set(before) - {"dark/2.png"}


def test_index_takes_the_first_folder_as_the_label_also_later(run: Commands, photos: Path) -> None:
    (photos / "loose.png").write_bytes(quadrants(1, 1, 1, 1))
    run("index", photos, "--collection", "c")
    assert run("index", photos, "--collection", "c", "--labels") == 0
    assert run.out == "c: 0 stored, 6 replaced, 1 unchanged, 0 failed\n"
    labels = {id: item.label for id, item in stored(run).items()}
    assert labels.pop("loose.png") is None
    assert all(id.startswith(f"{label}/") for id, label in labels.items())


def test_index_lists_the_files_that_cannot_be_read_and_stores_the_others(
    run: Commands, photos: Path
) -> None:
    (photos / "broken.jpg").write_bytes(b"no picture")
    (photos / "gone.jpg").symlink_to(photos / "nowhere.jpg")
    long = photos / ("x" * 120) / f"{'y' * 120}.png"
    long.parent.mkdir()
    long.write_bytes(quadrants(1, 2, 3, 4))
    assert run("index", photos, "--collection", "c") == 1
    assert run.out == "c: 6 stored, 0 replaced, 0 unchanged, 2 failed\n"
    first, second = (line for line in run.err.splitlines() if line.startswith("seethrough: "))
    assert first.startswith(f"seethrough: {photos / 'broken.jpg'}: not a picture we take")
    assert "1 to 200 characters" in second
    assert len(stored(run)) == 6


def test_index_goes_on_where_it_was_interrupted(
    run: Commands, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def interrupted(*given: Any, **named: Any) -> AsyncIterator[FileOutcome]:
        count = 0
        async for outcome in index_folder(*given, **named):
            yield outcome
            count += 1
            if count == 20:
                raise KeyboardInterrupt

    pictures(photos, 60)
    with monkeypatch.context() as patched:
        patched.setattr("service.cli.gallery.index_folder", interrupted)
        assert run("index", photos, "--collection", "c") == 130
    assert run.err.endswith("seethrough: interrupted\n")
    before = stored(run)
    assert 20 <= len(before) < 60
    assert run("index", photos, "--collection", "c") == 0
    left = 60 - len(before)
    assert run.out == f"c: {left} stored, 0 replaced, {len(before)} unchanged, 0 failed\n"
    assert len(stored(run)) == 60


def test_index_stops_at_a_full_disk_with_one_sentence(
    run: Commands, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write(*_: object) -> None:
        raise StorageFull("there is no space on the disk for seethrough.db")

    with monkeypatch.context() as patched:
        patched.setattr(Store, "write", write)
        assert run("index", photos, "--collection", "c") == 1
    assert "no space on the disk" in run.err
    assert "never retrieved" not in run.err
    assert stored(run) == {}


def test_index_goes_on_where_the_queue_is_short(
    run: Commands, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEETHROUGH_QUEUE_SIZE", "1")
    assert run("index", photos, "--collection", "c") == 0
    assert run.out.startswith("c: 6 stored")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["photos", "--collection", "a/b"], "name='a/b' is not allowed"),
        (["photos", "--collection", "c", "--layer", "nope"], "no layer named 'nope'"),
        (["nowhere", "--collection", "c"], "nowhere is not a folder"),
    ],
)
def test_index_says_what_is_wrong(
    run: Commands, photos: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], said: str
) -> None:
    monkeypatch.chdir(photos.parent)
    assert run("index", *arguments) == 1
    assert said in run.err


def test_index_refuses_options_that_the_collection_does_not_have(
    run: Commands, photos: Path
) -> None:
    run("index", photos, "--collection", "c", "--metric", "cosine")
    assert run("index", photos, "--collection", "c", "--metric", "l1") == 1
    assert "metric='l1' is not allowed: cosine, as 'c' has it" in run.err
    assert run("index", photos, "--collection", "c", models="other") == 1
    assert "add it to SEETHROUGH_MODELS" in run.err


def test_a_folder_in_use_is_refused_with_the_process(run: Commands, photos: Path) -> None:
    with closing(LocalGallery(run.folder)):
        assert run("index", photos, "--collection", "c") == 1
    assert "is in use by process" in run.err


@pytest.fixture(scope="module")
def indexed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with photos and a gallery: "c" holds them with labels and pixels."""
    directory = tmp_path_factory.mktemp("indexed")
    run = Commands(directory)
    photos = pictures(directory / "photos")
    assert run("index", photos, "--collection", "c", "--labels", "--pixel-space") == 0
    return directory


@pytest.fixture
def find(indexed: Path, capsys: pytest.CaptureFixture[str]) -> Commands:
    return Commands(indexed, capsys)


def test_neighbors_are_listed_and_drawn(find: Commands, indexed: Path, tmp_path: Path) -> None:
    query, drawn = indexed / "photos" / "dark" / "2.png", tmp_path / "near.png"
    assert find("neighbors", query, "--collection", "c", "-k", 3, "-o", drawn) == 0
    first, *rest = find.out.splitlines()
    assert first.split() == ["0.0000", "dark/2.png", "(dark)"]
    assert len(rest) == 2
    with Image.open(drawn) as sheet:
        assert sheet.format == "PNG"
        assert sheet.width >= 4 * 160


@pytest.mark.parametrize("space", ["features", "pixels"])
def test_neighbors_as_json_keep_to_the_label(find: Commands, indexed: Path, space: str) -> None:
    query = indexed / "photos" / "dark" / "2.png"
    options = ("--collection", "c", "--label", "bright", "--space", space)
    assert find("neighbors", query, *options, "--json") == 0
    found = json.loads(find.out)
    assert (found["metric"], found["exact"]) == ("l2", True)
    near = found["neighbors"]
    assert sorted(each["id"] for each in near) == [f"bright/{i}.png" for i in (1, 3, 5)]
    assert near[-1]["id"] == "bright/5.png"  # 3 pictures away, the others 1
    assert {each["label"] for each in near} == {"bright"}
    assert [each["distance"] for each in near] == sorted(each["distance"] for each in near)


@pytest.mark.parametrize(
    ("file", "arguments", "said"),
    [
        ("dark/2.png", ["--collection", "nope"], "no collection named 'nope'"),
        ("dark/2.png", ["-k", "0"], "k=0 is not allowed"),
        ("dark/2.png", ["-o", "no/such/folder.png"], "No such file or directory"),
        ("dark/nowhere.png", [], "No such file or directory"),
        ("../models/toy/net.py", [], "not a picture we take"),
    ],
)
def test_neighbors_say_what_is_wrong(
    find: Commands, indexed: Path, file: str, arguments: list[str], said: str
) -> None:
    assert find("neighbors", indexed / "photos" / file, *arguments) == 1
    assert said in find.err
