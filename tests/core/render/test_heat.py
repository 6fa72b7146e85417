import io
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib import colormaps
from PIL import Image

from core.errors import InvalidValue
from core.models.preprocess import Preprocessing
from core.render.heat import DIVERGING, SEQUENTIAL, Scale, colorize, png, scale_of
from core.render.overlay import Drawing, draw, most_important
from core.render.placement import Placement, bands
from core.render.sheet import MAX_PANEL_PX, MIN_PANEL_PX, grid, strip
from core.types import Frame

STYLES = ("overlay", "heatmap", "mask", "cutout")


def unseen(frame, height, width):
    """(height, width) bool: pixels of which no part lies in the model's view."""
    mask = np.ones((height, width), dtype=np.bool_)
    mask[Placement(frame, height, width).seen] = False
    return mask


def color(name, position):
    return list(colormaps[name](float(position), bytes=True)[:3])


def noise(height=12, width=16, seed=0):
    """A picture with no two equal rows or columns, and no pixel of the cut-out's gray."""
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    pixels[(pixels == 128).all(axis=2)] = 0
    return pixels


def preprocessing(height, width, resize):
    return Preprocessing(3, height, width, resize, "bilinear", (0.5,) * 3, (0.5,) * 3)


# --- options ---


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


# --- scale ---


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


# --- colors ---


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


# --- overlay ---


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


# --- mask and cut-out ---


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


# --- on the original ---


LANDSCAPE = (120, 200)  # (height, width); shorter side -> 60, so scaled by half to (60, 100)
PORTRAIT = (200, 120)  # scaled to (100, 60)


@pytest.mark.parametrize(
    ("shape", "resize", "rectangle", "expected"),
    [
        # Crop 40 x 40 of (60, 100): top 10, left 30. Map rows 5..15 are scaled rows 15..25,
        # original rows 30..50; map columns 20..26 are scaled 50..56, original 100..112.
        (LANDSCAPE, 60, (5, 15, 20, 26), (30, 50, 100, 112)),
        # Crop 40 x 40 of (100, 60): top 30, left 10.
        (PORTRAIT, 60, (5, 15, 20, 26), (70, 90, 60, 72)),
        # Stretch: rows by 120 / 40 = 3, columns by 200 / 40 = 5.
        (LANDSCAPE, "stretch", (5, 15, 20, 26), (15, 45, 100, 130)),
        (PORTRAIT, "stretch", (5, 15, 20, 26), (25, 75, 60, 78)),
        # In a corner of the map: original rows from 20, columns from 60.
        (LANDSCAPE, 60, (0, 10, 0, 10), (20, 40, 60, 80)),
        # Enlarged for the model: (20, 50) -> (60, 150), crop top 10, left 55; a third of each.
        # Map rows 2..20 are scaled 12..30, original 4..10; columns 5..26 are 60..81, 20..27.
        ((20, 50), 60, (2, 20, 5, 26), (4, 10, 20, 27)),
    ],
)
def test_hot_rectangle_lands_where_hand_arithmetic_puts_it(shape, resize, rectangle, expected):
    top, bottom, left, right = rectangle
    values = np.zeros((40, 40), dtype=np.float32)
    values[top:bottom, left:right] = 1
    placement = Placement(preprocessing(40, 40, resize).frame(*shape), *shape)
    whole = np.zeros(shape, dtype=np.float32)
    whole[placement.seen] = placement.project(values)
    # Between the centers of two pixels a bilinear step passes one half at their common edge.
    hot_rows = np.flatnonzero(whole.max(axis=1) > 0.5)
    hot_columns = np.flatnonzero(whole.max(axis=0) > 0.5)
    assert hot_rows.tolist() == list(range(expected[0], expected[1]))
    assert hot_columns.tolist() == list(range(expected[2], expected[3]))


