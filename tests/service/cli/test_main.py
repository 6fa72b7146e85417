import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from core import __version__
from core.compute.explainer import Explainer
from core.engine import Engine
from core.errors import UnknownModel
from core.explain.cam import GradCam
from core.explain.occlusion import Occlusion
from core.explain.rise import Rise
from core.explain.saliency import Saliency
from core.explain.smoothgrad import SmoothGrad
from service.cli.main import main
from tests.pictures import jpeg

COMMANDS = ("serve", "classify", "explain", "layers", "filters", "check", "index", "neighbors",
    "project", "export", "import", "backup", "verify", "reindex", "models", "openapi")  # fmt: skip


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_every_command_has_help_with_an_example(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main([*command.split(), "--help"])
    assert ended.value.code == 0
    assert "example:\n  seethrough" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "parameters"),
    [
        (["rise", "--cell", "16", "--samples", "9"], Rise(samples=9, cell=16)),
        (["occlusion", "--window", "24x48", "--stride", "8"], Occlusion((24, 48), (8, 8))),
        (["smoothgrad", "--noise", "0.2", "--signed"], SmoothGrad(noise=0.2, signed=True)),
        (["grad-cam", "--layer", "bn1", "--at", "input"], GradCam("bn1", "input")),
        (["saliency", "--reduce", "l2"], Saliency("l2")),
    ],
    ids=lambda each: each[0] if isinstance(each, list) else "",
)
def test_each_methods_own_options_are_its_parameters(
    options: list[str], parameters: object, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked: list[object] = []

    async def noted(_self: Explainer, _file: object, methods: list[object], **_: object) -> None:
        asked.extend(methods)
        raise UnknownModel("noted", ())

    monkeypatch.setattr(Explainer, "explain", noted)
    monkeypatch.setattr(Engine, "start", _at_once)
    file = tmp_path / "cup.jpg"
    file.write_bytes(jpeg("coffee"))
    method, *rest = options
    assert main(["explain", method, str(file), "-o", str(tmp_path / "why.png"), *rest]) == 1
    assert asked == [parameters]


async def _at_once(_self: Engine) -> None:
    """Nothing is loaded."""


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


def test_layers_prints_a_table_that_ends_in_totals(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["layers", "efficientnet-lite0"]) == 0
    head, first, *_, last = capsys.readouterr().out.splitlines()
    assert head.split() == ["layer", "type", "input", "output", "parameters", "macs", "follows"]
    assert first.split() == ["conv_stem", "Conv2dSame", "3x3", "/2", "3x224x224", "32x112x112",
                             "864", "10,838,016", "input"]  # fmt: skip
    assert last.split() == ["total", "4,652,008", "385,187,552"]
    assert first.index("10,838,016") + 10 == head.index("macs") + 4 == last.index("385,") + 11


def test_layers_as_json_is_what_the_api_answers(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["layers", "efficientnet-lite0", "--json"]) == 0
    body = json.loads(capsys.readouterr().out)
    assert body["layers"][0]["padding"] == "same"
    assert body["totals"]["macs"] == 385187552


def test_filters_draws_the_first_convolution(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    drawn = tmp_path / "filters.png"
    assert main(["filters", "efficientnet-lite0", "-o", str(drawn), "--scale", "shared"]) == 0
    assert "32 of 32 filters of conv_stem, 3x3x3" in capsys.readouterr().out
    with Image.open(drawn) as picture:
        assert picture.mode == "RGB"


def test_filters_of_another_layer_are_refused_with_the_convolutions(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--layer", "classifier", "-o", str(tmp_path / "no.png")]
    assert main(["filters", "efficientnet-lite0", *options]) == 1
    assert "which a Linear is not; there are conv_stem" in capsys.readouterr().err
    assert not (tmp_path / "no.png").exists()


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


def test_a_file_whose_name_is_no_utf_8_is_classified_and_printed(tmp_path: Path) -> None:
    name = os.fsencode(tmp_path) + b"/caf\xe9.jpg"
    with open(name, "wb") as file:
        file.write(jpeg("coffee"))
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "service", "classify", "--top-k", "1", name],
        env=os.environ | {"PYTHONIOENCODING": "utf-8:strict"},
        capture_output=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert b"espresso" in done.stdout
    assert b"caf\\udce9.jpg" in done.stdout
