"""A folder is a model: its code makes the network, its weights fill it."""

from pathlib import Path

import numpy as np
import pytest
import torch

from core.errors import ModelUnusable
from core.models.folder import model_of_folder
from core.models.registry import standard_registry
from tests.core.models.folders import CPU, refused
from tests.folders import TOY_CODE, TOY_MANIFEST, TOY_WEIGHTS, toy_folder
from tests.tinycnn import TinyCNN


def test_a_folder_is_a_model_under_its_own_name(tmp_path: Path) -> None:
    toy_folder(tmp_path, "my-net.v2")
    model = standard_registry(tmp_path).load("my-net.v2", CPU)
    assert model.spec.name == "my-net.v2"
    assert model.spec.labels == ("dark", "bright")
    assert model.spec.input_shape == (1, 4, 4)
    assert (model.features.layer, model.feature_dim) == ("fc", 4)
    picture = torch.arange(16.0).reshape(1, 1, 4, 4)
    sums = [0 + 1 + 4 + 5, 2 + 3 + 6 + 7, 8 + 9 + 12 + 13, 10 + 11 + 14 + 15]
    outputs = model.runtime(picture)
    assert outputs.features[0].tolist() == sums
    assert outputs.logits[0].tolist() == [0, sum((i + 1) * s for i, s in enumerate(sums))]


def test_features_may_be_what_leaves_a_layer(tmp_path: Path) -> None:
    at_output = TOY_MANIFEST + '[features]\nlayer = "relu"\nat = "output"\n'
    toy_folder(tmp_path, manifest=at_output)
    model = standard_registry(tmp_path).load("toy", CPU)
    assert model.runtime(torch.ones(1, 1, 4, 4)).features.tolist() == [[4]]  # (C,), pooled


@pytest.mark.parametrize("wrapped", [False, True])
def test_a_saved_state_dict_is_taken_bare_or_from_a_checkpoint(
    tmp_path: Path, wrapped: bool
) -> None:
    folder = toy_folder(tmp_path, manifest=TOY_MANIFEST.replace("weights.safetensors", "w.pt"))
    state = {"state_dict": TOY_WEIGHTS, "epoch": 3} if wrapped else TOY_WEIGHTS
    torch.save(state, folder / "w.pt")
    _, module = model_of_folder(folder)
    assert module.fc.weight.tolist() == TOY_WEIGHTS["fc.weight"].tolist()


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("import nothing_of_that_name", "'nothing_of_that_name'; it is neither installed nor"),
        ("def Toy(n_classes):\n    raise OSError('disk\\non fire')", "disk (net.py, line 2)"),
        ("1 / 0", "importing net.py failed: ZeroDivisionError: division by zero (net.py, line 1)"),
        (TOY_CODE.replace("return self", "return 1 / 0 + self"), "by zero (net.py, line 16)"),
        ("def Toy(n_classes):\n    raise OSError('x' * 100_000)", "OSError: xxx"),
        ("def Toy(n_classes):\n    raise OSError('\x1b[31mred')", "OSError: \ufffd[31mred"),
        ("def Toy(n_classes):\n    exit('no GPU')", "it ends the program by exit('no GPU')"),
        ("import sys\nsys.exit(2)", "importing net.py failed: it ends the program by exit(2)"),
        (TOY_CODE.replace("return self.fc(", "exit('no GPU') or self.fc("), "exit('no GPU')"),
        ("def Toy(n_classes):\n    return 3", "gave int, not a torch.nn.Module"),
        ("class Toy(:", "SyntaxError"),
        (
            TOY_CODE.replace("torch.flatten(", "(lambda b, d: b)("),
            "does not run on 2 pictures of 1 x 4 x 4",
        ),
        (TOY_CODE + "\n    def eval(self):\n        return self\n", None),
    ],
)
def test_code_that_fails_is_one_sentence(tmp_path: Path, code: str, words: str | None) -> None:
    folder = toy_folder(tmp_path, code=code)
    if words is None:
        model_of_folder(folder)
    else:
        message = refused(folder)
        assert words in message
        assert len(message.replace(str(tmp_path), "")) < 500


@pytest.mark.parametrize(
    "method",
    ["state_dict(self): return None", "parameters(self): return 1 / 0", "eval(self): exit()"],
)
def test_a_network_that_overrides_what_every_module_has_is_one_sentence(
    tmp_path: Path, method: str
) -> None:
    folder = toy_folder(tmp_path, code=f"{TOY_CODE}\n    def {method}\n")
    assert "the network cannot be used: " in refused(folder)


def test_code_that_gives_no_logits_is_refused(tmp_path: Path) -> None:
    code = TOY_CODE.replace(
        "return self.fc(", "return self.relu(self.conv(batch))\n        self.fc("
    )
    assert "it gave (2, 1, 2, 2)" in refused(toy_folder(tmp_path, code=code))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"fc.bias": None}, "lacks 'fc.bias'"),
        ({"fc.extra": torch.zeros(1)}, "has more than the network: 'fc.extra'"),
        ({"fc.weight": torch.zeros(3, 4)}, "shape (3, 4), the network's is (2, 4)"),
        ({"fc.bias": torch.tensor([0.0, float("nan")])}, "NaN or infinity in 'fc.bias'"),
    ],
)
def test_weights_that_do_not_fit_are_named(
    tmp_path: Path, change: dict[str, torch.Tensor | None], words: str
) -> None:
    weights = {k: v for k, v in {**TOY_WEIGHTS, **change}.items() if v is not None}
    message = refused(toy_folder(tmp_path, weights=weights))
    assert "[model] weights: weights.safetensors" in message
    assert words in message


def test_a_pickled_module_is_refused_and_never_run(tmp_path: Path) -> None:
    folder = toy_folder(tmp_path, manifest=TOY_MANIFEST.replace("weights.safetensors", "w.pt"))
    torch.save(TinyCNN(), folder / "w.pt")
    message = refused(folder)
    assert "pickled objects" in message
    assert "state_dict" in message


@pytest.mark.parametrize("content", [b"", b"not weights at all", b"\x80\x02]."])
def test_a_damaged_weights_file_is_refused(tmp_path: Path, content: bytes) -> None:
    for name in ("w.safetensors", "w.pt"):
        folder = toy_folder(
            tmp_path, name[2:], manifest=TOY_MANIFEST.replace("weights.safetensors", name)
        )
        (folder / name).write_bytes(content)
        assert "[model] weights" in refused(folder)


def test_a_folder_whose_name_is_taken_or_strange_is_refused(tmp_path: Path) -> None:
    toy_folder(tmp_path / "a", "efficientnet-lite0")
    with pytest.raises(ModelUnusable, match="taken"):
        standard_registry(tmp_path / "a")
    toy_folder(tmp_path / "b", "sound")
    for name in ("my net", "a,b", "-x"):
        folder = toy_folder(tmp_path / "b", name)
        with pytest.raises(ModelUnusable, match=f"{name}: a folder's name .* letters, digits"):
            model_of_folder(folder)
    standard_registry(tmp_path / "b").load("sound", CPU)  # which is no matter of its neighbors
    with pytest.raises(ModelUnusable, match="is no directory"):
        standard_registry(tmp_path / "nowhere")


def test_color_pictures_reach_a_gray_network_by_their_luminance(tmp_path: Path) -> None:

    toy_folder(tmp_path)
    gray = standard_registry(tmp_path).load("toy", CPU)
    color = np.zeros((4, 4, 3), np.uint8)
    color[..., 0] = 255  # red: luminance 0.299
    assert gray.spec.preprocess(color)[0, 0, 0] == pytest.approx(76 / 255)
