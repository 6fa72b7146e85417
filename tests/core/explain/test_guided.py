"""Guided backpropagation against Captum, a second implementation and hand values."""

from collections.abc import Callable

import captum.attr
import pytest
import torch
from torch import Tensor, nn

from core.errors import MethodUnsupported
from core.explain.gradients import input_gradients
from core.explain.objective import ClassObjective, LayerObjective, Objective
from core.explain.relu import coverage
from tests.core.explain.guided_oracle import guided_gradient
from tests.core.explain.networks import loaded, network, plain, relative, rows, tiny

pytestmark = pytest.mark.filterwarnings("ignore:.*backward hook:UserWarning")


@pytest.mark.parametrize("name", ["resnet18", "vgg11"])
def test_guided_backprop_equals_captums_where_captums_hooks_reach(name: str) -> None:
    model = network(name)
    batch = rows(model, 1)
    (ours,) = input_gradients(model, batch, [ClassObjective(7)], "guided")
    oracle = captum.attr.GuidedBackprop(model.module)
    theirs = oracle.attribute(batch.clone().requires_grad_(), target=7)[0].detach().numpy()
    assert relative(ours.gradient, theirs) < 1e-4


@pytest.mark.parametrize(
    "name", ["inception_v3", "mobilenet_v2", "resnet18", "densenet", "regnet_y_400mf"]
)
def test_guided_backprop_equals_a_second_implementation(name: str) -> None:
    model = network(name)
    batch = rows(model, 1)
    (ours,) = input_gradients(model, batch, [ClassObjective(7)], "guided")
    assert relative(ours.gradient, guided_gradient(model.module, batch, 7)) < 1e-5
    assert relative(ours.gradient, plain(model, batch, 7)) > 0.01
    assert ours.coverage is not None
    assert ours.coverage.guided > 5


def test_guided_backprop_catches_in_place_reused_and_functional_relu() -> None:
    model = tiny()
    batch = rows(model, 1)
    (ours,) = input_gradients(model, batch, [ClassObjective(2)], "guided")
    assert ours.coverage is not None
    assert ours.coverage.guided == 4
    assert relative(ours.gradient, guided_gradient(model.module, batch, 2)) < 1e-5


class Net(nn.Module):
    """A network of one expression, with a linear layer at its end as all classifiers have."""

    def __init__(self, expression: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.expression = expression
        self.last = nn.Linear(1, 1, bias=False)
        nn.init.ones_(self.last.weight)

    def forward(self, batch: Tensor) -> Tensor:
        return self.last(self.expression(batch.flatten(1)).sum(1, keepdim=True))


def gradients_of(
    expression: Callable[[Tensor], Tensor], values: list[float], rule: object = None
) -> list[float]:
    model = loaded(Net(expression), size=1, classes=1, channels=1)
    batch = torch.tensor(values).view(-1, 1, 1, 1)
    found = input_gradients(model, batch, [ClassObjective(0)] * len(values), rule)  # type: ignore[arg-type]
    return [each.gradient.item() for each in found]


def test_a_negative_square_of_relu_by_hand() -> None:
    # y = -relu(x)^2: the gradient -2x is negative for x > 0, and guided lets none of it pass.
    expression = lambda x: -(torch.relu(x) ** 2)  # noqa: E731
    assert gradients_of(expression, [2.0, -1.0]) == [-4.0, 0.0]
    assert gradients_of(expression, [2.0, -1.0], "guided") == [0.0, 0.0]


def test_a_fan_out_by_hand() -> None:
    # y = -(x + relu(x)): the way past the ReLU passes -1, the way through it is clamped to 0.
    expression = lambda x: -(x + torch.relu(x))  # noqa: E731
    assert gradients_of(expression, [3.0]) == [-2.0]
    assert gradients_of(expression, [3.0], "guided") == [-1.0]


def test_relu6_has_no_gradient_above_six() -> None:
    assert gradients_of(nn.functional.relu6, [7.0, 5.0, -1.0]) == [0.0, 1.0, 0.0]
    assert gradients_of(nn.functional.relu6, [7.0, 5.0, -1.0], "guided") == [0.0, 1.0, 0.0]


def test_a_network_without_relu_is_refused_unless_clamping_is_asked_for() -> None:
    with pytest.raises(MethodUnsupported, match="clamp-grad"):
        gradients_of(nn.functional.gelu, [1.0], "guided")
    assert gradients_of(lambda x: -nn.functional.gelu(x), [1.0], "clamp-grad") == [0.0]
    with pytest.raises(MethodUnsupported):
        gradients_of(torch.sin, [1.0], "clamp-grad")


def test_a_clamp_counts_where_it_cuts_at_zero_and_not_where_it_guards_a_divisor() -> None:
    def left(expression: Callable[[Tensor], Tensor]) -> object:
        x = torch.tensor([1.0, -2.0], requires_grad=True)
        return coverage(expression(torch.relu(x)).sum(), "guided").unguided

    assert left(lambda x: nn.functional.normalize(x, dim=0)) == {}
    assert left(lambda x: x.clamp(max=4.6)) == {}
    assert left(lambda x: x.clamp_min(torch.tensor(1e-6))) == {}
    assert left(lambda x: x.clamp(min=0)) == {"clamp": 1}
    assert left(lambda x: x.clamp(-1, 1)) == {"clamp": 1}


def test_coverage_in_a_mixed_batch_is_that_of_each_alone() -> None:
    model = tiny()
    batch = rows(model, 3)
    objectives: list[Objective] = [
        ClassObjective(1),
        LayerObjective("conv2", 3),
        LayerObjective("hidden", 0),
    ]
    together = input_gradients(model, batch, objectives, "guided")
    assert [each.coverage.guided for each in together if each.coverage] == [4, 2, 3]
    for i, objective in enumerate(objectives):
        (alone,) = input_gradients(model, batch[i : i + 1], [objective], "guided")
        assert alone.coverage == together[i].coverage
    with pytest.raises(MethodUnsupported):
        input_gradients(model, batch[:2], [ClassObjective(1), LayerObjective("conv1")], "guided")


@pytest.mark.parametrize("name", ["inception_v3", "mobilenet_v2"])
def test_captums_hooks_miss_what_ours_reach(name: str) -> None:
    # Why Captum is no oracle for guided backpropagation here: it gives the plain gradient.
    model = network(name)
    batch = rows(model, 1)
    oracle = captum.attr.GuidedBackprop(model.module)
    theirs = oracle.attribute(batch.clone().requires_grad_(), target=7)[0].detach().numpy()
    assert relative(theirs, plain(model, batch, 7)) < 1e-4
