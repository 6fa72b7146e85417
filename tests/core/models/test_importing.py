"""The Python files of a folder."""

import re
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file

from core.models.registry import standard_registry
from tests.core.models.folders import CPU, MANIFEST, VIEW, net, pictures
from tests.folders import TOY_CODE, toy_folder


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