@pytest.mark.parametrize("resize", [60, "stretch"])
@pytest.mark.parametrize("shape", [(120, 200), (233, 157), (1000, 777)])
def test_ramp_stays_the_same_ramp_to_a_fraction_of_a_pixel(shape, resize):
    frame = preprocessing(40, 40, resize).frame(*shape)
    placement = Placement(frame, *shape)
    rows, columns = placement.seen
    for axis, extent in enumerate((rows, columns)):
        centers = np.arange(40, dtype=np.float32) + 0.5
        ramp = np.broadcast_to(centers[:, None] if axis == 0 else centers, (40, 40)).copy()
        laid = placement.project(ramp)
        laid = laid[:, 0] if axis == 0 else laid[0]
        ratio = frame.scaled[axis] / shape[axis]
        expected = (np.arange(extent.start, extent.stop) + 0.5) * ratio - frame.origin[axis]
        np.testing.assert_allclose(laid, np.clip(expected, 0.5, 39.5), atol=1e-3)


def test_projection_of_a_constant_is_that_constant_to_the_edges():
    placement = Placement(preprocessing(40, 40, 60).frame(233, 157), 233, 157)
    laid = placement.project(np.full((40, 40), 0.7, dtype=np.float32))
    np.testing.assert_allclose(laid, 0.7, rtol=1e-6)


def test_projection_in_bands_equals_the_whole():
    values = np.random.default_rng(0).normal(size=(40, 40)).astype(np.float32)
    placement = Placement(preprocessing(40, 40, 60).frame(233, 157), 233, 157)
    rows, _ = placement.seen
    steps = [slice(top, min(top + 7, rows.stop)) for top in range(rows.start, rows.stop, 7)]
    parts = np.concatenate([placement.project(values, step) for step in steps])
    np.testing.assert_allclose(parts, placement.project(values), atol=1e-4)


@pytest.mark.parametrize("window", [(3, 3000, 2, 4001), (0, 1, 0, 1), (5, 9, 0, 3_000_000)])
def test_bands_cover_their_window_once_from_top_to_bottom(window):
    top, bottom, left, right = window
    cut = list(bands((slice(top, bottom), slice(left, right))))
    assert [rows.start for rows, _ in cut] == [top, *(rows.stop for rows, _ in cut[:-1])]
    assert cut[-1][0].stop == bottom
    assert {(columns.start, columns.stop) for _, columns in cut} == {(left, right)}


def test_unseen_is_what_lies_wholly_outside_the_crop_by_hand():
    # (120, 200) halved; the crop's rows 10..50 and columns 30..70 are 20..100 and 60..140.
    mask = unseen(preprocessing(40, 40, 60).frame(120, 200), 120, 200)
    seen = np.zeros((120, 200), dtype=bool)
    seen[20:100, 60:140] = True
    assert (mask == ~seen).all()


@settings(max_examples=60, deadline=None)
@given(
    height=st.integers(1, 90),
    width=st.integers(1, 90),
    input_side=st.integers(1, 30),
    more=st.integers(0, 20),
    stretch=st.booleans(),
)
def test_unseen_equals_a_pixel_by_pixel_overlap(height, width, input_side, more, stretch):
    resize = "stretch" if stretch else input_side + more
    frame = preprocessing(input_side, input_side, resize).frame(height, width)

    def overlaps(pixel, axis, length):  # in units of 1 / length of a scaled pixel: no rounding
        start, stop = pixel * frame.scaled[axis], (pixel + 1) * frame.scaled[axis]
        first = frame.origin[axis] * length
        return stop > first and start < first + frame.crop[axis] * length

    seen = [
        [overlaps(y, 0, height) and overlaps(x, 1, width) for x in range(width)]
        for y in range(height)
    ]
    mask = unseen(frame, height, width)
    assert (mask == ~np.array(seen)).all()
    assert not mask.all()
    margins = np.zeros((height, width), dtype=int)
    for margin in Placement(frame, height, width).margins:
        margins[margin] += 1
    assert (margins == mask).all()
    values = np.ones((input_side, input_side), dtype=np.float32)
    laid = Placement(frame, height, width).project(values)
    np.testing.assert_allclose(laid, 1, rtol=1e-5)


@pytest.mark.parametrize("style", STYLES)
def test_unseen_pixels_are_dark_hatched_gray_and_do_not_depend_on_the_map(style):
    original = np.full((120, 200, 3), (250, 40, 90), dtype=np.uint8)
    frame = preprocessing(40, 40, 60).frame(120, 200)
    mask = unseen(frame, 120, 200)
    drawing = Drawing(style=style, size="original")
    one, other = (
        draw(values, noise(40, 40), drawing, frame=frame, original=original)
        for values in (np.zeros((40, 40)), np.ones((40, 40)))
    )
    marked = one[mask]
    assert (marked == marked[:, :1]).all()  # gray
    assert marked.max() < 128
    assert len(np.unique(marked)) == 2  # two kinds of stripe
    assert (other[mask] == marked).all()
    assert (one[~mask] != other[~mask]).any()


