"""Networks as people write them: each loads and is right, or is refused in one sentence."""

import textwrap
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from core.errors import MethodUnsupported, ModelUnusable
from core.explain.base import ClassObjective
from core.explain.cam import grad_cam
from core.explain.gradients import input_gradients
from core.models.loaded import LoadedModel
from core.models.ports import Port
from core.models.predictions import probabilities
from core.models.registry import standard_registry

CPU = torch.device("cpu")
MANIFEST = """
[model]
source = "net.py:Net"
weights = "weights.safetensors"
[input]
channels = 1
height = 8
width = 8
mean = [0.5]
std = [0.5]
[classes]
labels = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]
"""

TUTORIAL = """
import torch
import torch.nn as nn
import torch.nn.functional as F

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 32, 5)
        self.pool = nn.MaxPool2d(2, 2)
        self.fc1 = nn.Linear(32 * 4, 10)

    def forward(self, x):
        {body}
"""

VIEW = """x = self.pool(F.relu(self.conv1(x)))
x = x.view(x.size(0), -1)
return F.relu(self.fc1(x))"""


def net(body: str, code: str = TUTORIAL) -> str:
    return code.replace("{body}", textwrap.indent(body, " " * 8).strip())


def loaded(directory: Path, code: str, manifest: str = MANIFEST) -> LoadedModel:
    folder = directory / "seed"
    folder.mkdir()
    (folder / "net.py").write_text(code, encoding="utf-8")
    scope: dict[str, type[torch.nn.Module]] = {}
    exec(compile(code, "net.py", "exec"), scope)
    torch.manual_seed(0)
    module = scope["Net"]()
    if any(map(torch.nn.parameter.is_lazy, module.parameters())):
        module(torch.zeros(2, 1, 8, 8))
    save_file(module.state_dict(), folder / "weights.safetensors")
    (folder / "model.toml").write_text(manifest, encoding="utf-8")
    return standard_registry(directory).load("seed", CPU)


def refused(directory: Path, code: str, manifest: str = MANIFEST) -> str:
    with pytest.raises(ModelUnusable) as caught:
        loaded(directory, code, manifest)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def pictures(rows: int = 3) -> Tensor:
    return torch.randn(rows, 1, 8, 8, generator=torch.Generator().manual_seed(1))


def test_the_net_of_every_tutorial_is_right_by_hand(tmp_path: Path) -> None:
    model = loaded(tmp_path, net(VIEW))
    weights = {name: each.double().numpy() for name, each in model.module.state_dict().items()}
    rows = pictures().double().numpy()[:, 0]
    for row, logits, features in zip(rows, *model.forward(pictures()), strict=True):
        maps = np.stack(
            [
                [
                    [(row[i : i + 5, j : j + 5] * kernel[0]).sum() + bias for j in range(4)]
                    for i in range(4)
                ]
                for kernel, bias in zip(weights["conv1.weight"], weights["conv1.bias"], strict=True)
            ]
        )
        pooled = np.maximum(maps, 0).reshape(32, 2, 2, 2, 2).max((2, 4)).reshape(-1)
        np.testing.assert_allclose(features, pooled, atol=1e-5)
        expected = np.maximum(weights["fc1.weight"] @ pooled + weights["fc1.bias"], 0)
        np.testing.assert_allclose(logits, expected, atol=1e-5)


def test_the_net_of_every_tutorial_is_explained_as_finite_differences_say(tmp_path: Path) -> None:
    model = loaded(tmp_path, net(VIEW.replace("F.relu(self.fc1(x))", "self.fc1(x)")))
    row = pictures(1)
    (found,) = input_gradients(model, row, [ClassObjective(3)])
    module = model.module.double()
    for y, x in ((0, 0), (3, 4), (7, 7)):
        step = torch.zeros_like(row, dtype=torch.float64)
        step[0, 0, y, x] = 1e-6
        up, down = (module(row.double() + sign * step)[0, 3] for sign in (1, -1))
        assert found.gradient[0, y, x] == pytest.approx(float(up - down) / 2e-6, abs=1e-4)
    model.module.float()
    (cam,) = grad_cam(model, row, [3], (Port("conv1"),))
    assert cam.cells == (4, 4)


