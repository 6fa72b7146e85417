"""Which axis of an activation is batch, channels, rows and columns."""

import numpy as np
import pytest
import torch

from core.models.structure.axes import Axes, axes_of


@pytest.mark.parametrize(
    ("shape", "channels", "expected"),
    [
        ((2, 8, 4, 6), -3, Axes(-3, (4, 6))),
        ((2, 4, 6, 8), -1, Axes(-1, (4, 6))),
        ((2, 24, 8), -1, Axes(-1, (4, 6))),
        ((2, 25, 8), -1, Axes(-1, (4, 6), 1)),
        ((2, 16, 8), -1, Axes(-1, (4, 4))),
        ((2, 17, 8), -1, Axes(-1, None)),
        ((2, 30, 8), -1, Axes(-1, None)),
        ((2, 8, 25), -2, Axes(-2, None)),
        ((2, 8), None, Axes(-1, None)),
        ((2, 3, 4, 5, 6), None, Axes(-4, None)),
    ],
)
def test_axes_of_shapes(shape: tuple[int, ...], channels: int | None, expected: Axes) -> None:
    assert axes_of(shape, channels, {24: (0, (4, 6)), 25: (1, (4, 6))}) == expected


@pytest.mark.parametrize(
    ("shape", "channels", "expected"),
    [
        ((24, 2, 8), -1, Axes(-1, (4, 6), batch=1)),
        ((8, 24, 2), 0 - 3, Axes(-2, None, batch=2)),
        ((24, 2, 8), -2, Axes(-1, (4, 6), batch=1)),
        ((4, 6, 2, 8), -1, Axes(-1, (4, 6), batch=2)),
    ],
)
def test_axes_of_shapes_whose_pictures_are_not_first(
    shape: tuple[int, ...], channels: int | None, expected: Axes
) -> None:
    found = axes_of(shape, channels, {24: (0, (4, 6))}, expected.batch or 0)
    assert found == expected
    activation = torch.arange(1.0 * np.prod(shape)).reshape(shape)
    assert found.batch_first(activation).shape[0] == 2


def test_tokens_become_maps_without_the_class_token() -> None:
    tokens = torch.arange(2.0 * 7 * 3).reshape(2, 7, 3)
    maps = Axes(-1, (2, 3), 1).maps(tokens)
    assert maps is not None
    assert maps.shape == (2, 3, 2, 3)
    assert maps[1, 2, 1, 0] == tokens[1, 1 + 3, 2]
