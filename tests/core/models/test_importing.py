"""The Python files of a folder."""

import re
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from core.models.registry import standard_registry
from tests.core.models.folders import CPU, MANIFEST, VIEW, net, pictures, refused, written
from tests.folders import TOY_CODE, toy_folder

STATE = {
    "conv1.weight": torch.ones(32, 1, 5, 5),
    "conv1.bias": torch.zeros(32),
    "fc1.weight": torch.ones(10, 128),
    "fc1.bias": torch.zeros(10),
}


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
        save_file(STATE, folder / "weights.safetensors")
    registry = standard_registry(tmp_path)
    one, two = (registry.load(name, CPU).runtime(pictures()).logits for name in ("one", "two"))
    np.testing.assert_allclose(two, 2 * one, rtol=1e-5)
    again = registry.load("one", CPU).runtime(pictures()).logits
    np.testing.assert_allclose(again, one)


def test_two_folders_may_both_have_a_net_py(tmp_path: Path) -> None:
    toy_folder(tmp_path, "one")
    other = re.sub(r"class Toy.*", "", TOY_CODE, flags=re.DOTALL) + (
        "class Toy(nn.Module):\n"
        "    def __init__(self, n_classes):\n"
        "        super().__init__()\n"
        "        self.fc = nn.Linear(16, n_classes)\n"
        "    def forward(self, batch):\n"
        "        return self.fc(batch.flatten(1))\n"
    )
    weights = {"fc.weight": torch.zeros(2, 16), "fc.bias": torch.zeros(2)}
    toy_folder(tmp_path, "two", code=other, weights=weights)
    registry = standard_registry(tmp_path)
    assert registry.load("one", CPU).feature_dim == 4
    assert registry.load("two", CPU).feature_dim == 16


LATE = {
    "in __init__": (
        "self.fc1 = nn.Linear(32 * 4, 10)",
        "from blocks import Head; self.fc1 = Head(32 * 4, 10)",
        VIEW,
    ),
    "in forward": ("", "", "import helpers\nx = helpers.scaled(x)\n" + VIEW),
    "in forward, from a folder": ("", "", "from parts.deep import scaled\nx = scaled(x)\n" + VIEW),
    "in forward, a module in a folder": (
        "",
        "",
        "import parts.deep\nx = parts.deep.scaled(x)\n" + VIEW,
    ),
    "in forward, of a neighbor": ("", "", "import helpers\nx = helpers.late(x)\n" + VIEW),
    "in forward, under another name": ("", "", "import helpers as h\nx = h.scaled(x)\n" + VIEW),
}


@pytest.mark.parametrize("where", LATE)
def test_a_neighbor_is_imported_wherever_it_is_asked_for(tmp_path: Path, where: str) -> None:
    old, new, body = LATE[where]
    # Of two folders each has its own, and neither is anyone else's.
    for name, factor in (("one", 1), ("two", 2)):
        folder = toy_folder(tmp_path, name, MANIFEST, net(body).replace(old, new), STATE)
        scaled = f"def scaled(x):\n    return {factor} * x\n"
        (folder / "helpers.py").write_text(
            scaled + "\ndef late(x):\n    import blocks\n    return blocks.scaled(x)\n"
        )
        (folder / "blocks.py").write_text(
            f"from torch import nn\n\n{scaled}\nclass Head(nn.Linear):\n"
            f"    def forward(self, x):\n        return super().forward(scaled(x))\n"
        )
        (folder / "parts").mkdir()
        (folder / "parts" / "deep.py").write_text("from helpers import scaled\n")
    registry = standard_registry(tmp_path)
    models = [registry.load(name, CPU) for name in ("one", "two")]
    one, two = (each.module(pictures()) for each in models)
    torch.testing.assert_close(two, 2 * one)
    assert not {"helpers", "blocks", "parts"} & sys.modules.keys()


def test_a_missing_module_is_said_to_be_missing_and_one_that_fails_is_not(tmp_path: Path) -> None:
    folder = written(tmp_path, net(VIEW))
    code = (folder / "net.py").read_text()
    (folder / "helpers.py").write_text("import missing_here\n")
    for line, words, absent in (
        ("import helpers", "'missing_here'; it is neither installed", "seethrough_model"),
        ("import helpers.deeper", "'missing_here'; it is neither", "seethrough_model"),
        ("import net.inner", "No module named 'net.inner'; 'net' is not a package", "neither"),
    ):
        made = code.replace("super().__init__()", f"super().__init__(); {line}")
        (folder / "net.py").write_text(made)
        message = refused(folder)
        assert words in message
        assert absent not in message
