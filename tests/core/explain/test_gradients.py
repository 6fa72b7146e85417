import copy

import captum.attr
import numpy as np
import pytest
import torch
from torch import Tensor, nn

from core.errors import InvalidValue, TargetOutOfRange, UnknownLayer
from core.explain.cam import grad_cam
from core.explain.gradients import input_gradients
from core.explain.guided import GuidedBackprop
from core.explain.objective import ClassObjective, LayerObjective, Objective
from core.explain.relu import Rule
from core.explain.saliency import Saliency
from core.models.structure.ports import Port
from tests.core.explain.networks import loaded, network, plain, relative, rows, tiny

pytestmark = pytest.mark.filterwarnings("ignore:.*backward hook:UserWarning")


@pytest.mark.parametrize("name", ["lite0", "resnet18", "vgg11", "densenet"])
def test_saliency_equals_captums(name: str, request: pytest.FixtureRequest) -> None:
    model = request.getfixturevalue("lite0") if name == "lite0" else network(name)
    batch = rows(model, 1)
    theirs = captum.attr.Saliency(model.module).attribute(batch.clone().requires_grad_(), target=7)
    (ours,) = input_gradients(model, batch, [ClassObjective(7)])
    assert relative(Saliency()(ours.gradient), theirs[0].amax(0).numpy()) < 1e-4


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


def test_gradients_are_taken_also_where_the_caller_turned_them_off() -> None:
    model = tiny()
    batch = rows(model, 1)
    with torch.no_grad():
        (found,) = input_gradients(model, batch, [ClassObjective(1)], "guided")
        (cam,) = grad_cam(model, batch, [1], (Port("conv2"),))
    assert np.abs(found.gradient).max() > 0
    assert cam.values.shape == (32, 32)


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
