"""The network of every tutorial as people vary it, in a folder: loaded, or refused."""

import textwrap
from pathlib import Path

import pytest
import torch
from torch import Tensor

from core.errors import ModelUnusable
from core.models.loaded import LoadedModel
from core.models.registry import standard_registry
from tests.folders import toy_folder

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
    """The tutorial's file with another body of `forward`."""
    return code.replace("{body}", textwrap.indent(body, " " * 8).strip())


def written(directory: Path, code: str, manifest: str = MANIFEST) -> Path:
    """A folder with this code and the weights that it begins with, the same each time."""
    scope: dict[str, type[torch.nn.Module]] = {}
    exec(compile(code, "net.py", "exec"), scope)
    torch.manual_seed(0)
    module = scope["Net"]()
    if any(map(torch.nn.parameter.is_lazy, module.parameters())):
        module(torch.zeros(2, 1, 8, 8))
    return toy_folder(directory, "seed", manifest, code, module.state_dict())


def loaded(directory: Path, code: str, manifest: str = MANIFEST) -> LoadedModel:
    """The network of such a folder."""
    folder = written(directory, code, manifest)
    return standard_registry(directory).load(folder.name, CPU)


def refused(folder: Path) -> str:
    """The one sentence with which a folder is refused."""
    with pytest.raises(ModelUnusable) as caught:
        standard_registry(folder.parent).load(folder.name, CPU)
    assert "\n" not in str(caught.value)
    assert str(folder) in str(caught.value) or f"model {folder.name!r}" in str(caught.value)
    return str(caught.value)


def pictures(rows: int = 3) -> Tensor:
    """(rows, 1, 8, 8) float32, the same each time."""
    return torch.randn(rows, 1, 8, 8, generator=torch.Generator().manual_seed(1))
