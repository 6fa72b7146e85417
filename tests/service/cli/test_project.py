"""`seethrough project`, with the toy network."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.service.cli.gallery_commands import Commands, pictures


@pytest.fixture
def run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Commands:
    run = Commands(tmp_path, capsys)
    assert run("index", pictures(tmp_path / "photos", 12), "--collection", "c", "--labels") == 0
    return run


@pytest.mark.parametrize(
    "options", [["--method", "pca"], ["--perplexity", "3", "--iterations", "50", "--thumbnails"]]
)
def test_project_draws_a_map(run: Commands, tmp_path: Path, options: list[str]) -> None:
    assert run("project", "c", "-o", tmp_path / "map.png", "--size-px", "400", *options) == 0
    assert "12 items, trustworthiness" in run.out
    with Image.open(tmp_path / "map.png") as image:
        assert image.size == (400, 320)
        assert len(np.unique(np.asarray(image))) > 20


@pytest.mark.parametrize(
    ("options", "word"),
    [
        (["nope"], "no collection named 'nope'"),
        (["c", "--perplexity", "20"], "below a third of the 12 points"),
        (["c", "--method", "pca", "--iterations", "5"], "iterations"),
        (["c", "--dims", "5"], "2 or 3"),
        (["c", "--size-px", "1"], "size_px=1 is not allowed: 300 to 4000"),
    ],
)
def test_project_says_what_is_wrong(
    run: Commands, tmp_path: Path, options: list[str], word: str
) -> None:
    assert run("project", *options, "-o", tmp_path / "map.png") == 1
    assert word in run.err
    assert not (tmp_path / "map.png").exists()