@pytest.mark.parametrize(
    "body",
    [
        VIEW,
        VIEW.replace("x.view(x.size(0), -1)", "x.view(-1, 128)"),
        VIEW.replace("x.view(x.size(0), -1)", "x.reshape(x.shape[0], -1)"),
        VIEW.replace("self.fc1(x)", "self.fc1(input=x)"),
        "x = x.clone()\n" + VIEW,
        "x -= 0.5\nx /= 2\n" + VIEW,
    ],
)
def test_what_runs_in_torch_runs_the_same_here(tmp_path: Path, body: str) -> None:
    model = loaded(tmp_path, net(body))
    rows = pictures()
    expected = model.module(rows.clone())
    np.testing.assert_allclose(model.forward(rows).logits, expected.numpy(), atol=1e-5)
    assert torch.equal(rows, pictures())  # nobody's picture is changed in place
    for each in range(3):
        (alone,) = input_gradients(model, rows[each : each + 1], [ClassObjective(0)])
        assert np.isfinite(alone.gradient).all()
    assert torch.equal(rows, pictures())


def test_lazy_layers_find_their_sizes_before_weights_are_loaded(tmp_path: Path) -> None:
    lazy = net(VIEW).replace("nn.Linear(32 * 4, 10)", "nn.LazyLinear(10)")
    model = loaded(tmp_path, lazy)
    assert model.feature_dim == 128


CONV3D = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv3d(1, 4, 3, padding=1)
        self.fc = nn.Linear(4, 10)

    def forward(self, x):
        return self.fc(self.conv(x[:, :, None]).amax((2, 3, 4)))
"""


def test_volumes_inside_a_network_do_not_keep_it_from_loading(tmp_path: Path) -> None:
    model = loaded(tmp_path, CONV3D)
    expected = model.module(pictures()).numpy()
    np.testing.assert_allclose(model.forward(pictures()).logits, expected, atol=1e-5)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("return self.fc1(self.pool(self.conv1(x)).flatten(1)).squeeze()", ["(10,)", "B = 1"]),
        ("return self.fc1(self.conv1(x[0]).flatten()[:128])[None]", ["(1, 10)", "B = 2"]),
        ("return {'logits': x}", ["dict"]),
        ("raise ValueError('no\\nmore')", ["ValueError: no"]),
    ],
)
def test_what_gives_no_row_for_each_picture_is_one_sentence(
    tmp_path: Path, body: str, words: list[str]
) -> None:
    message = refused(tmp_path, net(body))
    assert str(tmp_path / "seed" / "model.toml") in message
    for word in words:
        assert word in message


def test_a_feature_layer_that_never_runs_is_one_sentence(tmp_path: Path) -> None:
    code = net(VIEW).replace("self.pool =", "self.spare = nn.Linear(2, 2); self.pool =")
    message = refused(tmp_path, code, MANIFEST + '[features]\nlayer = "spare"\n')
    assert "[features] layer" in message
    assert "'spare' takes no part" in message


def test_a_network_without_gradients_is_served_and_says_so(tmp_path: Path) -> None:
    body = "with torch.no_grad():\n    " + VIEW.replace("\n", "\n    ")
    model = loaded(tmp_path, net(body))
    assert model.forward(pictures()).logits.shape == (3, 10)
    with pytest.raises(MethodUnsupported, match="outside of torch's autograd"):
        input_gradients(model, pictures(), [ClassObjective(0)] * 3)
    with pytest.raises(MethodUnsupported, match="outside of torch's autograd"):
        grad_cam(model, pictures(), [0] * 3, (Port("conv1"),))


WINDOWS = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = nn.Conv2d(1, 4, 3)
        self.fc = nn.Linear(16, 10)

    def forward(self, x):
        parts = x.unfold(2, 4, 4).unfold(3, 4, 4).reshape(-1, 1, 4, 4)
        return self.fc(self.inner(parts).amax((2, 3)).reshape(len(x), -1))
"""


