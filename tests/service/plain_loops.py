"""The first network that everyone writes: its code and weights, and what it does in plain loops."""

from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

CODE = """
import torch
import torch.nn as nn


class Net(nn.Module):
    def __init__(self):
        super(Net, self).__init__()
        self.conv1 = nn.Conv2d(1, 32, 5)
        self.relu1 = nn.ReLU()
        self.pool = nn.MaxPool2d(2, 2)
        self.fc1 = nn.Linear(32 * 4, 10)
        self.relu2 = nn.ReLU()

    def forward(self, x):
        x = self.conv1(x)
        x = self.relu1(x)
        x = self.pool(x)
        x = x.view(x.size(0), -1)
        x = self.fc1(x)
        x = self.relu2(x)
        return x
"""

MANIFEST = """
[model]
source = "net.py:Net"
weights = "{weights}"
[input]
channels = 1
height = 8
width = 8
mean = [0.1307]
std = [0.3081]
[classes]
labels = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
"""

RNG = np.random.default_rng(2005)

FILTERS = RNG.normal(0, 0.2, (32, 5, 5)).astype(np.float32)

BIASES = RNG.normal(0, 0.2, 32).astype(np.float32)

WEIGHTS = RNG.normal(0, 0.1, (10, 128)).astype(np.float32)

OFFSETS = RNG.normal(0, 0.1, 10).astype(np.float32)

PICTURE = RNG.integers(0, 256, (8, 8), dtype=np.uint8)


class Forward(NamedTuple):
    """What each layer puts out for one picture, in float64."""

    convolved: Array
    rectified: Array
    pooled: Array
    winners: list[list[list[tuple[int, int]]]]
    summed: Array
    logits: Array

    @property
    def probabilities(self) -> Array:
        return np.exp(self.logits) / np.exp(self.logits).sum()


def forward(gray: Array) -> Forward:
    """The network on gray levels 0..255, (8, 8)."""
    x = (gray / 255 - 0.1307) / 0.3081
    convolved = np.zeros((32, 4, 4))
    for c in range(32):
        for i in range(4):
            for j in range(4):
                patch = x[i : i + 5, j : j + 5]
                convolved[c, i, j] = (patch * FILTERS[c].astype(float)).sum() + float(BIASES[c])
    rectified = np.maximum(convolved, 0)
    pooled = np.zeros((32, 2, 2))
    winners = [[[(0, 0)] * 2 for _ in range(2)] for _ in range(32)]
    for c in range(32):
        for i in range(2):
            for j in range(2):
                cells = [(2 * i + di, 2 * j + dj) for di in range(2) for dj in range(2)]
                winners[c][i][j] = max(cells, key=lambda cell: rectified[c][cell])
                pooled[c, i, j] = rectified[c][winners[c][i][j]]
    summed = WEIGHTS.astype(float) @ pooled.reshape(128) + OFFSETS.astype(float)
    return Forward(convolved, rectified, pooled, winners, summed, np.maximum(summed, 0))


def back_to_picture(found: Forward, pooled: Array, guided: bool) -> Array:
    """A gradient (32, 2, 2) of the pooled maps, carried back to the normalized picture."""
    gradient = np.zeros((8, 8))
    for c in range(32):
        for i in range(2):
            for j in range(2):
                row, col = found.winners[c][i][j]  # the other three cells get nothing
                passed = pooled[c, i, j] if found.convolved[c, row, col] > 0 else 0.0
                passed = max(passed, 0.0) if guided else passed
                gradient[row : row + 5, col : col + 5] += passed * FILTERS[c].astype(float)
    return gradient


def of_class(found: Forward, target: int, guided: bool = False) -> Array:
    """The gradient (8, 8) of a logit."""
    open_ = 1.0 if found.summed[target] > 0 else 0.0
    return back_to_picture(found, open_ * WEIGHTS[target].astype(float).reshape(32, 2, 2), guided)


@cache
def seen() -> Forward:
    return forward(PICTURE.astype(float))


TOP = int(seen().logits.argmax())

SILENT = int(seen().summed.argmin())
