"""One convolution output against the sum of products written out, loop by loop."""

from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from timm.layers import Conv2dSame, StdConv2d, StdConv2dSame
from torch import Tensor, nn

from core.errors import InvalidValue, MethodUnsupported, OutputNotFinite, UnknownLayer
from core.inspect.table import LayerTable, layer_table
from core.inspect.unit import Position, unit
from core.render.unit import draw_unit
from tests.core.inspect.hooks import hooks

HEIGHT, WIDTH = 11, 14

Array = NDArray[np.float64]
Pad = Callable[[Array, nn.Conv2d], Array]


def zeros(top: int, bottom: int, left: int, right: int, mode: str = "constant") -> Pad:
    sides = ((0, 0), (top, bottom), (left, right))
    return lambda image, _layer: np.pad(image, sides, mode=mode)  # type: ignore[call-overload]


def tensorflow_same(image: Array, layer: nn.Conv2d) -> Array:
    """As TensorFlow documents it: the odd row of padding goes below."""
    sides = [(0, 0)]
    for axis in (0, 1):
        size, stride = image.shape[axis + 1], layer.stride[axis]
        reach = (layer.kernel_size[axis] - 1) * layer.dilation[axis] + 1
        outputs = -(-size // stride)
        total = max((outputs - 1) * stride + reach - size, 0)
        sides.append((total // 2, total - total // 2))
    return np.pad(image, sides)


CASES: dict[str, tuple[nn.Conv2d, Pad]] = {
    "plain": (nn.Conv2d(6, 4, 3), zeros(0, 0, 0, 0)),
    "no bias": (nn.Conv2d(6, 4, (1, 5), bias=False), zeros(0, 0, 0, 0)),
    "padded": (nn.Conv2d(6, 4, 3, padding=(2, 1)), zeros(2, 2, 1, 1)),
    "strided": (nn.Conv2d(6, 4, 4, stride=(3, 2), padding=1), zeros(1, 1, 1, 1)),
    "dilated": (nn.Conv2d(6, 4, 3, dilation=(2, 3), padding=2), zeros(2, 2, 2, 2)),
    "grouped": (nn.Conv2d(6, 4, 3, groups=2, padding=1), zeros(1, 1, 1, 1)),
    "depthwise": (nn.Conv2d(6, 6, 5, groups=6, padding=2, bias=False), zeros(2, 2, 2, 2)),
    "depthwise, two each": (nn.Conv2d(6, 12, 3, groups=6, stride=2), zeros(0, 0, 0, 0)),
    "pointwise": (nn.Conv2d(6, 4, 1), zeros(0, 0, 0, 0)),
    "same": (nn.Conv2d(6, 4, 5, padding="same"), zeros(2, 2, 2, 2)),
    "same, even": (nn.Conv2d(6, 4, (4, 2), padding="same"), zeros(1, 2, 0, 1)),
    "same, dilated": (nn.Conv2d(6, 4, 3, padding="same", dilation=(3, 2)), zeros(3, 3, 2, 2)),
    "valid": (nn.Conv2d(6, 4, 3, padding="valid"), zeros(0, 0, 0, 0)),
    "reflected": (
        nn.Conv2d(6, 4, 3, padding=2, padding_mode="reflect"), zeros(2, 2, 2, 2, "reflect")
    ),
    "replicated": (
        nn.Conv2d(6, 4, 3, padding=(1, 3), padding_mode="replicate", stride=2),
        zeros(1, 1, 3, 3, "edge"),
    ),
    "circular": (
        nn.Conv2d(6, 4, 3, padding=1, padding_mode="circular", groups=2), zeros(1, 1, 1, 1, "wrap")
    ),
    "reflected, same": (
        nn.Conv2d(6, 4, 4, padding="same", padding_mode="reflect"), zeros(1, 2, 1, 2, "reflect")
    ),
    "TensorFlow's same": (Conv2dSame(6, 4, 3, stride=2), tensorflow_same),
    "TensorFlow's same, even": (Conv2dSame(6, 4, (4, 3), stride=(1, 3)), tensorflow_same),
    "TensorFlow's same, depthwise": (
        Conv2dSame(6, 6, 5, stride=2, groups=6, bias=False), tensorflow_same
    ),
    "TensorFlow's same, dilated": (Conv2dSame(6, 4, 3, dilation=2), tensorflow_same),
}  # fmt: skip


def network(layer: nn.Module) -> nn.Module:
    """The layer between others; a later one overwrites what it put out."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 6, 3, padding=1), nn.GELU(), layer, nn.ReLU(inplace=True))


def looked_into(module: nn.Module) -> tuple[nn.Module, Tensor, LayerTable]:
    module.eval().requires_grad_(False)
    generator = torch.Generator().manual_seed(1)
    batch = torch.randn(1, 3, HEIGHT, WIDTH, generator=generator)
    return module, batch, layer_table(module, batch)


def positions(channels: int, height: int, width: int) -> Iterator[tuple[int, int, int]]:
    """The corners and some in between, each of another channel."""
    places = [(r, c) for r in (0, height // 2, height - 1) for c in (0, width // 3, width - 1)]
    for number, (row, col) in enumerate(places):
        yield number % channels, row, col


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel:UserWarning")
@pytest.mark.parametrize("name", CASES)
def test_the_products_written_out_add_up_to_what_the_layer_put_out(name: str) -> None:
    layer, pad = CASES[name]
    module, batch, table = looked_into(network(layer))
    with torch.no_grad():
        received = module[1](module[0](batch))
        expected = layer(received)[0]
    image = pad(received[0].double().numpy(), layer)
    weights = layer.weight.detach().double().numpy()
    depth, kernel_height, kernel_width = weights.shape[1:]
    for channel, row, col in positions(*expected.shape):
        first = channel // (layer.out_channels // layer.groups) * depth
        sums = [0.0] * depth
        for c in range(depth):
            for y in range(kernel_height):
                for x in range(kernel_width):
                    at = row * layer.stride[0] + y * layer.dilation[0]
                    beside = col * layer.stride[1] + x * layer.dilation[1]
                    sums[c] += image[first + c, at, beside] * weights[channel, c, y, x]
        bias = 0.0 if layer.bias is None else float(layer.bias[channel])
        found = unit(module, batch, table, Position("2", channel, row, col))
        np.testing.assert_allclose(found.per_input_channel, sums, atol=1e-5)
        assert found.bias == bias
        assert found.sum == pytest.approx(sum(sums) + bias, abs=1e-4)
        assert found.value == pytest.approx(float(expected[channel, row, col]), abs=1e-6)
        assert found.sum == pytest.approx(found.value, abs=1e-4)
        assert found.patch.shape == found.filter.shape == (depth, kernel_height, kernel_width)
        np.testing.assert_array_equal(found.filter, weights[channel].astype(np.float32))
        assert found.first_input_channel == first
    assert not hooks(module)


@pytest.mark.parametrize("kind", [StdConv2d, StdConv2dSame])
def test_weights_that_a_layer_standardizes_are_shown_as_it_uses_them(kind: type) -> None:
    layer = kind(6, 4, 3, stride=2)
    module, batch, table = looked_into(network(layer))
    found = unit(module, batch, table, Position("2", 1, 2, 3))
    assert found.sum == pytest.approx(found.value, abs=1e-4)
    assert found.filter.mean() == pytest.approx(0, abs=1e-6)
    assert found.filter.std() == pytest.approx(1, abs=1e-2)


def test_the_receptive_field_is_what_changes_the_unit_when_it_changes() -> None:
    torch.manual_seed(0)
    module, batch, table = looked_into(
        nn.Sequential(nn.Conv2d(3, 4, 3, stride=2), nn.MaxPool2d(2), Conv2dSame(4, 2, 2))
    )
    for row, col in ((0, 0), (1, 1), (0, 2)):
        box = unit(module, batch, table, Position("2", 1, row, col)).receptive_field
        poisoned = batch.repeat(HEIGHT * WIDTH, 1, 1, 1).double()
        for index in range(HEIGHT * WIDTH):
            poisoned[index, :, index // WIDTH, index % WIDTH] = torch.nan
        with torch.no_grad():
            reached = module.double()(poisoned)[:, 1, row, col].isnan().view(HEIGHT, WIDTH)
        module.float()
        rows, cols = reached.any(1).nonzero(), reached.any(0).nonzero()
        assert (box.top, box.bottom) == (int(rows.min()), int(rows.max()) + 1)
        assert (box.left, box.right) == (int(cols.min()), int(cols.max()) + 1)


def test_behind_an_operation_that_is_not_followed_the_field_is_everything() -> None:
    module, batch, table = looked_into(nn.Sequential(nn.GroupNorm(1, 3), nn.Conv2d(3, 1, 1)))
    found = unit(module, batch, table, Position("1", 0, 2, 3))
    assert not found.receptive_field_followed
    box = found.receptive_field
    assert (box.top, box.left, box.bottom, box.right) == (0, 0, HEIGHT, WIDTH)


def test_a_unit_that_sees_padding_alone_has_an_empty_field() -> None:
    module, batch, table = looked_into(nn.Sequential(nn.Conv2d(3, 2, 2, padding=5)))
    found = unit(module, batch, table, Position("0", 0, 0, 0))
    box = found.receptive_field
    assert box.top == box.bottom
    assert box.left == box.right
    assert found.sum == found.bias == pytest.approx(found.value)


@pytest.mark.parametrize(
    ("position", "allowed"),
    [
        (Position("2", 4, 0, 0), "channel=4.*0 to 3"),
        (Position("2", -1, 0, 0), "channel=-1.*0 to 3"),
        (Position("2", 0, 9, 0), "row=9.*0 to 8"),
        (Position("2", 0, 0, 12), "col=12.*0 to 11"),
        (Position("1", 0, 0, 0), "layer='1'.*which a GELU is not; there are 0, 2"),
    ],
)
def test_a_unit_that_is_not_there_is_named_with_the_range(position: Position, allowed: str) -> None:
    module, batch, table = looked_into(network(nn.Conv2d(6, 4, 3)))
    with pytest.raises(InvalidValue, match=allowed):
        unit(module, batch, table, position)


class WithReLU(nn.Conv2d):
    def forward(self, batch: Tensor) -> Tensor:
        return super().forward(batch).relu() + 1


class Twice(nn.Conv2d):
    def forward(self, batch: Tensor) -> Tensor:
        return super().forward(batch) + super().forward(batch)


class Halved(nn.Module):
    def forward(self, batch: Tensor) -> Tensor:
        return batch.bfloat16()


class Never(nn.Sequential):
    def forward(self, batch: Tensor) -> Tensor:
        return self[0](batch)


def test_a_layer_that_does_more_than_a_convolution_is_refused() -> None:
    module, batch, table = looked_into(network(WithReLU(6, 4, 3)))
    with pytest.raises(MethodUnsupported, match="does more than a convolution"):
        unit(module, batch, table, Position("2", 0, 0, 0))
    module, batch, table = looked_into(network(Twice(6, 4, 3)))
    with pytest.raises(MethodUnsupported, match="runs 2 convolutions"):
        unit(module, batch, table, Position("2", 0, 0, 0))
    assert not hooks(module)


def test_a_convolution_in_bfloat16_is_taken_apart_to_its_own_precision() -> None:
    torch.manual_seed(0)
    halved = nn.Sequential(nn.Conv2d(3, 6, 3), nn.ReLU(), nn.Conv2d(6, 4, 3)).bfloat16()
    module, batch, table = looked_into(nn.Sequential(Halved(), halved))
    for row in range(4):
        found = unit(module, batch, table, Position("1.2", 1, row, 2))
        assert found.value == pytest.approx(found.sum, rel=0.05, abs=0.05)


def test_a_convolution_that_never_runs_is_unknown() -> None:
    module, batch, table = looked_into(Never(nn.Conv2d(3, 2, 1), nn.Conv2d(3, 2, 1)))
    with pytest.raises(UnknownLayer, match="'1'; known: 0"):
        unit(module, batch, table, Position("1", 0, 0, 0))


def test_nothing_remains_after_a_forward_that_fails() -> None:
    module, batch, table = looked_into(network(nn.Conv2d(6, 4, 3)))
    with pytest.raises(RuntimeError):
        unit(module, batch[:, :2], table, Position("2", 0, 0, 0))
    with pytest.raises(OutputNotFinite):
        unit(module, batch * torch.nan, table, Position("2", 0, 0, 0))
    assert not hooks(module)
    assert unit(module, batch, table, Position("2", 0, 0, 0)).sum != 0


@pytest.mark.parametrize("layer", [nn.Conv2d(6, 4, 3), nn.Conv2d(6, 6, 1, groups=6)])
def test_the_picture_has_four_panels_of_the_right_tiles(layer: nn.Conv2d) -> None:
    module, batch, table = looked_into(network(layer))
    view = np.full((HEIGHT, WIDTH, 3), 90, np.uint8)
    found = unit(module, batch, table, Position("2", 1, 2, 3))
    drawn = draw_unit(found, view)
    colors = {tuple(map(int, color)) for color in drawn.reshape(-1, 3)}
    assert {(90, 90, 90), (30, 30, 30), (255, 208, 0)} <= colors  # seen, not seen, the frame
    assert drawn.shape[1] > 4 * 100


def test_a_wide_layer_is_drawn_in_part() -> None:
    module, batch, table = looked_into(
        nn.Sequential(nn.Conv2d(3, 300, 1), nn.Conv2d(300, 2, 1, bias=False))
    )
    found = unit(module, batch, table, Position("1", 1, 2, 3))
    drawn = draw_unit(found, np.zeros((HEIGHT, WIDTH, 3), np.uint8))
    assert len(found.per_input_channel) == 300
    assert max(drawn.shape) < 1500
