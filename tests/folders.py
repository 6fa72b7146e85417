"""Folders of networks of one's own, written for a test."""

from pathlib import Path

import torch
from safetensors.torch import save_file

TOY_CODE = '''
import torch
from torch import nn


class Toy(nn.Module):
    """4 x 4 gray -> 2 x 2 sums of quadrants -> two classes."""

    def __init__(self, n_classes=2):
        super().__init__()
        self.conv = nn.Conv2d(1, 1, 2, stride=2)
        self.relu = nn.ReLU()
        self.fc = nn.Linear(4, n_classes)

    def forward(self, batch):
        return self.fc(torch.flatten(self.relu(self.conv(batch)), 1))
'''

TOY_MANIFEST = """
[model]
source = "net.py:Toy"
weights = "weights.safetensors"
[model.args]
n_classes = 2
[input]
channels = 1
height = 4
width = 4
resize = 4
interpolation = "nearest"
mean = [0.0]
std = [1.0]
[classes]
labels = ["dark", "bright"]
"""

# Each quadrant's sum; the second class's logit is 1, 2, 3, 4 times them, the first one's 0.
TOY_WEIGHTS = {
    "conv.weight": torch.ones(1, 1, 2, 2),
    "conv.bias": torch.zeros(1),
    "fc.weight": torch.tensor([[0.0, 0, 0, 0], [1, 2, 3, 4]]),
    "fc.bias": torch.zeros(2),
}


def toy_folder(
    directory: Path,
    name: str = "toy",
    manifest: str = TOY_MANIFEST,
    code: str = TOY_CODE,
    weights: dict[str, torch.Tensor] | None = None,
) -> Path:
    """A folder with the toy network, or with what a test gives instead of a part of it."""
    folder = directory / name
    folder.mkdir(parents=True)
    (folder / "model.toml").write_text(manifest, encoding="utf-8")
    (folder / "net.py").write_text(code, encoding="utf-8")
    save_file(TOY_WEIGHTS if weights is None else weights, folder / "weights.safetensors")
    return folder
