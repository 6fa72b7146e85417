"""Deletion and insertion, against a naive loop."""

import itertools

import numpy as np
import pytest
import torch
from torch import nn

from core.explain.faithfulness import STEPS, faithfulness
from core.explain.fill import filled
from core.explain.steps import exhaust
from core.models.predictions import probabilities
from tests.core.explain.networks import loaded, tiny, view


def test_faithfulness_of_a_perfect_and_a_reversed_map() -> None:
    # The logit is the mean of the left half: a map that knows it beats its opposite.
    class Left(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.last = nn.Linear(1, 2, bias=False)
            self.last.weight.data = torch.tensor([[0.5], [-0.5]])

        def forward(self, batch: torch.Tensor) -> torch.Tensor:
            return self.last(batch[:, :, :, :8].mean((1, 2, 3))[:, None])

    model = loaded(Left(), size=16, classes=2, channels=1)
    picture = torch.full((1, 16, 16), 20, dtype=torch.uint8)
    picture[:, :, :8] = 250
    good = np.zeros((16, 16), np.float32)
    good[:, :8] = 1
    right = exhaust(faithfulness(model, picture, good, 0))
    wrong = exhaust(faithfulness(model, picture, -good, 0))
    assert right.deletion < wrong.deletion
    assert right.insertion > wrong.insertion


def test_faithfulness_of_a_map_by_a_naive_loop() -> None:
    model = tiny()
    picture = view(model)
    values = np.random.default_rng(0).normal(size=(32, 32)).astype(np.float32)
    found = exhaust(faithfulness(model, picture, values, 3))
    normalize = model.spec.preprocess.normalize
    row, gone = normalize(picture), normalize(filled(picture, "mean"))
    order = np.argsort(-values.ravel(), kind="stable")
    curve = []
    for step in range(STEPS + 1):
        hidden = row.clone().view(3, -1)
        chosen = order[: step * 1024 // STEPS]
        hidden[:, chosen] = gone.view(3, -1)[:, chosen]
        logits = model.runtime(hidden.view(1, 3, 32, 32)).logits[0]
        curve.append(probabilities(logits)[3])
    area = sum((a + b) / 2 for a, b in itertools.pairwise(curve)) / STEPS
    assert found.deletion == pytest.approx(area, abs=1e-4)