def test_hatching_runs_on_across_margins():
    frame = preprocessing(40, 40, 60).frame(120, 200)
    drawing = Drawing(style="heatmap", size="original")
    drawn = draw(np.ones((40, 40)), noise(40, 40), drawing, frame=frame, original=noise(120, 200))[
        ..., 0
    ]
    # On a diagonal from the top margin into the left one a stripe keeps its gray.
    diagonal = [int(drawn[y, 40 - y]) for y in range(41)]
    assert len(set(diagonal)) == 1


def test_mask_on_the_original_shows_the_fraction_of_what_the_model_saw():
    values = np.random.default_rng(0).random((40, 40)) + 0.1
    frame = preprocessing(40, 40, 60).frame(120, 200)
    seen = ~unseen(frame, 120, 200)
    drawing = Drawing(style="mask", size="original", mask_fraction=0.15)
    drawn = draw(values, noise(40, 40), drawing, frame=frame, original=noise(120, 200))
    assert (drawn[seen] == 255).all(axis=1).sum() == math.ceil(0.15 * seen.sum())
    assert set(np.unique(drawn[seen])) == {0, 255}


@pytest.mark.parametrize("style", STYLES)
def test_original_that_is_the_view_draws_as_the_view(style):
    values = np.random.default_rng(0).normal(size=(12, 16)).astype(np.float32)
    view = noise()
    frame = Frame(scaled=(12, 16), origin=(0, 0), crop=(12, 16))
    alone = draw(values, view, Drawing(style=style))
    mapped = draw(values, view, Drawing(style=style, size="original"), frame=frame, original=view)
    difference = np.abs(alone.astype(int) - mapped)
    assert difference.max() <= (3 if style in ("overlay", "heatmap") else 0)


def test_overlay_on_the_original_uses_the_scale_of_the_map_the_model_gave():
    values = np.zeros((40, 40), dtype=np.float32)
    values[10:20, 10:20] = 1
    values[30, 30] = 50  # shrunk to less on the small original, and so a smaller percentile there
    frame = preprocessing(40, 40, "stretch").frame(10, 10)
    drawing = Drawing(style="heatmap", size="original", colormap="gray")
    drawn = draw(values, noise(40, 40), drawing, frame=frame, original=noise(10, 10))
    high = scale_of(values).high
    laid = Placement(frame, 10, 10).project(values)
    expected = np.rint(254 * np.clip(laid / high, 0, 1)) / 254 * 255
    np.testing.assert_allclose(drawn[..., 0], expected, atol=1.01)


def test_original_size_without_frame_or_picture_is_an_error():
    with pytest.raises(ValueError, match="needs the frame"):
        draw(np.ones((12, 16)), noise(), Drawing(size="original"), original=noise())
    frame = Frame(scaled=(12, 16), origin=(0, 0), crop=(12, 16))
    with pytest.raises(ValueError, match="needs the frame"):
        draw(np.ones((12, 16)), noise(), Drawing(size="original"), frame=frame)


def test_map_of_another_shape_than_its_picture_is_an_error_naming_both():
    with pytest.raises(ValueError, match=r"\(12, 15\).*\(12, 16, 3\)"):
        draw(np.ones((12, 15)), noise(), Drawing())
    frame = Frame(scaled=(12, 16), origin=(0, 0), crop=(12, 14))
    with pytest.raises(ValueError, match=r"\(12, 16\).*\(12, 14\)"):
        draw(np.ones((12, 16)), noise(), Drawing(size="original"), frame=frame, original=noise())


# --- sheets ---