def test_a_layer_inside_windows_is_named_as_one(tmp_path: Path) -> None:
    model = loaded(tmp_path, WINDOWS)
    for rows in (1, 3):
        with pytest.raises(MethodUnsupported, match=f"{4 * rows} rows for {rows} picture"):
            model.layer_vectors(pictures(rows), Port("inner"), "avg")
        with pytest.raises(MethodUnsupported, match="such as windows"):
            grad_cam(model, pictures(rows), [0] * rows, (Port("inner"),))


def test_a_folder_of_several_files_is_a_package_of_its_own(tmp_path: Path) -> None:
    for name, factor in (("one", 1.0), ("two", 2.0)):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "blocks.py").write_text(f"FACTOR = {factor}\n")
        (folder / "scale.py").write_text("from blocks import FACTOR\n")
        (folder / "net.py").write_text(
            "from . import blocks\nfrom scale import FACTOR\n"
            + net("assert FACTOR == blocks.FACTOR\nx = x * FACTOR\n" + VIEW)
        )
        (folder / "model.toml").write_text(MANIFEST)
        torch.manual_seed(0)
        save_file(
            {
                "conv1.weight": torch.ones(32, 1, 5, 5),
                "conv1.bias": torch.zeros(32),
                "fc1.weight": torch.ones(10, 128),
                "fc1.bias": torch.zeros(10),
            },
            folder / "weights.safetensors",
        )
    registry = standard_registry(tmp_path)
    one, two = (registry.load(name, CPU).forward(pictures()).logits for name in ("one", "two"))
    np.testing.assert_allclose(two, 2 * one, rtol=1e-5)
    again = registry.load("one", CPU).forward(pictures()).logits
    np.testing.assert_allclose(again, one)


def test_mnasnet_of_torchvision_takes_its_own_weights(tmp_path: Path) -> None:
    import torchvision

    folder = tmp_path / "mnasnet"
    folder.mkdir()
    module = torchvision.models.mnasnet0_5(weights=None, num_classes=3)
    torch.save(module.state_dict(), folder / "w.pth")
    (folder / "model.toml").write_text(
        '[model]\nsource = "torchvision:mnasnet0_5"\nweights = "w.pth"\n'
        '[model.args]\nnum_classes = 3\n[classes]\nlabels = ["a", "b", "c"]\n'
    )
    assert standard_registry(tmp_path).load("mnasnet", CPU).num_classes == 3


def test_a_branch_on_the_pictures_values_is_run_by_torch_each_alone(tmp_path: Path) -> None:
    body = "x = -x if x.mean() > 0.2 else x\n" + VIEW
    model = loaded(tmp_path, net(body))
    assert model.runtime.name == "torch"
    assert model.runtime.max_batch == model.rows_at_once == 1
    assert "an `if` on a tensor" in " ".join(model.notes)
    rows = torch.cat([pictures(2) + 2, pictures(2) - 2])
    expected = torch.cat([model.module(row[None]) for row in rows])
    np.testing.assert_allclose(model.forward(rows).logits, expected.numpy(), atol=1e-5)
    assert not np.allclose(model.module(rows).numpy(), expected.numpy(), atol=1e-2)


@pytest.mark.parametrize(
    "body",
    [
        "x = x - x.mean((0, 2, 3), keepdim=True)\n" + VIEW,
        "x = F.batch_norm(x, None, None, training=True)\n" + VIEW,
        "x = x if len(x) == 1 else -x\n" + VIEW,
    ],
)
def test_nobodys_answer_depends_on_anothers_picture(tmp_path: Path, body: str) -> None:
    model = loaded(tmp_path, net(body))
    assert "each picture is run alone" in " ".join(model.notes)
    together = model.forward(pictures(3)).logits
    for number, row in enumerate(pictures(3)):
        np.testing.assert_allclose(model.forward(row[None]).logits[0], together[number], atol=1e-5)
    assert model.rows_at_once == 1


