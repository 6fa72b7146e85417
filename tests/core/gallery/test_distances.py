import numpy as np
import pytest

from core.errors import InvalidValue
from core.gallery.distances import checked, distances
from core.gallery.index.estimates import Estimate, scales_of
from core.gallery.records import Metric
from tests.core.gallery.memory import METRICS, brute


def _rows(count: int, dim: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((count, dim)).astype(np.float32)


def test_distances_are_those_worked_out_by_hand() -> None:
    query = np.array([3, 4], dtype=np.float32)
    rows = np.array([[0, 0], [3, 4], [-4, 3], [-3, -4]], dtype=np.float32)
    assert distances("l2", query, rows).tolist() == [5, 0, np.sqrt(50), 10]
    assert distances("l1", query, rows).tolist() == [7, 0, 8, 14]
    assert distances("cosine", query, rows) == pytest.approx([1, 0, 1, 2], abs=1e-15)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("dim", [1, 3, 100, 1280, 3072])
def test_distances_equal_brute_force(metric: Metric, dim: int) -> None:
    rows, query = _rows(50, dim), _rows(1, dim, 1)[0]
    np.testing.assert_allclose(distances(metric, query, rows), brute(metric, query, rows), 1e-12)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("dim", [1, 2, 7, 128, 1280, 3072])
def test_a_rows_distance_is_the_same_to_the_bit_in_any_company(metric: Metric, dim: int) -> None:
    rows, query = _rows(700, dim), _rows(1, dim, 1)[0]
    together = distances(metric, query, rows)
    alone = np.concatenate([distances(metric, query, rows[i : i + 1]) for i in range(len(rows))])
    backwards = distances(metric, query, rows[::-1])[::-1]
    shifted = distances(metric, query, rows[123:])
    scattered = distances(metric, query, np.asfortranarray(rows))
    for other in (alone, backwards, scattered):
        assert other.tobytes() == together.tobytes()
    assert shifted.tobytes() == together[123:].tobytes()


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("scale", [1e-38, 1e-20, 1e-3, 1.0, 1e5, 1e18, 1e37])
def test_a_vector_is_at_distance_zero_from_itself(metric: Metric, scale: float) -> None:
    rows = _rows(100, 333) * np.float32(scale)
    assert all(distances(metric, row, row[None])[0] == 0 for row in rows)


def test_angles_of_near_duplicates_are_told_apart() -> None:
    base = np.full(64, 1000, dtype=np.float32)
    rows = np.repeat(base[None], 10, axis=0)
    rows[:, 0] += np.arange(10, dtype=np.float32) / 100
    found = distances("cosine", base, rows)
    # sin of the angle is the part across, over the length: 1 - cos = sin^2 / 2 to first order
    across = (rows[:, 0].astype(np.float64) - 1000) * np.sqrt(1 - 1 / 64)
    np.testing.assert_allclose(found, (across / 8000) ** 2 / 2, rtol=1e-4)


def test_a_vector_of_zeros_has_no_angle_and_is_at_distance_one() -> None:
    rows, zeros = _rows(4, 5), np.zeros(5, dtype=np.float32)
    rows[2] = 0
    assert distances("cosine", rows[0], rows)[2] == 1
    assert distances("cosine", zeros, rows).tolist() == [1, 1, 1, 1]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_vector_that_is_not_finite_is_refused(bad: float) -> None:
    with pytest.raises(InvalidValue, match="vector='NaN or infinity'"):
        checked(np.array([1, bad], dtype=np.float32), 2)


def test_a_vector_of_another_length_is_refused_naming_both() -> None:
    with pytest.raises(InvalidValue, match="'3' is not allowed: 4 numbers"):
        checked(np.zeros(3, dtype=np.float32), 4)
    with pytest.raises(InvalidValue, match="'1 x 4' is not allowed: 4 numbers"):
        checked(np.zeros((1, 4), dtype=np.float32), 4)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("dim", [1, 100, 3072])
@pytest.mark.parametrize("scale", [1e-30, 1e-22, 1.0, 1e12, 1e19, 1e36])
def test_an_estimate_never_hides_a_row_that_is_nearer(
    metric: Metric, dim: int, scale: float
) -> None:
    rows = (100 + _rows(300, dim)) * np.float32(scale)  # far from the origin, close together
    query = rows[7]
    estimate = Estimate(metric, query)
    estimates = estimate.of(rows, scales_of(metric, rows))
    true = distances(metric, query, rows)
    for i in range(0, len(rows), 13):
        nearer = true <= true[i]
        assert not (estimates[nearer] > estimate.above(true[i])).any()
        assert not (estimates[nearer] > estimate.within(estimates[i])).any()
