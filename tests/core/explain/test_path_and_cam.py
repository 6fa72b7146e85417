import itertools
from collections.abc import Callable
from contextlib import suppress

import captum.attr
import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import interpolate

from core.errors import InvalidValue, MethodUnsupported, SeethroughError
from core.explain.cam import grad_cam
from core.explain.faithfulness import STEPS, faithfulness
from core.explain.fill import filled
from core.explain.gradients import input_gradients
from core.explain.integrated import IntegratedGradients, integrated_gradients
from core.explain.objective import ClassObjective
from core.explain.occlusion import Occlusion, occlude
from core.explain.smoothgrad import SmoothGrad, smoothgrad
from core.explain.steps import exhaust
from core.models.predictions import probabilities
from core.models.structure.ports import Port
from tests.core.explain.networks import loaded, network, relative, rows, tiny, view
from tests.tinycnn import TinyCNN

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


@pytest.mark.parametrize(
    "make",
    [
        lambda: SmoothGrad(samples=0),
        lambda: SmoothGrad(noise=1.5),
        lambda: SmoothGrad(seed=-1),
        lambda: SmoothGrad(reduce="mean"),
        lambda: IntegratedGradients(steps=501),
        lambda: IntegratedGradients(baseline="pink"),
    ],
)
def test_parameters_are_checked_when_made(make: object) -> None:
    with pytest.raises(InvalidValue):
        make()  # type: ignore[operator]


@pytest.mark.parametrize(
    ("name", "layer"),
    [
        ("lite0", "conv_head"),
        ("resnet18", "layer4"),
        ("vgg11", "features.18"),
        ("densenet", "features.denseblock3"),
    ],
)
def test_grad_cam_equals_captums(name: str, layer: str, request: pytest.FixtureRequest) -> None:
    model = request.getfixturevalue("lite0") if name == "lite0" else network(name)
    batch = rows(model, 1)
    (found,) = grad_cam(model, batch, [7], (Port(layer),))
    oracle = captum.attr.LayerGradCam(model.module, model.module.get_submodule(layer))
    raw = oracle.attribute(batch.clone().requires_grad_(), target=7, relu_attributions=True)
    theirs = interpolate(raw, size=batch.shape[2:], mode="bilinear")[0, 0].detach().numpy()
    assert np.abs(found.values - theirs).max() <= 1e-4 * np.abs(theirs).max() + 1e-9


def test_grad_cam_in_a_batch_equals_each_alone() -> None:
    model = network("resnet18")
    batch = rows(model, 3)
    together = grad_cam(model, batch, [1, None, 8], (Port("layer3"),))
    for i, target in enumerate([1, None, 8]):
        (alone,) = grad_cam(model, batch[i : i + 1], [target], (Port("layer3"),))
        np.testing.assert_allclose(together[i].values, alone.values, rtol=1e-3, atol=1e-6)
        assert together[i].target == alone.target


def test_grad_cam_survives_an_in_place_relu_behind_its_layer() -> None:
    model = tiny()
    (found,) = grad_cam(model, rows(model, 1), [0], (Port("conv1"),))
    assert found.values.shape == (32, 32)
    assert not model.module.conv1._forward_hooks  # type: ignore[union-attr]


def test_randomized_weights_change_grad_cam() -> None:
    # Adebayo et al. 2018, arXiv:1810.03292: a map that ignores the weights explains nothing.
    model, other = tiny(), loaded(TinyCNN(seed=1))
    batch = rows(model, 1)
    ours, theirs = (
        grad_cam(each, batch, [0], (Port("conv2"),))[0].values for each in (model, other)
    )
    assert np.abs(ours - theirs).max() > 0.1 * max(ours.max(), theirs.max())


@pytest.mark.parametrize(
    "explain",
    [
        lambda model, picture: grad_cam(model, rows(model, 1), [3], (Port("conv2"),)),
        lambda model, picture: grad_cam(model, rows(model, 1), [99], (Port("conv2"),)),
        lambda model, picture: grad_cam(model, rows(model, 1), [3], (Port("hidden"),)),
        lambda model, picture: exhaust(occlude(model, picture, Occlusion((16, 16), (16, 16)))),
        lambda model, picture: exhaust(occlude(model, picture, Occlusion((99, 99), (16, 16)))),
        lambda model, picture: exhaust(smoothgrad(model, picture, SmoothGrad(samples=2))),
        lambda model, picture: exhaust(smoothgrad(model, picture, SmoothGrad(samples=2), 99)),
        lambda model, picture: exhaust(
            integrated_gradients(model, picture, IntegratedGradients(steps=2))
        ),
        lambda model, picture: next(integrated_gradients(model, picture, IntegratedGradients())),
    ],
)
def test_no_method_leaves_a_trace_on_success_or_error(explain: Callable[..., object]) -> None:
    model = tiny()
    before = {name: value.clone() for name, value in model.module.state_dict().items()}
    picture = view(model)
    copy = picture.clone()
    with suppress(SeethroughError):
        explain(model, picture)
    for layer in model.module.modules():
        assert not layer._forward_hooks
        assert not layer._forward_pre_hooks
        assert not layer._backward_hooks
        assert not layer.training
    for parameter in model.module.parameters():
        assert parameter.grad is None
        assert not parameter.requires_grad
    assert all(torch.equal(v, before[n]) for n, v in model.module.state_dict().items())
    assert torch.equal(picture, copy)


def test_grad_cam_needs_feature_maps() -> None:
    model = tiny()
    with pytest.raises(MethodUnsupported, match="feature maps"):
        grad_cam(model, rows(model, 1), [0], (Port("hidden"),))


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
