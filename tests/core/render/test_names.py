import numpy as np
import pytest

from core.render.names import name_centers

SIDE = 720.0


def covered(center: tuple[float, float], size: tuple[float, float], at: np.ndarray) -> int:
    return int((np.abs(at - center) < np.array(size) / 2).all(axis=1).sum())


def test_a_name_does_not_cover_the_only_point_of_its_label() -> None:
    at = np.random.default_rng(0).uniform(100, 600, (12, 2))
    sizes = [(60.0, 16.0)] * 12
    centers = name_centers(at, np.arange(12), sizes, SIDE, margin=6)
    assert sum(center is not None for center in centers) >= 10
    for index, center in enumerate(centers):
        if center is not None:
            assert not covered(center, sizes[index], at[index : index + 1])
            # and is next to it
            assert np.abs(np.array(center) - at[index]).max() < 60


def test_names_of_a_point_at_each_edge_stay_inside() -> None:
    at = np.array([[0, 300], [720, 320], [300, 0], [350, 720], [0, 0], [720, 720]], dtype=float)
    sizes = [(80.0, 16.0)] * len(at)
    for index, center in enumerate(name_centers(at, np.arange(len(at)), sizes, SIDE, margin=6)):
        assert center is not None
        assert 40 <= center[0] <= SIDE - 40
        assert 8 <= center[1] <= SIDE - 8
        assert not covered(center, sizes[index], at[index : index + 1])


def test_a_large_cloud_has_its_name_in_its_middle() -> None:
    rng = np.random.default_rng(0)
    at = np.concatenate([rng.normal(200, 40, (500, 2)), rng.normal(500, 40, (500, 2))])
    centers = name_centers(at, np.repeat([0, 1], 500), [(60.0, 16.0)] * 2, SIDE, margin=3)
    assert centers[0] == pytest.approx((200, 200), abs=10)
    assert centers[1] == pytest.approx((500, 500), abs=10)


def test_a_label_that_is_all_over_the_map_has_no_name() -> None:
    rng = np.random.default_rng(0)
    at = np.concatenate([rng.uniform(0, 720, (200, 2)), rng.normal(500, 20, (20, 2))])
    centers = name_centers(at, np.repeat([0, 1], [200, 20]), [(60.0, 16.0)] * 2, SIDE, margin=3)
    assert centers[0] is None
    assert centers[1] is not None


def test_names_do_not_overlap_the_first_is_served_first() -> None:
    at = np.full((30, 2), 300.0) + np.random.default_rng(0).normal(0, 5, (30, 2))
    at = np.concatenate([at, [[0.0, 0.0], [700.0, 700.0], [0.0, 700.0], [700.0, 0.0]] * 20])
    of = np.concatenate([np.repeat(np.arange(10), 3), np.full(80, 10)])
    centers = name_centers(at, of, [(90.0, 16.0)] * 10, SIDE, margin=3)
    placed = [center for center in centers if center is not None]
    assert centers[0] is not None
    assert len(placed) >= 3
    for index, one in enumerate(placed):
        for other in placed[index + 1 :]:
            assert abs(one[0] - other[0]) >= 90 or abs(one[1] - other[1]) >= 16


def test_a_name_too_wide_for_the_square_is_left_out() -> None:
    at = np.array([[100.0, 100.0], [600.0, 600.0]])
    assert name_centers(at, np.arange(2), [(800.0, 16.0), (60.0, 16.0)], SIDE, 3)[0] is None
