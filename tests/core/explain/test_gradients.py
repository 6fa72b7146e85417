import copy
from collections.abc import Callable

import captum.attr
import numpy as np
import pytest
import torch
from torch import Tensor, nn

from core.errors import InvalidValue, MethodUnsupported, TargetOutOfRange, UnknownLayer
from core.explain.cam import grad_cam
from core.explain.gradients import input_gradients
from core.explain.guided import GuidedBackprop
from core.explain.objective import ClassObjective, LayerObjective, Objective
from core.explain.relu import Rule, coverage
from core.explain.saliency import Saliency
from core.models.loaded import LoadedModel
from core.models.structure.ports import Port
from tests.core.explain.guided_oracle import guided_gradient
from tests.core.explain.networks import loaded, network, rows, tiny

pytestmark = pytest.mark.filterwarnings("ignore:.*backward hook:UserWarning")


def relative(ours: np.ndarray, theirs: np.ndarray) -> float:
    return float(np.abs(ours - theirs).max() / np.abs(theirs).max())


def plain(model: LoadedModel, batch: Tensor, target: int) -> np.ndarray:
    return input_gradients(model, batch, [ClassObjective(target)])[0].gradient


@pytest.mark.parametrize("name", ["lite0", "resnet18", "vgg11", "densenet121"])
def test_saliency_equals_captums(name: str, request: pytest.FixtureRequest) -> None:
    model = request.getfixturevalue("lite0") if name == "lite0" else network(name)
    batch = rows(model, 1)
    theirs = captum.attr.Saliency(model.module).attribute(batch.clone().requires_grad_(), target=7)
    (ours,) = input_gradients(model, batch, [ClassObjective(7)])
    assert relative(Saliency()(ours.gradient), theirs[0].amax(0).numpy()) < 1e-4


@pytest.mark.parametrize("name", ["resnet18", "vgg11"])
def test_guided_backprop_equals_captums_where_captums_hooks_reach(name: str) -> None:
    model = network(name)
    batch = rows(model, 1)
    (ours,) = input_gradients(model, batch, [ClassObjective(7)], "guided")
    oracle = captum.attr.GuidedBackprop(model.module)
    theirs = oracle.attribute(batch.clone().requires_grad_(), target=7)[0].detach().numpy()
    assert relative(ours.gradient, theirs) < 1e-4


