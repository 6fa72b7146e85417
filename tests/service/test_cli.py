import json
from pathlib import Path

import pytest
from PIL import Image

from core import __version__
from service.cli import main
from tests.pictures import jpeg

COMMANDS = ("serve", "classify", "explain", "models", "openapi")


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_every_command_has_help_with_an_example(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main([*command.split(), "--help"])
    assert ended.value.code == 0
    assert "example:\n  seethrough" in capsys.readouterr().out


def test_version_is_the_packages(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--version"])
    assert capsys.readouterr().out == f"seethrough {__version__}\n"


def test_classify_prints_the_classes_and_reports_what_it_could_not_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good, bad = tmp_path / "cup.jpg", tmp_path / "bad.jpg"
    good.write_bytes(jpeg("coffee"))
    bad.write_bytes(b"text")
    assert main(["classify", "--top-k", "2", str(good), str(bad), str(tmp_path / "no")]) == 1
    captured = capsys.readouterr()
    assert "espresso (967)" in captured.out
    assert captured.out.count("%") == 2
    assert "bad.jpg: not a picture we take" in captured.err
    assert "No such file" in captured.err


def test_classify_as_json_is_one_object_per_picture(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "cup.jpg"
    file.write_bytes(jpeg("coffee"))
    assert main(["classify", "--json", str(file), str(file)]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [each["predictions"][0]["label"] for each in rows] == ["espresso", "espresso"]


def test_explain_draws_a_picture(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file, drawn = tmp_path / "cup.jpg", tmp_path / "why.png"
    file.write_bytes(jpeg("coffee"))
    options = ["--target", "cup", "--size", "original"]
    assert main(["explain", "grad-cam", str(file), "-o", str(drawn), *options]) == 0
    assert "grad-cam of cup (968)" in capsys.readouterr().out
    with Image.open(drawn) as why, Image.open(file) as cup:
        assert why.size == cup.size


def test_models_lists_what_would_be_served(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "--device", "cpu"]) == 0
    assert "* efficientnet-lite0  3x224x224 -> 1000 classes" in capsys.readouterr().out


def test_a_wrong_setting_is_named_with_its_value(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", "--port", "70000"]) == 2
    assert "SEETHROUGH_PORT='70000'" in capsys.readouterr().err


def test_an_unknown_model_is_named_with_the_known_ones(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "--models", "nope"]) == 1
    assert "no model named 'nope'; known: efficientnet-lite0" in capsys.readouterr().err


def test_openapi_writes_the_document(tmp_path: Path) -> None:
    file = tmp_path / "deep" / "openapi.json"
    assert main(["openapi", "--output", str(file)]) == 0
    assert json.loads(file.read_text())["info"]["title"] == "Seethrough"
