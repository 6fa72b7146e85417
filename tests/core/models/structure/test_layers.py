"""Layers that do not run, or not on whole pictures."""

from pathlib import Path

import numpy as np
import pytest

from core.errors import MethodUnsupported
from core.explain.cam import grad_cam
from core.models.structure.ports import Port
from tests.core.models.folders import MANIFEST, VIEW, loaded, net, pictures, refused, written


def test_a_feature_layer_that_never_runs_is_one_sentence(tmp_path: Path) -> None:
    code = net(VIEW).replace("self.pool =", "self.spare = nn.Linear(2, 2); self.pool =")
    message = refused(written(tmp_path, code, MANIFEST + '[features]\nlayer = "spare"\n'))
    assert "[features] layer" in message
    assert "'spare' takes no part" in message


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


def test_a_layer_that_puts_out_a_tuple_is_explained_as_its_first_tensor(tmp_path: Path) -> None:
    pair = "class Pair(nn.Module):\n    def forward(self, x):\n        return (x, [None]), 3\n"
    code = net("(x, _), _ = self.pair(self.conv1(x))\n" + VIEW.replace("self.conv1(x)", "x"))
    code = code.replace("class Net", f"{pair}\nclass Net")
    code = code.replace("self.pool =", "self.pair = Pair(); self.pool =")
    model = loaded(tmp_path, code)
    (whole,) = grad_cam(model, pictures(1), [None], (Port("pair"),))
    (alone,) = grad_cam(model, pictures(1), [None], (Port("conv1"),))
    assert whole.values.max() > 0
    np.testing.assert_array_equal(whole.values, alone.values)
