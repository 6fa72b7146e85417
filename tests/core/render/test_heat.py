"""Numbers to colors: the scale of a map, and the color of each value."""

import io
import math

import numpy as np
import pytest
from PIL import Image

from core.render.heat import DIVERGING, SEQUENTIAL, Scale, colorize, png, scale_of
from core.render.overlay import Drawing, draw
from tests.core.render.drawing import color, noise


def test_scale_of_unsigned_map_ends_at_the_99th_percentile():
    values = np.arange(1, 102, dtype=np.float32)  # 1 .. 101: the 99th percentile is the 100th value
    assert scale_of(values) == Scale(low=0.0, high=100.0, percentile=99.0, signed=False)


def test_scale_of_signed_map_is_symmetric_around_zero():
    values = np.arange(1, 102, dtype=np.float32)
    values[::2] *= -1
    assert scale_of(values) == Scale(low=-100.0, high=100.0, percentile=99.0, signed=True)


def test_one_outlier_does_not_flatten_the_rest():
    values = np.linspace(0.5, 1, 1000, dtype=np.float32).reshape(25, 40)
    values[3, 4] = 1e6
    assert scale_of(values).high < 1.01


def test_map_with_a_single_nonzero_value_shows_it():
    values = np.zeros((100, 100), dtype=np.float32)
    values[7, 9] = 0.25
    assert scale_of(values).high == 0.25
    drawn = draw(values, noise(100, 100), Drawing(style="heatmap"))
    assert drawn[7, 9].tolist() == color(SEQUENTIAL, 1.0)


def test_small_receptive_field_is_scaled_by_itself_and_not_by_the_zeros_around_it():
    values = np.zeros((100, 100), dtype=np.float32)
    values[:15, :10] = np.linspace(0.01, 1, 150).reshape(15, 10)  # 1.5 % of the map
    assert scale_of(values).high == pytest.approx(0.99, abs=0.01)


def test_zero_map_draws_as_zero():
    zeros = np.zeros((3, 4), dtype=np.float32)
    assert scale_of(zeros) == Scale(low=0.0, high=1.0, percentile=99.0, signed=False)
    drawn = draw(zeros, noise(3, 4), Drawing(style="heatmap"))
    assert (drawn == color(SEQUENTIAL, 0.0)).all()


def test_constant_map_draws_as_one_end_of_its_scale():
    for constant, name, position in ((2.5, SEQUENTIAL, 1.0), (-2.5, DIVERGING, 0.0)):
        values = np.full((3, 4), constant, dtype=np.float32)
        drawn = draw(values, noise(3, 4), Drawing(style="heatmap"))
        assert (drawn == color(name, position)).all()


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_map_that_is_not_finite_is_an_error(bad):
    values = np.ones((3, 4), dtype=np.float32)
    values[1, 1] = bad
    with pytest.raises(ValueError, match="NaN or infinity"):
        draw(values, noise(3, 4), Drawing())
    with pytest.raises(ValueError, match="NaN or infinity"):
        scale_of(values)


def test_map_without_values_is_an_error():
    with pytest.raises(ValueError, match="no values"):
        scale_of(np.zeros((0, 4), dtype=np.float32))


def test_zero_of_signed_map_has_the_middle_color():
    values = np.array([[-1, 0, 0.5, 2]], dtype=np.float32)
    scale = scale_of(values)
    drawn = draw(values, noise(1, 4), Drawing(style="heatmap"))
    assert drawn[0, 1].tolist() == color(DIVERGING, 0.5)
    assert drawn[0, 3].tolist() == color(DIVERGING, 1.0)
    assert drawn[0, 0].tolist() == color(DIVERGING, (1 + round(-127 / scale.high) / 127) / 2)


def test_sequential_colormap_named_for_a_signed_map_runs_over_the_symmetric_scale():
    values = np.array([[-1, 0, 1]], dtype=np.float32)
    drawn = draw(values, noise(1, 3), Drawing(style="heatmap", colormap="viridis"))
    assert drawn[0].tolist() == [color("viridis", position) for position in (0, 0.5, 1)]


def test_heatmap_equals_the_colormap_at_each_value():
    values = np.linspace(0, 1, 60, dtype=np.float32).reshape(6, 10)
    scale = Scale(low=0.0, high=1.0, percentile=99.0, signed=False)
    drawn = draw(values, noise(6, 10), Drawing(style="heatmap", colormap="viridis"), scale=scale)
    naive = [[color("viridis", round(254 * v) / 254) for v in row] for row in values.tolist()]
    assert drawn.tolist() == naive
    assert (colorize(values, scale, "viridis") == drawn).all()


def test_colorize_takes_any_shape():
    values = np.linspace(-1, 1, 24).reshape(2, 3, 4)
    assert colorize(values, scale_of(values), "gray").shape == (2, 3, 4, 3)


def test_shared_scale_gives_equal_values_equal_colors_across_maps():
    scale = Scale(low=0.0, high=4.0, percentile=99.0, signed=False)
    drawing = Drawing(style="heatmap")
    one = draw(np.array([[1.0, 2.0]]), noise(1, 2), drawing, scale=scale)
    other = draw(np.array([[2.0, 100.0]]), noise(1, 2), drawing, scale=scale)
    assert one[0, 1].tolist() == other[0, 0].tolist()
    assert other[0, 1].tolist() == color(SEQUENTIAL, 1.0)


def test_png_decodes_to_the_same_pixels():
    pixels = noise(37, 53)
    with Image.open(io.BytesIO(png(pixels))) as image:
        assert (image.format, image.mode) == ("PNG", "RGB")
        assert (np.array(image) == pixels).all()
