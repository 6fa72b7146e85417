"""Integrated gradients against Captum's, and on networks whose answer is known."""

import captum.attr
import numpy as np
import pytest
import torch
from torch import nn

from core.errors import InvalidValue
from core.explain.fill import filled
from core.explain.integrated import IntegratedGradients, integrated_gradients
from core.explain.steps import exhaust
from tests.core.explain.networks import loaded, network, relative, tiny, view

NAMES = ["lite0", "resnet18", "vgg11", "densenet"]


@pytest.mark.parametrize("name", NAMES)
def test_integrated_gradients_equal_captums(name: str, request: pytest.FixtureRequest) -> None:
    model = request.getfixturevalue("lite0") if name == "lite0" else network(name)
    picture = view(model)
    normalize = model.spec.preprocess.normalize
    found = exhaust(integrated_gradients(model, picture, IntegratedGradients(steps=6), target=7))
    theirs = captum.attr.IntegratedGradients(model.module).attribute(
        normalize(picture)[None],
        baselines=normalize(filled(picture, "black"))[None],
        target=7,
        n_steps=6,
        internal_batch_size=2,
    )
    assert relative(found.values, theirs[0].sum(0).float().numpy()) < 1e-4


def test_integrated_gradients_of_a_linear_model_are_weight_times_change() -> None:
    net = nn.Sequential(nn.Flatten(), nn.Linear(16, 2, bias=False))
    model = loaded(net, size=4, classes=2, channels=1)
    picture = view(model)
    found = exhaust(integrated_gradients(model, picture, IntegratedGradients(steps=3), target=0))
    row = model.spec.preprocess.normalize(picture).flatten()
    expected = net[1].weight[0].detach() * (row - (0 - 0.5) / 0.25)
    np.testing.assert_allclose(found.values.ravel(), expected.numpy(), atol=1e-5)
    assert found.completeness_error < 1e-4


def test_a_baseline_for_which_the_network_has_no_answer_is_named() -> None:
    class Standardized(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc = nn.Linear(3, 10)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.fc(((x - x.mean((2, 3), True)) / x.std((2, 3), keepdim=True)).amax((2, 3)))

    model = loaded(Standardized())
    picture = view(model)
    with pytest.raises(InvalidValue, match="baseline='black' is not allowed"):
        exhaust(integrated_gradients(model, picture, IntegratedGradients(steps=2)))
    noise = IntegratedGradients(steps=2, baseline="noise")
    assert np.isfinite(exhaust(integrated_gradients(model, picture, noise)).values).all()


def test_integrated_gradients_add_up_to_the_logit_better_with_more_steps() -> None:
    model = tiny()
    picture = view(model)
    few, many = (
        exhaust(integrated_gradients(model, picture, IntegratedGradients(steps), target=1))
        for steps in (2, 200)
    )
    assert many.completeness_error < few.completeness_error
    assert many.values.sum() == pytest.approx(many.difference, abs=2e-3)
