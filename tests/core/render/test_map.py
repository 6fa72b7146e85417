from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from core.errors import InvalidValue
from core.render.map import plot
from core.render.palette import colors
from core.render.view import view
from tests.core.projection.clouds import blobs

ROWS, OF = blobs(50, features=3)
LABELS = [f"blob {of}" for of in OF]


def has(picture: Any, color: tuple[int, int, int], within: int = 0) -> int:
    """How many pixels have the color."""
    return int((np.abs(picture.astype(int) - color).max(axis=2) <= within).sum())


@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize("size_px", [300, 900])
def test_a_map_is_drawn_in_its_labels_colors(dims: int, size_px: int) -> None:
    picture = plot(ROWS[:, :dims], LABELS, size_px=size_px, title="three blobs")
    assert picture.shape == (size_px * 4 // 5, size_px, 3)
    assert picture.dtype == np.uint8
    for color in colors(3):
        # Dots are a little transparent; the legend is not.
        faded = tuple(round(255 - 0.85 * (255 - each)) for each in color)
        assert has(picture[:, : size_px * 4 // 5], faded, within=3) > 25
        assert has(picture[:, size_px * 4 // 5 :], color) > 10


def test_a_map_by_numbers_has_a_color_bar_and_no_legend() -> None:
    values = np.linspace(0, 1, 150)
    picture = plot(ROWS[:, :2], LABELS, values=values, value_name="kept")
    bar = picture[:, 724:744].reshape(-1, 3)
    assert len(np.unique(bar, axis=0)) > 100
    assert not any(has(picture, color) for color in colors(3))


def test_points_lie_where_their_coordinates_say_on_one_scale() -> None:
    at = view(np.array([[0, 0], [4, 0], [0, 2]]), 10, 20, 100).at
    np.testing.assert_allclose(at, [[10, 95], [110, 95], [10, 45]])


def test_three_dimensions_are_seen_turned_but_not_warped() -> None:
    seen = view(np.concatenate([np.eye(3), -np.eye(3)]), 0, 0, 100)
    assert seen.depth is not None
    depths = seen.depth * 2 - 1
    # Three axes at right angles, of length 1, seen from afar: Gauss's theorem on axonometry.
    across = seen.axes[:, 0] + 1j * seen.axes[:, 1]
    assert abs((across**2).sum()) == pytest.approx(0, abs=1e-12)
    assert (np.abs(across) ** 2).sum() == pytest.approx(2)
    assert (depths[:3] > 0).all()  # all three point towards the eye
    assert seen.axes[2, 1] < 0  # and z up


def test_thumbnails_are_whole_and_do_not_cover_one_another() -> None:
    green = np.full((30, 20, 3), (0, 200, 0), np.uint8)
    picture = plot(ROWS[:, :2], LABELS, thumbnails=[green] * 150)
    side, frame = 720 // 22, 720 // 450
    inside = side - 2 * frame
    whole = inside * round(inside * 20 / 30)
    count, rest = divmod(has(picture, (0, 200, 0)), whole)
    assert rest == 0
    assert count > 5


def test_a_point_without_a_thumbnail_is_a_dot() -> None:
    with_none = plot(ROWS[:, :2], LABELS, thumbnails=[None] * 150)
    assert has(with_none, colors(3)[0]) > 0


def test_the_same_map_is_drawn_the_same_from_several_threads() -> None:
    def draw(_: int) -> bytes:
        return plot(ROWS, LABELS, title="again").tobytes()

    with ThreadPoolExecutor(4) as pool:
        assert len(set(pool.map(draw, range(8)))) == 1


@pytest.mark.parametrize("n", [1, 2])
@pytest.mark.parametrize("dims", [2, 3])
def test_one_point_or_equal_points_are_drawn_in_the_middle(n: int, dims: int) -> None:
    picture = plot(np.ones((n, dims)), ["one"] * n, size_px=300)
    assert has(picture[:, :240], (255, 255, 255)) < 240 * 240


@pytest.mark.parametrize("label", ["$x^2$", "_hidden", "日本\n語", "", "x" * 500])
def test_any_label_can_stand_in_the_legend(label: str) -> None:
    legend = plot(ROWS[:, :2], [label] * 150, title=label, size_px=300)[:, 240:]
    without = plot(ROWS[:, :2], ["-"] * 150, title="-", size_px=300)[:, 240:]
    assert has(legend, (0, 114, 178)) > 0  # the label's color
    assert label == "" or not np.array_equal(legend, without)


@pytest.mark.parametrize("size_px", [299, 4001])
def test_a_size_outside_the_limits_is_refused(size_px: int) -> None:
    with pytest.raises(InvalidValue, match="300 to 4000"):
        plot(ROWS, LABELS, size_px=size_px)


@pytest.mark.parametrize(
    ("coordinates", "message"),
    [
        (np.zeros((0, 2)), "expected"),
        (np.zeros((3, 4)), "expected"),
        (np.full((150, 2), np.nan), "NaN"),
        (np.zeros((149, 2)), "149 points and 150"),
    ],
)
def test_what_is_no_map_is_refused(coordinates: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        plot(coordinates, LABELS)
