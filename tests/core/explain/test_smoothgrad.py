"""SmoothGrad: a mean over seeded noise, however many rows run at once."""

import numpy as np
import pytest
import torch
from torch import nn

from core.explain.gradients import input_gradients
from core.explain.objective import ClassObjective
from core.explain.smoothgrad import SmoothGrad, smoothgrad
from core.explain.steps import exhaust
from tests.core.explain.networks import loaded, tiny, view


def test_smoothgrad_without_noise_is_the_gradient() -> None:
    model = tiny()
    picture = view(model)
    found = exhaust(smoothgrad(model, picture, SmoothGrad(samples=3, noise=0.0), target=2))
    row = model.spec.preprocess.normalize(picture)
    (plain,) = input_gradients(model, row[None], [ClassObjective(2)])
    np.testing.assert_allclose(found.gradient, plain.gradient, atol=1e-6)


def test_smoothgrad_is_the_mean_over_its_seeded_copies() -> None:
    model = tiny()
    picture = view(model)
    parameters = SmoothGrad(samples=5, noise=0.2, seed=9)
    found = exhaust(smoothgrad(model, picture, parameters, target=2))
    row = model.spec.preprocess.normalize(picture)
    generator = torch.Generator().manual_seed(9)
    total = np.zeros_like(found.gradient)
    for count in (2, 2, 1):
        noise = torch.randn(count, *row.shape, generator=generator)
        for each in row + 0.2 * (row.max() - row.min()) * noise:
            total += input_gradients(model, each[None], [ClassObjective(2)])[0].gradient
    np.testing.assert_allclose(found.gradient, total / 5, atol=1e-5)
    again = exhaust(smoothgrad(model, picture, parameters, target=2))
    np.testing.assert_array_equal(found.gradient, again.gradient)


def test_noise_is_the_same_however_many_rows_run_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    # Where a row's size is no multiple of 16, torch draws other numbers for two rows than for one
    # and one: Inception's 299 x 299.
    model = loaded(nn.Sequential(nn.Flatten(), nn.Linear(75, 3), nn.Tanh()), size=5, classes=3)
    picture = view(model)
    maps = []
    for at_once in (1, 4, 32):
        monkeypatch.setattr(model, "rows_at_once", at_once)
        found = exhaust(smoothgrad(model, picture, SmoothGrad(samples=6), target=1))
        maps.append(found.gradient)
    np.testing.assert_allclose(maps[1], maps[0], rtol=1e-5)
    np.testing.assert_allclose(maps[2], maps[0], rtol=1e-5)
