import numpy as np
import pytest
import torch
from torch import Tensor, nn

from core.errors import InvalidValue, OutputNotFinite
from core.inspect.filters import filters
from core.inspect.selection import Selection
from core.render.filters import draw_filters
from core.render.tiles import brightness, signed_brightness, span
from core.types import Pixels


def convolution(weights: Tensor, groups: int = 1) -> nn.Module:
    """A network of one convolution with these weights (out, in/groups, kh, kw)."""
    out, depth, *kernel = weights.shape
    layer = nn.Conv2d(depth * groups, out, tuple(kernel), groups=groups, bias=False)
    layer.weight.data = weights.float()
    return nn.Sequential(layer)


def colors(picture: Pixels) -> set[tuple[int, ...]]:
    """The colors of the tiles: those of text and gaps are gray, and left out if asked for."""
    return {tuple(map(int, color)) for color in picture.reshape(-1, 3)}


def test_figures_are_those_of_the_weights() -> None:
    weights = torch.tensor([[[[3.0, -4.0]]], [[[0.0, 1.0]]], [[[2.0, 2.0]]]])
    found = filters(convolution(weights), "0", Selection.parse("2,0"))
    assert (found.shape, found.indices) == ((3, 1, 1, 2), (2, 0))
    np.testing.assert_array_equal(found.weights, weights[[2, 0]].numpy())
    np.testing.assert_allclose(found.norms, [np.sqrt(8), 5])
    everything = filters(convolution(weights), "0", None)
    np.testing.assert_array_equal(everything.weights, weights.numpy())
    assert everything.weights.dtype == np.float32


def test_a_filter_of_three_channels_is_a_colored_tile() -> None:
    weights = torch.full((1, 3, 2, 2), -1.0)
    weights[0, 0, 0, 0] = 1  # red at the top left, black elsewhere
    weights[0, :, 1, 1] = torch.tensor([-1, 0, 1])
    drawn = draw_filters(filters(convolution(weights), "0", None))
    assert {(255, 0, 0), (0, 128, 255), (0, 0, 0)} <= colors(drawn)
    red = np.argwhere((drawn == (255, 0, 0)).all(-1))
    blue = np.argwhere((drawn == (0, 128, 255)).all(-1))
    side = red[:, 0].max() - red[:, 0].min() + 1
    assert len(red) == len(blue) == side * side  # each weight a square
    np.testing.assert_array_equal(blue.min(0) - red.min(0), (side, side))


def test_one_scale_for_all_lets_filters_compare_and_one_each_fills_the_range() -> None:
    weights = torch.zeros(2, 3, 1, 2)
    weights[0, :, 0, 1], weights[1, :, 0, 1] = 1.0, 0.5
    each = brightness(weights.numpy(), *span(weights.numpy(), "each"))
    shared = brightness(weights.numpy(), *span(weights.numpy(), "shared"))
    assert each[:, 0, 0].tolist() == [[0, 255], [0, 255]]
    assert shared[:, 0, 0].tolist() == [[0, 255], [0, 128]]


@pytest.mark.parametrize("scale", ["each", "shared"])
@pytest.mark.parametrize("channels", [1, 2, 3])
@pytest.mark.parametrize("value", [0.0, 0.7, -3e38])
def test_a_constant_filter_is_drawn_without_dividing_by_its_width(
    channels: int, value: float, scale: str
) -> None:
    weights = torch.full((2, channels, 3, 3), value)
    drawn = draw_filters(filters(convolution(weights), "0", None), scale)  # type: ignore[arg-type]
    level = 128 if channels == 3 or value == 0 else 255 if value > 0 else 0
    assert (level,) * 3 in colors(drawn)


def test_zero_is_mid_gray_in_deeper_layers() -> None:
    weights = np.array([[[[-2.0, 0.0, 1.0]]]], np.float32)
    levels = signed_brightness(weights, np.float32([[[[2.0]]]]))
    assert levels.ravel().tolist() == [0, 128, 191]


def test_a_deeper_filter_is_a_row_of_gray_tiles() -> None:
    weights = torch.zeros(2, 8, 1, 1)
    weights[0, 7], weights[1, 0] = 1.0, -1.0
    drawn = draw_filters(filters(convolution(weights), "0", None))
    rows = drawn[-60:]  # below the title
    black = np.argwhere((rows == 0).all(-1))
    lit = (rows == 255).all(-1)
    lit[:, black[:, 1].min() + 8 * 27 :] = False  # the paper around the sheet
    lit[:, : black[:, 1].min()] = False
    assert len(black) == 24 * 24
    below = np.argwhere(lit)[:, 0] > black[:, 0].max()
    white = np.argwhere(lit)[~below]
    assert white[:, 0].max() < black[:, 0].min()
    assert white[-1, 1] - black[:, 1].min() == 8 * 27 - 4


def test_a_large_layer_is_drawn_in_part_and_given_whole() -> None:
    weights = torch.randn(200, 90, 3, 3)
    found = filters(convolution(weights), "0", None)
    assert found.weights.shape == (200, 90, 3, 3)
    assert max(draw_filters(found).shape) < 1100
    depthwise = filters(convolution(torch.randn(500, 1, 5, 5), groups=500), "0", None)
    assert max(draw_filters(depthwise).shape) < 1200


def test_weights_that_are_no_numbers_are_refused() -> None:
    with pytest.raises(OutputNotFinite):
        filters(convolution(torch.tensor([[[[torch.nan]]]])), "0", None)


def test_a_filter_that_is_not_there_is_named_with_the_range() -> None:
    with pytest.raises(InvalidValue, match=r"channels='4'.*0 to 3"):
        filters(convolution(torch.zeros(4, 1, 1, 1)), "0", Selection.parse("4"))
