"""Explanations of layers whose channels are last, of tokens, and of branches."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - torch's own name for it

from core.errors import InvalidValue, MethodUnsupported
from core.explain.cam import grad_cam
from core.explain.gradients import input_gradients
from core.explain.objective import ClassObjective, LayerObjective
from core.inspect.activations import Activations, Channels, activations
from core.inspect.table import layer_table
from core.models.loaded import LoadedModel
from core.models.structure.ports import Port
from core.render.activations import draw_activations
from tests.core.explain.networks import loaded, rows
from tests.core.models.structure.small_networks import Branches, Last, Transformer


@pytest.fixture(scope="module")
def last() -> LoadedModel:
    torch.manual_seed(1)
    return loaded(Last(), classes=5)


@pytest.fixture(scope="module")
def transformer() -> LoadedModel:
    torch.manual_seed(1)
    return loaded(Transformer(), classes=5)


def oracle(maps: Tensor, logits: Tensor, target: int) -> np.ndarray:
    """Grad-CAM written out: maps (1, C, h, w) of the graph -> (h, w), before it is resized."""
    (slopes,) = torch.autograd.grad(logits[0, target], maps, retain_graph=True)
    cam = torch.zeros(maps.shape[2:])
    for channel in range(maps.shape[1]):
        cam += slopes[0, channel].mean() * maps[0, channel].detach()
    return cam.relu().numpy()


def test_grad_cam_of_maps_with_channels_last_equals_one_written_out(last: LoadedModel) -> None:
    row = rows(last, 1)
    module = last.module
    x = module.act(module.grow(module.norm(module.patches(row).permute(0, 2, 3, 1))))  # type: ignore[operator]
    maps = x.detach().permute(0, 3, 1, 2).clone().requires_grad_()
    merged = maps.permute(0, 2, 3, 1).reshape(1, 4, 2, 4, 2, 16).permute(0, 1, 3, 4, 2, 5)
    logits = module.head(module.merge(merged.flatten(3)).mean((1, 2)))  # type: ignore[operator]
    (found,) = grad_cam(last, row, [3], (Port("act"),))
    expected = F.interpolate(
        torch.from_numpy(oracle(maps, logits, 3))[None, None], (32, 32), mode="bilinear"
    )
    assert found.cells == (8, 8)
    np.testing.assert_allclose(found.values, expected[0, 0], atol=1e-6)


def test_grad_cam_of_a_transformer_is_of_its_tokens_as_a_grid(transformer: LoadedModel) -> None:
    row = rows(transformer, 1)
    module = transformer.module
    tokens = module.patches(row).flatten(2).transpose(1, 2)  # type: ignore[operator]
    tokens = torch.cat([module.token, tokens], 1)  # type: ignore[list-item]
    tokens = module.blocks[0](tokens).detach()  # type: ignore[index]
    maps = tokens[:, 1:].transpose(1, 2).reshape(1, 8, 4, 4).clone().requires_grad_()
    whole = torch.cat([tokens[:, :1], maps.flatten(2).transpose(1, 2)], 1)
    logits = module.head(module.norm(module.blocks[1](whole))[:, 0])  # type: ignore[operator,index]
    (found,) = grad_cam(transformer, row, [2], transformer.maps)
    expected = F.interpolate(
        torch.from_numpy(oracle(maps, logits, 2))[None, None], (32, 32), mode="bilinear"
    )
    assert found.cells == (4, 4)
    np.testing.assert_allclose(found.values, expected[0, 0], atol=1e-6)


def test_grad_cam_of_branches_is_that_of_their_concatenation() -> None:
    class Joined(Branches):
        def __init__(self) -> None:
            super().__init__()
            self.join = nn.Identity()

        def forward(self, x: Tensor) -> Tensor:
            return self.head(self.join(torch.cat([self.one(x), self.other(x)], 1)).mean((2, 3)))

    torch.manual_seed(2)
    apart = loaded(Branches(), classes=5)
    joined = Joined()
    joined.load_state_dict(apart.module.state_dict())
    together = loaded(joined, classes=5)
    assert apart.maps == (Port("one"), Port("other"))
    assert together.maps == (Port("join"),)
    batch = rows(apart, 2)
    for one, other in zip(
        grad_cam(apart, batch, [1, 4], apart.maps),
        grad_cam(together, batch, [1, 4], together.maps),
        strict=True,
    ):
        np.testing.assert_allclose(one.values, other.values, atol=1e-6)


def test_grad_cam_of_what_enters_a_layer_is_that_of_what_left_the_one_before(
    last: LoadedModel,
) -> None:
    batch = rows(last, 2)
    for one, other in zip(
        grad_cam(last, batch, [0, 1], (Port("act", "input"),)),
        grad_cam(last, batch, [0, 1], (Port("grow"),)),
        strict=True,
    ):
        np.testing.assert_allclose(one.values, other.values, atol=1e-6)


class Pair(NamedTuple):
    maps: Tensor
    count: int


@pytest.mark.parametrize("make", [lambda *parts: list(parts), lambda *parts: parts, Pair])
@pytest.mark.parametrize("port", [Port("first"), Port("second", "input")])
def test_grad_cam_of_a_layer_that_answers_more_than_a_tensor_is_that_of_the_first(
    make: Callable[..., Any], port: Port
) -> None:
    # PiT's stages answer maps and a class token, HRNet's and SelecSLS's a list of maps.
    class First(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 6, 3, padding=1)

        def forward(self, rows: Tensor) -> Any:
            return make(self.conv(rows), 2)

    class Second(nn.Module):
        def forward(self, parts: Any) -> Tensor:
            maps, count = parts
            return (maps.tanh() * count).mean((2, 3))

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second, self.head = First(), Second(), nn.Linear(6, 5)

        def forward(self, rows: Tensor) -> Tensor:
            logits: Tensor = self.head(self.second(self.first(rows)))
            return logits

    torch.manual_seed(2)
    model = loaded(Net(), size=8, classes=5)
    row = rows(model, 1)
    (found,) = grad_cam(model, row, [3], (port,))
    module = model.module
    maps = module.first.conv(row).detach().requires_grad_()  # type: ignore[operator, union-attr]
    logits = module.head(module.second((maps, 2)))  # type: ignore[operator]
    np.testing.assert_allclose(found.values, oracle(maps, logits, 3), atol=1e-6)
    assert found.values.max() > 0


def test_grad_cam_of_a_single_cell_is_refused() -> None:
    model = loaded(
        nn.Sequential(nn.Conv2d(3, 4, 4), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 5)),
        classes=5,
    )
    with pytest.raises(MethodUnsupported, match=r"more than one cell.*'1' there are 4 x 1 x 1"):
        grad_cam(model, rows(model, 1), [0], (Port("1"),))


def test_a_channel_is_explained_wherever_a_layer_has_it(last: LoadedModel) -> None:
    row = rows(last, 1).requires_grad_()
    module = last.module
    act = module.act(module.grow(module.norm(module.patches(row).permute(0, 2, 3, 1))))  # type: ignore[operator]
    for part, value in (
        (LayerObjective("act"), act.sum()),
        (LayerObjective("act", 11), act[0, :, :, 11].sum()),
        (LayerObjective("act", 11, 2, 5), act[0, 2, 5, 11]),
        (LayerObjective("act", 11, 2, 5, "input"), None),
    ):
        (found,) = input_gradients(last, row.detach(), [part])
        if value is None:
            assert found.value != pytest.approx(act[0, 2, 5, 11].item())
            continue
        assert found.value == pytest.approx(value.item(), abs=1e-4)
        (expected,) = torch.autograd.grad(value, row, retain_graph=True)
        np.testing.assert_allclose(found.gradient, expected[0], atol=1e-6)
    with pytest.raises(InvalidValue, match=r"channel=16.*0 to 15"):
        input_gradients(last, row.detach(), [LayerObjective("act", 16)])


def test_a_position_among_tokens_is_one_of_the_grid(transformer: LoadedModel) -> None:
    row = rows(transformer, 1)
    with torch.no_grad(), Port("blocks.0").captured(transformer.module) as seen:
        transformer.module(row)
    (found,) = input_gradients(transformer, row, [LayerObjective("blocks.0", 3, 2, 1)])
    assert found.value == pytest.approx(float(seen[0][0, 1 + 2 * 4 + 1, 3]), abs=1e-5)
    with pytest.raises(InvalidValue, match=r"row=4.*0 to 3"):
        input_gradients(transformer, row, [LayerObjective("blocks.0", 3, 4, 1)])
    with pytest.raises(InvalidValue, match=r"row=0.*no rows and columns"):
        input_gradients(transformer, row, [LayerObjective("head", 3, 0, 0)])


def looked_at(model: LoadedModel, port: Port, row: Tensor) -> Activations:
    batch = model.to_device(row)
    return activations(model.module, batch, port, model.known_axes, Channels())


def test_activations_are_maps_first_and_tokens_are_drawn_as_maps(
    last: LoadedModel, transformer: LoadedModel
) -> None:
    row = rows(last, 1)
    found = looked_at(last, Port("act"), row)
    with torch.no_grad(), Port("act").captured(last.module) as seen:
        last.module(row)
    assert (found.shape, found.axis, found.grid) == ((16, 8, 8), 0, (8, 8))
    np.testing.assert_allclose(found.values, seen[0][0].permute(2, 0, 1), atol=1e-6)
    np.testing.assert_allclose(found.means, seen[0][0].mean((0, 1)), atol=1e-6)
    tokens = looked_at(transformer, Port("blocks.0"), row)
    assert (tokens.shape, tokens.axis, tokens.grid, tokens.extra) == ((17, 8), 1, (4, 4), 1)
    assert draw_activations(tokens).ndim == 3
    entering = looked_at(last, Port("act", "input"), row)
    np.testing.assert_allclose(entering.values, looked_at(last, Port("grow"), row).values)


def test_the_table_says_where_channels_are(last: LoadedModel, transformer: LoadedModel) -> None:
    for model, name, axis in (
        (last, "patches", 0),
        (last, "act", 2),
        (last, "head", 0),
        (transformer, "norm", 1),
    ):
        table = layer_table(model.module, model.to_device(rows(model, 1)), model.known_axes)
        assert table.row(name).channel_axis == axis


# ---- what guided backpropagation does not guide ----


def deep(*activations: nn.Module) -> LoadedModel:
    layers: list[nn.Module] = [nn.Flatten(), nn.Linear(3072, 6)]
    for each in activations:
        layers += [each, nn.Linear(6, 6)]
    return loaded(nn.Sequential(*layers), classes=6)


def test_coverage_says_how_many_activations_were_not_guided() -> None:
    model = deep(nn.ReLU(), nn.PReLU(), nn.GELU(), nn.RReLU(), nn.Tanh())
    (found,) = input_gradients(model, rows(model, 1), [ClassObjective(0)], "guided")
    assert found.coverage is not None
    assert found.coverage.guided == 3
    assert found.coverage.unguided == {"GELU": 1, "Tanh": 1}
    (clamped,) = input_gradients(model, rows(model, 1), [ClassObjective(0)], "clamp-grad")
    assert clamped.coverage is not None
    assert (clamped.coverage.guided, clamped.coverage.unguided) == (4, {"Tanh": 1})


@pytest.mark.parametrize(
    ("layers", "said"),
    [
        ([nn.ReLU(), nn.GELU(), nn.GELU(), nn.SiLU()],
         "guide 1 of 4 activations.*not guided: 2 GELU, 1 SiLU; rule=clamp-grad guides GELU, SiLU"),
        ([nn.GELU()], "guide 0 of 1 activations.*1 GELU; rule=clamp-grad guides GELU, too"),
        ([nn.Tanh(), nn.Tanh()], "guide 0 of 2 activations.*not guided: 2 Tanh$"),
        ([], "found no activation to guide"),
    ],
)  # fmt: skip
def test_a_map_that_is_nearly_the_plain_gradient_is_refused_with_what_there_is(
    layers: list[nn.Module], said: str
) -> None:
    model = deep(*layers)
    with pytest.raises(MethodUnsupported, match=said):
        input_gradients(model, rows(model, 1), [ClassObjective(0)], "guided")


def test_prelu_is_guided_as_leaky_relu_is() -> None:
    torch.manual_seed(0)
    leaky, learned = deep(nn.LeakyReLU(0.25)), deep(nn.PReLU(init=0.25))
    learned.module.load_state_dict(leaky.module.state_dict(), strict=False)
    (one,), (other,) = (
        input_gradients(each, rows(leaky, 1), [ClassObjective(2)], "guided")
        for each in (leaky, learned)
    )
    np.testing.assert_allclose(one.gradient, other.gradient, atol=1e-7)
