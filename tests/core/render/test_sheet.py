"""Pictures side by side."""

import numpy as np
import pytest

from core.render.sheet import MAX_PANEL_PX, MIN_PANEL_PX, grid, strip
from tests.core.render.drawing import noise


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