def test_grid_places_every_tile_row_by_row():
    tiles = [noise(2, 3, seed) for seed in range(5)]
    sheet = grid(tiles, columns=3, zoom=2, gap_px=1)
    assert sheet.shape == (2 * 5 + 1, 3 * 7 + 1, 3)
    covered = np.zeros(sheet.shape[:2], dtype=bool)
    for index, tile in enumerate(tiles):
        top, left = 1 + 5 * (index // 3), 1 + 7 * (index % 3)
        place = (slice(top, top + 4), slice(left, left + 6))
        assert (sheet[place] == np.kron(tile, np.ones((2, 2, 1), dtype=np.uint8))).all()
        covered[place] = True
    assert len(np.unique(sheet[~covered])) == 1


def test_grid_is_about_square_unless_told():
    assert grid([noise(2, 2)] * 10, gap_px=0).shape == (3 * 2, 4 * 2, 3)


@pytest.mark.parametrize(
    ("tiles", "options"),
    [
        ([], {}),
        ([noise(2, 2), noise(2, 3)], {}),
        ([noise(2, 2)], {"columns": 0}),
        ([noise(2, 2)], {"zoom": 0}),
        ([noise(2, 2)], {"gap_px": -1}),
    ],
)
def test_grid_that_cannot_be_is_an_error(tiles, options):
    with pytest.raises(ValueError, match=r"tiles|columns"):
        grid(tiles, **options)


def places_of(sheet, picture):
    """Every (top, left) at which the sheet holds the picture, pixel for pixel."""
    height, width = picture.shape[:2]
    corners = (sheet[: -height + 1 or None, : -width + 1 or None] == picture[0, 0]).all(axis=2)
    return [
        (int(y), int(x))
        for y, x in np.argwhere(corners)
        if (sheet[y : y + height, x : x + width] == picture).all()
    ]


def test_strip_holds_every_panel_beside_the_last_and_a_label_above_each():
    panels = [(f"method {i}", noise(140, 150 + i, seed=i)) for i in range(3)]
    sheet = strip(panels)
    places = [places_of(sheet, picture) for _, picture in panels]
    assert [len(found) for found in places] == [1, 1, 1]
    (tops, lefts) = zip(*(found[0] for found in places), strict=True)
    assert len(set(tops)) == 1
    assert list(lefts) == sorted(lefts)
    gap = lefts[0]
    for (top, left), (_, picture) in zip((found[0] for found in places), panels, strict=True):
        assert (sheet[:top, left : left + picture.shape[1]] < 100).any()  # ink
    assert sheet.shape == (tops[0] + 140 + gap, 150 + 151 + 152 + 4 * gap, 3)


def test_strip_gives_a_long_label_the_width_it_needs_and_cuts_one_without_end():
    long = strip([("integrated gradients, 64 steps", noise(130, 130))])
    endless = strip([("w" * 10_000, noise(130, 130))])
    for sheet in (long, endless):
        assert (sheet[:, -3:] == 255).all()  # no ink is lost at the edge
    assert 130 < long.shape[1] < endless.shape[1] < 1000


def test_strip_writes_labels_of_two_lines_and_letters_it_has_no_shape_for():
    one = strip([("a", noise(130, 130))])
    two = strip([("a\nb", noise(130, 130))])
    assert two.shape[0] > one.shape[0]
    assert strip([("chat é 猫 \x00", noise(130, 130))]).shape[0] >= one.shape[0]
    assert strip([("", noise(130, 130))]).shape[1] >= 130


def test_strip_enlarges_tiny_panels_and_shrinks_huge_ones():
    tiny = noise(28, 28)
    zoom = -(-MIN_PANEL_PX // 28)
    assert places_of(strip([("", tiny)]), tiny.repeat(zoom, axis=0).repeat(zoom, axis=1))
    huge = np.full((500, 4 * MAX_PANEL_PX, 3), 7, dtype=np.uint8)
    assert places_of(strip([("", huge)]), np.full((125, MAX_PANEL_PX, 3), 7, dtype=np.uint8))


def test_strip_takes_a_generator_and_refuses_an_empty_one():
    assert strip((str(i), noise(130, 130)) for i in range(2)).shape[1] > 260
    with pytest.raises(ValueError, match="no panels"):
        strip(iter(()))


def test_png_decodes_to_the_same_pixels():
    pixels = noise(37, 53)
    with Image.open(io.BytesIO(png(pixels))) as image:
        assert (image.format, image.mode) == ("PNG", "RGB")
        assert (np.array(image) == pixels).all()
