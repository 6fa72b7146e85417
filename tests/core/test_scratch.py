"""Scratch folders of living and of killed processes."""

import os
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from core.scratch import PREFIX, clear, scratch

ROOT = Path(__file__).parents[2]
_OWNER = """
import sys, time
from pathlib import Path
from core.scratch import scratch
with scratch(Path(sys.argv[1])) as folder:
    (folder / "half a file").write_bytes(b"x")
    print(folder, flush=True)
    time.sleep(600)
"""


def test_a_folder_is_gone_afterwards_however_its_work_ended(tmp_path: Path) -> None:
    with suppress(KeyError), scratch(tmp_path) as folder:
        (folder / "deep").mkdir()
        (folder / "deep" / "file").touch()
        assert folder.parent == tmp_path
        raise KeyError
    assert list(tmp_path.iterdir()) == []


def test_only_what_no_living_process_owns_is_cleared(tmp_path: Path) -> None:
    command = [sys.executable, "-c", _OWNER, str(tmp_path)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        folder = Path(process.stdout.readline().strip())
        with scratch(tmp_path) as own:
            clear(tmp_path)
            assert {each.name for each in folder.iterdir()} >= {"half a file"}
            assert own.is_dir()
        process.kill()
    assert folder.is_dir()
    with scratch(tmp_path) as own:
        assert list(tmp_path.iterdir()) == [own]


def test_folders_of_others_are_left_alone(tmp_path: Path) -> None:
    kept = [tmp_path / f"{PREFIX}of somebody", tmp_path / "seethrough-data"]
    for each in kept:
        each.mkdir()
        (each / "lock").touch()
    clear(tmp_path)
    clear(tmp_path / "missing")
    assert sorted(tmp_path.iterdir()) == sorted(kept)


def test_a_folder_that_is_not_there_or_no_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"missing'$"), scratch(tmp_path / "missing"):
        pass


@pytest.mark.parametrize(
    ("name", "content"),
    [
        (".e2.parquet.4711", b"PAR1 half"),
        (".b2.db.k3_xyz01.part", b"SQLite format 3\0 half"),
        ("seethrough-a1b2c3d_/asked.json", b"{"),
        ("seethrough-a1b2c3d_/vectors.f32", b"half"),
    ],
)
def test_what_an_older_version_left_is_cleared_once_it_is_old(
    tmp_path: Path, name: str, content: bytes
) -> None:
    file = tmp_path / name
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(content)
    if name.endswith(".part"):
        file.with_name(f"{name}-journal").write_bytes(b"half")
    clear(tmp_path)
    assert file.exists()  # its owner may still write
    left = tmp_path / Path(name).parts[0]
    os.utime(left, (0, time.time() - 7 * 3600))
    clear(tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "name",
    [
        *("e2.parquet.4711", "e2.parquet", ".e2.parquet", ".notes.part", "film.part"),
        *(".movie.download.part", ".sales.parquet.4711"),
        *("seethrough-crash-a1b2c3d_/server.log", "seethrough-a1b2c3d_/mine.txt"),
    ],
)
def test_what_only_looks_like_it_stays(tmp_path: Path, name: str) -> None:
    file = tmp_path / name
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(b"whole")
    os.utime(tmp_path / Path(name).parts[0], (0, 0))
    clear(tmp_path)
    assert file.read_bytes() == b"whole"
