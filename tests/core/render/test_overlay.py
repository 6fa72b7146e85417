"""A map drawn with its picture: overlay, mask and cut-out, and what may be asked for."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib import colormaps

from core.errors import InvalidValue
from core.render.heat import SEQUENTIAL, Scale
from core.render.overlay import Drawing, draw, most_important
from core.types import Frame
from tests.core.render.drawing import STYLES, color, noise


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"style": "sketch"}, "overlay, heatmap, mask, cutout"),
        ({"size": "huge"}, "model, original"),
        ({"alpha": -0.01}, "0 to 1"),
        ({"alpha": 1.01}, "0 to 1"),
        ({"alpha": math.nan}, "0 to 1"),
        ({"mask_fraction": 0.0}, "above 0, up to 1"),
        ({"mask_fraction": 1.5}, "above 0, up to 1"),
        ({"mask_fraction": math.nan}, "above 0, up to 1"),
    ],
)
def test_option_outside_its_allowed_set_is_refused_naming_both(options, named):
    (name, value), *_ = options.items()
    with pytest.raises(InvalidValue, match=named) as caught:
        Drawing(**options)
    assert caught.value.parameter == name
    assert caught.value.value is value


def test_unknown_colormap_is_refused_with_close_names_and_their_count():
    with pytest.raises(InvalidValue, match="viridis") as caught:
        Drawing(colormap="Virdis")
    assert f"{len(colormaps)} names" in caught.value.allowed


@pytest.mark.parametrize("name", ["", "?", "x" * 1_000_000])
def test_colormap_like_no_other_is_refused_with_examples(name):
    with pytest.raises(InvalidValue, match=SEQUENTIAL) as caught:
        Drawing(colormap=name)
    assert len(str(caught.value)) < 300


def test_every_colormap_of_matplotlib_is_taken():
    values = np.linspace(-1, 1, 12, dtype=np.float32).reshape(3, 4)
    for name in colormaps:
        assert draw(values, noise(3, 4), Drawing(colormap=name)).shape == (3, 4, 3)


def test_overlay_with_alpha_0_is_the_picture_and_with_alpha_1_the_heat_map():
    values = np.random.default_rng(1).normal(size=(12, 16)).astype(np.float32)
    view = noise()
    assert (draw(values, view, Drawing(alpha=0)) == view).all()
    heatmap = draw(values, view, Drawing(style="heatmap"))
    assert (draw(values, view, Drawing(alpha=1)) == heatmap).all()


def test_overlay_blends_by_hand():
    view = np.full((1, 3, 3), (200, 100, 50), dtype=np.uint8)
    values = np.array([[0.0, 64 / 254, 1.0]], dtype=np.float32)
    drawing = Drawing(colormap="viridis")  # alpha 0.5: the picture is all gray
    scale = Scale(low=0.0, high=1.0, percentile=99.0, signed=False)
    gray = 0.299 * 200 + 0.587 * 100 + 0.114 * 50
    drawn = draw(values, view, drawing, scale=scale)
    for column, value in enumerate((0.0, 64 / 254, 1.0)):
        weight = 0.25 + 0.25 * math.sqrt(value)
        mixed = weight * np.array(color("viridis", value)) + (1 - weight) * gray
        np.testing.assert_allclose(drawn[0, column], mixed, atol=0.51)


def test_overlay_keeps_half_the_picture_s_color_at_a_quarter():
    view = np.full((1, 1, 3), (200, 100, 50), dtype=np.uint8)
    drawn = draw(np.zeros((1, 1)), view, Drawing(alpha=0.25, colormap="gray"))
    gray = 0.299 * 200 + 0.587 * 100 + 0.114 * 50
    mixed = (1 - 0.25**2) * (np.array([200, 100, 50]) + gray) / 2
    np.testing.assert_allclose(drawn[0, 0], mixed, atol=0.51)


def test_drawing_leaves_its_inputs_as_they_were():
    values = np.random.default_rng(1).normal(size=(12, 16)).astype(np.float32)
    view, original = noise(), noise(24, 32)
    copies = [array.copy() for array in (values, view, original)]
    frame = Frame(scaled=(12, 16), origin=(0, 0), crop=(12, 16))
    for style in STYLES:
        for size in ("model", "original"):
            draw(values, view, Drawing(style=style, size=size), frame=frame, original=original)
    for array, copy in zip((values, view, original), copies, strict=True):
        assert (array == copy).all()


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_any_finite_map_is_drawn_in_every_style(data):
    magnitude = data.draw(st.sampled_from([1e-45, 1e-38, 1e-9, 1.0, 1e30, 3e38]))
    seed = data.draw(st.integers(0, 10))
    values = np.random.default_rng(seed).choice([0, magnitude, 1, -magnitude], (5, 7))
    with np.errstate(all="raise", under="ignore"):
        for style in STYLES:
            for array in (values, np.abs(values)):
                assert draw(array, noise(5, 7), Drawing(style=style)).dtype == np.uint8


@pytest.mark.parametrize(
    ("fraction", "count"), [(1e-9, 1), (0.05, 1), (0.1, 2), (0.2, 3), (0.21, 4), (0.5, 8), (1, 15)]
)
def test_mask_shows_exactly_the_fraction_rounded_up(fraction, count):
    values = np.random.default_rng(0).permutation(np.arange(1.0, 16)).reshape(3, 5)
    drawn = draw(values, noise(3, 5), Drawing(style="mask", mask_fraction=fraction))
    assert set(np.unique(drawn)) <= {0, 255}
    white = (drawn == 255).all(axis=2)
    assert sorted(values[white]) == list(range(16 - count, 16))


def test_fraction_that_no_float_holds_is_not_rounded_up_past_its_count():
    assert 0.07 * 100 > 7
    values = np.arange(1, 101, dtype=np.float32).reshape(10, 10)
    assert most_important(values, 0.07).sum() == 7


def test_mask_breaks_ties_by_position():
    values = np.array([[1, 3, 1, 1], [1, 1, 1, 0]], dtype=np.float32)
    assert most_important(values, 0.5).tolist() == [
        [True, True, True, True],
        [False, False, False, False],
    ]
    assert most_important(values, 0.25).tolist() == [
        [True, True, False, False],
        [False, False, False, False],
    ]


def test_mask_of_signed_map_takes_the_largest_positive_values():
    values = np.array([[-9, 1, 2, -0.5, 0, 3]], dtype=np.float32)
    assert most_important(values, 1 / 3).tolist() == [[False, False, True, False, False, True]]


@pytest.mark.parametrize("constant", [0.0, -1.0])
def test_mask_of_map_without_positive_values_is_black(constant):
    values = np.full((3, 4), constant, dtype=np.float32)
    assert (draw(values, noise(3, 4), Drawing(style="mask")) == 0).all()
    assert (draw(values, noise(3, 4), Drawing(style="cutout")) == 128).all()


def test_mask_with_fewer_positive_values_than_the_fraction_shows_these():
    values = np.array([[0, 0, 1, -1], [0, 2, 0, 0]], dtype=np.float32)
    assert most_important(values, 1.0).tolist() == (values > 0).tolist()


def test_cutout_shows_the_picture_in_the_mask_and_gray_around_it():
    values = np.random.default_rng(0).normal(size=(12, 16))
    view = noise()
    chosen = (draw(values, view, Drawing(style="mask")) == 255).all(axis=2)
    drawn = draw(values, view, Drawing(style="cutout"))
    assert (drawn[chosen] == view[chosen]).all()
    assert (drawn[~chosen] == 128).all()


def test_map_of_another_shape_than_its_picture_is_an_error_naming_both():
    with pytest.raises(ValueError, match=r"\(12, 15\).*\(12, 16, 3\)"):
        draw(np.ones((12, 15)), noise(), Drawing())
    frame = Frame(scaled=(12, 16), origin=(0, 0), crop=(12, 14))
    with pytest.raises(ValueError, match=r"\(12, 16\).*\(12, 14\)"):
        draw(np.ones((12, 16)), noise(), Drawing(size="original"), frame=frame, original=noise())
