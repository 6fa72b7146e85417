import io
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from fastapi.testclient import TestClient
from PIL import Image

from core.engine import Engine
from core.explain.methods import METHODS
from service.app import create_app
from service.cli.main import main
from tests.conftest import settings, wait_until_ready
from tests.folders import TOY_CODE, toy_folder

EXAMPLE = Path(__file__).parents[2] / "examples" / "fashion_mnist"

# Four quadrants of 4, 8, 12 and 16 gray levels' sums, exact in 8 bits.
PICTURE = np.kron([[51, 0], [102, 255]], np.ones((2, 2))).astype(np.uint8)
SUMS = np.array([4 * 51, 0, 4 * 102, 4 * 255]) / 255
WEIGHTS = np.array([1, 2, 3, 4])


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """The service with the toy network and nothing else."""
    directory = tmp_path_factory.mktemp("models")
    toy_folder(directory)
    chosen = settings(models="toy", models_dir=str(directory))
    engine = Engine(chosen.engine_config())
    with TestClient(create_app(chosen, engine)) as client:
        wait_until_ready(client, engine)
        yield client


def post(client: TestClient, path: str, **params: object) -> dict[str, Any]:
    file = io.BytesIO()
    Image.fromarray(PICTURE).save(file, "PNG")
    answer = client.post(
        f"/v1/{path}",
        params=params,  # type: ignore[arg-type]
        content=file.getvalue(),
        headers={"Content-Type": "image/png"},
    )
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def bright(sums: np.ndarray) -> float:
    """Probability of the second class, whose logit is the weighted sum; the first one's is 0."""
    return 1 / (1 + math.exp(-float(WEIGHTS @ sums)))


def test_the_model_is_listed_as_its_folder_says(toy: TestClient) -> None:
    (model,) = toy.get("/v1/models").json()["models"]
    assert model["name"] == "toy"
    assert model["input"] == {"channels": 1, "height": 4, "width": 4}
    assert (model["feature_layer"], model["feature_at"], model["feature_dim"]) == ("fc", "input", 4)
    assert "guided-backprop" in model["explanations"]


def test_logits_and_features_by_hand(toy: TestClient) -> None:
    top = post(toy, "classify", top_k=1)["predictions"][0]
    assert (top["label"], top["class_index"]) == ("bright", 1)
    assert top["logit"] == pytest.approx(float(WEIGHTS @ SUMS))
    assert post(toy, "feature-vector")["vector"] == pytest.approx(SUMS.tolist())


@pytest.mark.parametrize("method", ["saliency", "guided-backprop"])
def test_gradients_by_hand(toy: TestClient, method: str) -> None:
    """A pixel's gradient is its quadrant's weight where the ReLU is open: its sum is above 0."""
    found = post(toy, f"explain/{method}", target="bright")
    by_hand = np.kron((WEIGHTS * (SUMS > 0)).reshape(2, 2), np.ones((2, 2)))
    np.testing.assert_allclose(found["map"], by_hand, atol=1e-6)


def test_occlusion_by_hand(toy: TestClient) -> None:
    found = post(toy, "explain/occlusion", window=2, stride=2, fill="black", target=1)
    without = [bright(np.where(np.arange(4) == hidden, 0, SUMS)) for hidden in range(4)]
    np.testing.assert_allclose(np.ravel(found["score_map"]), without, atol=1e-6)
    assert found["baseline"] == pytest.approx(bright(SUMS), abs=1e-6)
    drop = np.kron((bright(SUMS) - np.array(without)).reshape(2, 2), np.ones((2, 2)))
    np.testing.assert_allclose(found["map"], drop, atol=1e-6)


def test_every_method_answers_for_a_network_so_small(toy: TestClient) -> None:
    for method in toy.get("/v1/models/toy").json()["explanations"]:
        assert np.shape(post(toy, f"explain/{method}")["map"]) == (4, 4)


def test_without_a_list_the_default_model_and_all_folders_are_served(tmp_path: Path) -> None:
    toy_folder(tmp_path, "b")
    toy_folder(tmp_path, "a")
    config = settings(models_dir=str(tmp_path)).engine_config()
    assert config.models == ("efficientnet-lite0", "a", "b")
    assert settings(models_dir=str(tmp_path), models="b").engine_config().models == ("b",)


