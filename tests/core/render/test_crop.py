"""Where a map of the model's view lies on the whole picture."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.models.preprocess import Preprocessing
from core.render.crop import Crop, bands
from core.render.heat import scale_of
from core.render.overlay import Drawing, draw
from core.types import Frame
from tests.core.render.drawing import STYLES, noise


def unseen(frame, height, width):
    """(height, width) bool: pixels of which no part lies in the model's view."""
    mask = np.ones((height, width), dtype=np.bool_)
    mask[Crop(frame, height, width).seen] = False
    return mask


def preprocessing(height, width, resize):
    return Preprocessing(
        channels=3,
        height=height,
        width=width,
        resize=resize,
        interpolation="bilinear",
        mean=(0.5,) * 3,
        std=(0.5,) * 3,
    )


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
    crop = Crop(preprocessing(40, 40, resize).frame(*shape), *shape)
    whole = np.zeros(shape, dtype=np.float32)
    whole[crop.seen] = crop.project(values)
    # Between the centers of two pixels a bilinear step passes one half at their common edge.
    hot_rows = np.flatnonzero(whole.max(axis=1) > 0.5)
    hot_columns = np.flatnonzero(whole.max(axis=0) > 0.5)
    assert hot_rows.tolist() == list(range(expected[0], expected[1]))
    assert hot_columns.tolist() == list(range(expected[2], expected[3]))


@pytest.mark.parametrize("resize", [60, "stretch"])
@pytest.mark.parametrize("shape", [(120, 200), (233, 157), (1000, 777)])
def test_ramp_stays_the_same_ramp_to_a_fraction_of_a_pixel(shape, resize):
    frame = preprocessing(40, 40, resize).frame(*shape)
    crop = Crop(frame, *shape)
    rows, columns = crop.seen
    for axis, extent in enumerate((rows, columns)):
        centers = np.arange(40, dtype=np.float32) + 0.5
        ramp = np.broadcast_to(centers[:, None] if axis == 0 else centers, (40, 40)).copy()
        laid = crop.project(ramp)
        laid = laid[:, 0] if axis == 0 else laid[0]
        ratio = frame.scaled[axis] / shape[axis]
        expected = (np.arange(extent.start, extent.stop) + 0.5) * ratio - frame.origin[axis]
        np.testing.assert_allclose(laid, np.clip(expected, 0.5, 39.5), atol=1e-3)


def test_projection_of_a_constant_is_that_constant_to_the_edges():
    crop = Crop(preprocessing(40, 40, 60).frame(233, 157), 233, 157)
    laid = crop.project(np.full((40, 40), 0.7, dtype=np.float32))
    np.testing.assert_allclose(laid, 0.7, rtol=1e-6)


def test_projection_in_bands_equals_the_whole():
    values = np.random.default_rng(0).normal(size=(40, 40)).astype(np.float32)
    crop = Crop(preprocessing(40, 40, 60).frame(233, 157), 233, 157)
    rows, _ = crop.seen
    steps = [slice(top, min(top + 7, rows.stop)) for top in range(rows.start, rows.stop, 7)]
    parts = np.concatenate([crop.project(values, step) for step in steps])
    np.testing.assert_allclose(parts, crop.project(values), atol=1e-4)


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
    for margin in Crop(frame, height, width).margins:
        margins[margin] += 1
    assert (margins == mask).all()
    values = np.ones((input_side, input_side), dtype=np.float32)
    laid = Crop(frame, height, width).project(values)
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
    laid = Crop(frame, 10, 10).project(values)
    expected = np.rint(254 * np.clip(laid / high, 0, 1)) / 254 * 255
    np.testing.assert_allclose(drawn[..., 0], expected, atol=1.01)


def test_original_size_without_frame_or_picture_is_an_error():
    with pytest.raises(ValueError, match="needs the frame"):
        draw(np.ones((12, 16)), noise(), Drawing(size="original"), original=noise())
    frame = Frame(scaled=(12, 16), origin=(0, 0), crop=(12, 16))
    with pytest.raises(ValueError, match="needs the frame"):
        draw(np.ones((12, 16)), noise(), Drawing(size="original"), frame=frame)