def test_dropout_that_stays_on_is_one_sentence(tmp_path: Path) -> None:
    message = refused(tmp_path, net(VIEW.replace("self.fc1(x)", "self.fc1(F.dropout(x))")))
    assert "something random stays on" in message
    assert "'seed'" in message


@pytest.mark.parametrize("last", ["F.softmax(self.fc1(x), 1)", "torch.softmax(self.fc1(x), -1)"])
def test_outputs_that_are_probabilities_are_noted(tmp_path: Path, last: str) -> None:
    model = loaded(tmp_path, net(VIEW.replace("F.relu(self.fc1(x))", last)))
    assert "probabilities already" in " ".join(model.notes)


def test_one_output_is_noted(tmp_path: Path) -> None:
    manifest = MANIFEST.replace("[0, 1, 2, 3, 4, 5, 6, 7, 8, 9]", '["dog"]')
    model = loaded(tmp_path, net(VIEW).replace("32 * 4, 10", "32 * 4, 1"), manifest)
    assert "always 1" in " ".join(model.notes)


def test_a_network_that_answers_nan_for_a_flat_picture_says_so(tmp_path: Path) -> None:
    body = "x = (x - x.mean((1, 2, 3), keepdim=True)) / x.std((1, 2, 3), keepdim=True)\n" + VIEW
    model = loaded(tmp_path, net(body))
    assert "NaN" in " ".join(model.notes)
    assert np.isnan(model.forward(torch.zeros(1, 1, 8, 8)).logits).all()


def test_a_usual_network_has_nothing_to_note(tmp_path: Path) -> None:
    model = loaded(tmp_path, net(VIEW))
    assert (model.notes, model.runtime_note, model.runtime.name) == ((), "", "openvino")


def with_output(activation: str, labels: str) -> str:
    manifest = MANIFEST.replace("[0, 1, 2, 3, 4, 5, 6, 7, 8, 9]", labels)
    return f'{manifest}[output]\nactivation = "{activation}"\n'


@pytest.mark.parametrize(
    ("last", "activation"),
    [("F.softmax(self.fc1(x), 1)", "softmax"), ("F.log_softmax(self.fc1(x), 1)", "log_softmax")],
)
def test_probabilities_that_the_network_means_are_those_answered(
    tmp_path: Path, last: str, activation: str
) -> None:
    code = net(VIEW.replace("F.relu(self.fc1(x))", last))
    labels = "[0, 1, 2, 3, 4, 5, 6, 7, 8, 9]"
    model = loaded(tmp_path, code, with_output(activation, labels))
    plain = model.module.fc1(torch.from_numpy(model.forward(pictures()).features))
    expected = torch.softmax(plain, 1).numpy()
    np.testing.assert_allclose(probabilities(model.forward(pictures()).logits), expected, atol=1e-5)
    assert model.notes == ()
    (found,) = input_gradients(model, pictures(1), [ClassObjective(3)])
    assert np.abs(found.gradient).max() > 0


@pytest.mark.parametrize(
    ("last", "activation"),
    [("self.fc1(x)", "none"), ("torch.sigmoid(self.fc1(x))", "sigmoid")],
)
def test_one_output_is_the_second_of_two_labels(tmp_path: Path, last: str, activation: str) -> None:
    code = net(VIEW.replace("F.relu(self.fc1(x))", last)).replace("32 * 4, 10", "32 * 4, 1")
    model = loaded(tmp_path, code, with_output(activation, '["cat", "dog"]'))
    plain = model.module.fc1(torch.from_numpy(model.forward(pictures()).features))
    found = probabilities(model.forward(pictures()).logits)
    np.testing.assert_allclose(found[:, 1], torch.sigmoid(plain)[:, 0].numpy(), atol=1e-5)
    assert (model.num_classes, model.notes) == (2, ())


def test_a_sigmoid_for_each_of_many_labels_is_one_sentence(tmp_path: Path) -> None:
    labels = "[0, 1, 2, 3, 4, 5, 6, 7, 8, 9]"
    message = refused(tmp_path, net(VIEW), with_output("sigmoid", labels))
    assert "[output] activation" in message