def test_check_tries_everything_and_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", str(toy_folder(tmp_path))]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("toy: 1 x 4 x 4 -> 2 classes, 4 features (input of fc)")
    for name in ("classify", "explain/occlusion", "explain/grad-cam", "layers", "activations/unit"):
        assert f"ok    {name} " in printed
    assert "FAIL" not in printed
    assert printed.rstrip().endswith("ready to serve")


def test_a_network_without_convolutions_is_checked_without_what_needs_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = (
        "from torch import nn\n"
        "def Toy(n_classes):\n"
        "    return nn.Sequential(nn.Flatten(), nn.Linear(16, 2))\n"
    )
    weights = {"1.weight": torch.ones(2, 16), "1.bias": torch.zeros(2)}
    assert main(["check", str(toy_folder(tmp_path, code=code, weights=weights))]) == 0
    printed = capsys.readouterr().out
    assert "the network has no convolution" in printed
    assert "ok    explain/saliency" in printed
    for name, reason in (
        ("grad-cam", "Grad-CAM needs feature maps"),
        ("guided-backprop", "guided backpropagation found no activation to guide"),
    ):
        (line,) = [each for each in printed.splitlines() if f"explain/{name}" in each]
        assert line.startswith("none ")
        assert reason in line


@pytest.mark.parametrize("command", ["check", "serve"])
def test_a_broken_folder_ends_the_command_with_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    folder = toy_folder(tmp_path)
    (folder / "weights.safetensors").unlink()
    where = {"check": [str(folder)], "serve": ["--models-dir", str(tmp_path), "--port", "0"]}
    assert main([command, *where[command]]) == 1
    printed = capsys.readouterr().err
    assert "[model] weights: there is no file 'weights.safetensors' in the folder" in printed
    assert "Traceback" not in printed


@pytest.mark.parametrize("name", ["my net", "a,b"])
def test_check_of_a_folder_whose_name_cannot_be_a_models_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    assert main(["check", str(toy_folder(tmp_path, name))]) == 1
    assert f"{name}: a folder's name is the model's: letters" in capsys.readouterr().err


def test_check_of_a_folder_without_a_manifest_says_what_is_missing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", str(tmp_path)]) == 1
    assert "there is no model.toml in it" in capsys.readouterr().err


def test_a_network_without_gradients_is_served_with_what_needs_none(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEETHROUGH_DEFAULT_MODEL", "efficientnet-lite0")
    folder = toy_folder(
        tmp_path, code=TOY_CODE.replace("self.conv(batch)", "self.conv(batch).detach()")
    )
    assert main(["check", str(folder)]) == 0
    printed = capsys.readouterr().out
    assert "ok    explain/occlusion" in printed
    assert "none  explain/saliency" in printed
    assert "ok    explain/grad-cam" in printed  # the way from its maps to the logits has one
    assert "ok    explain/rise" in printed
    assert "9 of 9 work" in printed


def test_check_goes_on_where_the_networks_own_code_fails(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A layer that cannot be watched operator by operator, only run."""
    code = TOY_CODE.replace(
        "    def forward(self, batch):",
        "    def forward(self, batch):\n"
        "        from torch.utils._python_dispatch import _get_current_dispatch_mode\n"
        "        if _get_current_dispatch_mode() is not None:\n"
        "            raise KeyError('not while watched')",
    )
    assert main(["check", str(toy_folder(tmp_path, code=code))]) == 1
    printed = capsys.readouterr().out
    assert "FAIL  layers " in printed
    assert "KeyError('not while watched')" in printed
    assert "ok    classify" in printed


def test_the_example_folder_works(capsys: pytest.CaptureFixture[str]) -> None:
    pictures = EXAMPLE / "pictures"
    assert main(["check", str(EXAMPLE), "--image", str(pictures / "ankle-boot.png")]) == 0
    printed = capsys.readouterr().out
    assert "Ankle boot" in printed
    assert "128 features (input of fc2)" in printed
    assert f"{len(METHODS) + 6} of {len(METHODS) + 6} work" in printed
