"""A network so small that the server is what is tested, and pictures for it."""

import hashlib
import io
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from tests.folders import toy_folder

NAME = "tiny"
SIDE_PX = 16
DIM = 64
_CLUSTERS = 24

_CODE = """
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 4, stride=4)
        self.fc = nn.Linear(64, 3)

    def forward(self, batch):
        return self.fc(torch.flatten(torch.relu(self.conv(batch)), 1))
"""

_MANIFEST = """
[model]
source = "net.py:Net"
weights = "weights.safetensors"
[input]
channels = 1
height = 16
width = 16
resize = 16
interpolation = "nearest"
mean = [0.5]
std = [0.25]
[classes]
labels = ["one", "two", "three"]
"""


def network_folder(directory: Path) -> Path:
    """The network as a model folder: 16 x 16 gray -> 64 features -> three classes."""
    random = torch.Generator().manual_seed(0)
    shapes = {"conv.weight": (4, 1, 4, 4), "conv.bias": (4,), "fc.weight": (3, 64), "fc.bias": (3,)}
    weights = {name: torch.randn(shape, generator=random) for name, shape in shapes.items()}
    return toy_folder(directory, NAME, _MANIFEST, _CODE, weights)


@dataclass(frozen=True)
class Picture:
    """A PNG file."""

    content: bytes

    @cached_property
    def sha256(self) -> str:
        return hashlib.sha256(self.content).hexdigest()


def new_picture(random: np.random.Generator) -> Picture:
    """Noise about one of a few pictures: no two are the same, and some are near each other."""
    base = np.random.default_rng(random.integers(_CLUSTERS)).integers(40, 216, (SIDE_PX, SIDE_PX))
    pixels = base + random.integers(-40, 40, base.shape)
    file = io.BytesIO()
    Image.fromarray(pixels.astype(np.uint8)).save(file, "PNG")
    return Picture(file.getvalue())
