"""What every explanation method holds to: checked parameters, and no trace left behind."""

from collections.abc import Callable
from contextlib import suppress

import pytest
import torch

from core.errors import InvalidValue, SeethroughError
from core.explain.cam import grad_cam
from core.explain.integrated import IntegratedGradients, integrated_gradients
from core.explain.occlusion import Occlusion, occlude
from core.explain.smoothgrad import SmoothGrad, smoothgrad
from core.explain.steps import exhaust
from core.models.structure.ports import Port
from tests.core.explain.networks import rows, tiny, view


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