@pytest.mark.parametrize(
    "name", ["inception_v3", "mobilenet_v2", "resnet18", "densenet121", "regnet_y_400mf"]
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


def test_saliency_equals_finite_differences_in_float64() -> None:
    model = tiny()
    batch = rows(model, 1)
    gradient = plain(model, batch, 4)
    module = copy.deepcopy(model.module).double()
    step = 1e-6
    for place in ((0, 3, 4), (1, 17, 30), (2, 31, 0)):
        nudge = torch.zeros_like(batch, dtype=torch.float64)
        nudge[(0, *place)] = step
        exact = batch.double()
        with torch.no_grad():
            rise = module(exact + nudge)[0, 4] - module(exact - nudge)[0, 4]
        assert float(rise) / (2 * step) == pytest.approx(gradient[place], rel=1e-3, abs=1e-7)


class Tokens(nn.Module):
    """A convolutional stem with batch norms before tokens, as LeViT, CCT and CvT have it."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 16, 3, stride=2), nn.BatchNorm2d(16)
        self.head = nn.Linear(16, 5)
        self.aside = nn.Linear(16 * 7 * 7, 5)
        nn.init.uniform_(self.norm.running_var, 0.3, 2.0)
        nn.init.uniform_(self.norm.weight, 0.3, 2.0)

    def forward(self, rows: Tensor) -> Tensor:
        maps = self.conv(rows).relu()
        tokens = self.norm(maps).flatten(2).transpose(1, 2)
        # Such a view is why a network only runs on contiguous rows.
        logits: Tensor = self.head(tokens.tanh().mean(1)) + self.aside(maps.view(len(rows), -1))
        return logits


@pytest.mark.parametrize("rule", [None, "guided"])
def test_one_contiguous_picture_goes_back_through_batch_norms_as_two_do(rule: Rule | None) -> None:
    torch.manual_seed(4)
    model = loaded(Tokens(), size=16, classes=5)
    assert model._memory_format == torch.contiguous_format
    batch, objectives = rows(model, 2), [ClassObjective(3)] * 2
    (alone,) = input_gradients(model, batch[:1], objectives[:1], rule)
    together = input_gradients(model, batch, objectives, rule)[0]
    assert relative(alone.gradient, together.gradient) < 1e-4
    ports = (Port("conv"),)
    (map_alone,) = grad_cam(model, batch[:1], [3], ports)
    assert relative(map_alone.values, grad_cam(model, batch, [3, 3], ports)[0].values) < 1e-4


def test_a_batch_of_mixed_objectives_equals_each_alone() -> None:
    model = network("resnet18")
    batch = rows(model, 5)
    objectives: list[Objective] = [
        ClassObjective(3),
        LayerObjective("layer2", channel=5),
        ClassObjective(None),
        LayerObjective("layer2.0.conv1", channel=5, row=1, col=2),
        LayerObjective("layer3.0.conv1"),
    ]
    together = input_gradients(model, batch, objectives)
    for i, objective in enumerate(objectives):
        (alone,) = input_gradients(model, batch[i : i + 1], [objective])
        assert relative(together[i].gradient, alone.gradient) < 1e-4
        assert together[i].value == pytest.approx(alone.value, rel=1e-4)
        assert together[i].target == alone.target


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


def test_gradients_are_taken_also_where_the_caller_turned_them_off() -> None:
    model = tiny()
    batch = rows(model, 1)
    with torch.no_grad():
        (found,) = input_gradients(model, batch, [ClassObjective(1)], "guided")
        (cam,) = grad_cam(model, batch, [1], (Port("conv2"),))
    assert np.abs(found.gradient).max() > 0
    assert cam.values.shape == (32, 32)


@pytest.mark.parametrize("name", ["inception_v3", "mobilenet_v2"])
def test_captums_hooks_miss_what_ours_reach(name: str) -> None:
    # Why Captum is no oracle for guided backpropagation here: it gives the plain gradient.
    model = network(name)
    batch = rows(model, 1)
    oracle = captum.attr.GuidedBackprop(model.module)
    theirs = oracle.attribute(batch.clone().requires_grad_(), target=7)[0].detach().numpy()
    assert relative(theirs, plain(model, batch, 7)) < 1e-4


def test_a_unit_is_explained_as_autograd_would_by_hand() -> None:
    model = tiny()
    batch = rows(model, 1)
    (found,) = input_gradients(model, batch, [LayerObjective("conv1", 3, 10, 20)])
    kernel = model.module.conv1.weight[3].detach().numpy()  # type: ignore[union-attr, index]
    np.testing.assert_allclose(found.gradient[:, 9:12, 19:22], kernel, rtol=1e-5)
    assert np.count_nonzero(found.gradient) == kernel.size


@pytest.mark.parametrize(
    ("objective", "error"),
    [
        (ClassObjective(10), TargetOutOfRange),
        (ClassObjective(-1), TargetOutOfRange),
        (LayerObjective("conv1", 8), InvalidValue),
        (LayerObjective("conv1", 0, 32, 0), InvalidValue),
        (LayerObjective("classifier", 0, 0, 0), InvalidValue),
        (LayerObjective("nope"), UnknownLayer),
    ],
)
def test_what_is_out_of_range_is_refused(objective: Objective, error: type[Exception]) -> None:
    model = tiny()
    with pytest.raises(error):
        input_gradients(model, rows(model, 1), [objective])


def test_half_a_position_is_refused() -> None:
    with pytest.raises(InvalidValue, match="both or neither"):
        LayerObjective("conv1", 0, row=1)
    with pytest.raises(InvalidValue, match="channel"):
        LayerObjective("conv1", None, 1, 1)


@pytest.mark.parametrize("fails", [False, True])
def test_explaining_leaves_no_trace(fails: bool) -> None:
    model = tiny()
    module = model.module
    before = {name: value.clone() for name, value in module.state_dict().items()}
    objective = LayerObjective("conv1", 99) if fails else ClassObjective(1)
    try:
        input_gradients(model, rows(model, 1), [objective], "guided")
    except InvalidValue:
        assert fails
    for layer in module.modules():
        assert not layer._forward_hooks
        assert not layer._forward_pre_hooks
        assert not layer._backward_hooks
        assert not layer.training
    for parameter in module.parameters():
        assert parameter.grad is None
        assert not parameter.requires_grad
    for name, value in module.state_dict().items():
        assert torch.equal(value, before[name])


def test_randomized_weights_change_the_map() -> None:
    # Adebayo et al. 2018, arXiv:1810.03292: a map that ignores the weights explains nothing.
    model, other = tiny(), loaded(tiny().module.__class__(seed=1))  # type: ignore[call-arg]
    batch = rows(model, 1)
    ours, theirs = Saliency()(plain(model, batch, 0)), Saliency()(plain(other, batch, 0))
    assert abs(np.corrcoef(ours.ravel(), theirs.ravel())[0, 1]) < 0.5


def test_reductions_by_hand() -> None:
    gradient = np.array([[[3.0]], [[-4.0]], [[0.0]]], np.float32)
    assert Saliency("max")(gradient) == 4
    assert Saliency("l2")(gradient) == 5
    assert Saliency("sum")(gradient) == 7
    assert Saliency("max", signed=True)(gradient) == -4
    assert Saliency("sum", signed=True)(gradient) == -1
    with pytest.raises(InvalidValue):
        Saliency("l2", signed=True)
    with pytest.raises(InvalidValue, match="max, l2, sum"):
        Saliency("mean")  # type: ignore[arg-type]
    with pytest.raises(InvalidValue, match="guided, clamp-grad"):
        GuidedBackprop(rule="none")  # type: ignore[arg-type]
