"""Networks as people write them: each loads and is right, or is refused in one sentence."""

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from core.errors import MethodUnsupported
from core.explain.cam import grad_cam
from core.explain.gradients import input_gradients
from core.explain.methods import prepare
from core.explain.objective import ClassObjective
from core.models.registry import standard_registry
from core.models.structure.ports import Port
from tests.core.models.folders import (
    CPU,
    MANIFEST,
    VIEW,
    loaded,
    net,
    pictures,
    refused,
    written,
)


def test_the_net_of_every_tutorial_is_right_by_hand(tmp_path: Path) -> None:
    model = loaded(tmp_path, net(VIEW))
    weights = {name: each.double().numpy() for name, each in model.module.state_dict().items()}
    rows = pictures().double().numpy()[:, 0]
    for row, logits, features in zip(rows, *model.runtime(pictures()), strict=True):
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
    np.testing.assert_allclose(model.runtime(rows).logits, expected.numpy(), atol=1e-5)
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
    np.testing.assert_allclose(model.runtime(pictures()).logits, expected, atol=1e-5)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("return self.fc1(self.pool(self.conv1(x)).flatten(1)).squeeze()", ["(10,)", "B = 1"]),
        ("return self.fc1(self.conv1(x[0]).flatten()[:128])[None]", ["(1, 10)", "B = 2"]),
        ("return {'logits': x}", ["dict"]),
        (VIEW + ".to(torch.complex64)", ["its logits are complex: torch.complex64"]),
        ("x = self.fc1(self.pool(self.conv1(x)).flatten(1))", ["None: is a `return` missing"]),
        ("raise ValueError('no\\nmore')", ["ValueError: no"]),
    ],
)
def test_what_gives_no_row_for_each_picture_is_one_sentence(
    tmp_path: Path, body: str, words: list[str]
) -> None:
    message = refused(written(tmp_path, net(body)))
    assert str(tmp_path / "seed" / "model.toml") in message
    for word in words:
        assert word in message


def test_a_network_without_gradients_is_served_and_says_so(tmp_path: Path) -> None:
    body = "with torch.no_grad():\n    " + VIEW.replace("\n", "\n    ")
    model = loaded(tmp_path, net(body))
    assert model.runtime(pictures()).logits.shape == (3, 10)
    with pytest.raises(MethodUnsupported, match="outside of torch's autograd"):
        input_gradients(model, pictures(), [ClassObjective(0)] * 3)
    with pytest.raises(MethodUnsupported, match="outside of torch's autograd"):
        grad_cam(model, pictures(), [0] * 3, (Port("conv1"),))


@pytest.mark.parametrize(
    "first", ["x = torch.from_numpy(x.numpy())", "assert not torch.is_grad_enabled()"]
)
def test_a_network_that_fails_with_gradients_is_served_without_them(
    tmp_path: Path, first: str
) -> None:
    body = f"{first}\n{VIEW}"
    model = loaded(tmp_path, net(body))
    assert model.runtime(pictures()).logits.shape == (3, 10)
    assert prepare(model) == ("occlusion", "rise")


def test_a_usual_network_has_nothing_to_note(tmp_path: Path) -> None:
    model = loaded(tmp_path, net(VIEW))
    assert (model.notes, model.runtime_note, model.runtime.name) == ((), "", "openvino")


METHODS = {
    "train gives nothing back": "    def train(self, mode=True):\n        super().train(mode)\n",
    "eval gives nothing back": "    def eval(self):\n        super().eval()\n",
    "says more than its tensors": "    def get_extra_state(self):\n        return {'scale': 2}\n\n"
    "    def set_extra_state(self, state):\n        self.scale = state['scale']\n",
}


@pytest.mark.parametrize("what", METHODS)
def test_a_network_with_methods_of_its_own_is_loaded(tmp_path: Path, what: str) -> None:
    folder = written(tmp_path, net(VIEW))
    (folder / "net.py").write_text(net(VIEW) + "\n" + METHODS[what])
    model = standard_registry(tmp_path).load("seed", CPU)
    assert not any(each.training for each in model.module.modules())
    assert not any(each.requires_grad for each in model.module.parameters())
    assert model.notes == ()


@pytest.mark.parametrize(
    "wrap", ["nn.DataParallel({})", "torch.compile({})", "nn.DataParallel(torch.compile({}))"]
)
@pytest.mark.parametrize("prefix", ["", "module."])
def test_what_wraps_a_network_is_taken_off(tmp_path: Path, wrap: str, prefix: str) -> None:
    folder = written(tmp_path, net(VIEW))
    expected = standard_registry(tmp_path).load("seed", CPU).runtime(pictures()).logits
    (folder / "net.py").write_text(
        net(VIEW) + f"\ndef make():\n    return {wrap.format('Net()')}\n"
    )
    (folder / "model.toml").write_text(MANIFEST.replace("net.py:Net", "net.py:make"))
    state = load_file(folder / "weights.safetensors")
    save_file({f"{prefix}{n}": t for n, t in state.items()}, folder / "weights.safetensors")
    model = standard_registry(tmp_path).load("seed", CPU)
    assert type(model.module).__name__ == "Net"
    np.testing.assert_allclose(model.runtime(pictures()).logits, expected, atol=1e-6)


@pytest.mark.filterwarnings("ignore:`torch.jit.script")
def test_a_scripted_network_is_one_sentence(tmp_path: Path) -> None:
    folder = written(tmp_path, net(VIEW))
    (folder / "net.py").write_text(
        net(VIEW) + "\ndef make():\n    return torch.jit.script(Net())\n"
    )
    (folder / "model.toml").write_text(MANIFEST.replace("net.py:Net", "net.py:make"))
    assert "gave a TorchScript program" in refused(folder)
