import numpy as np
import pytest
import sklearn.manifold

from core.projection.quality import Sample, measure, preservation, trustworthiness
from tests.core.projection.clouds import gaussian


@pytest.mark.parametrize("k", [1, 5, 12])
@pytest.mark.parametrize("n", [30, 400])
def test_trustworthiness_equals_that_of_scikit_learn(n: int, k: int) -> None:
    rows = gaussian(n, 10)
    points = rows[:, :2] + gaussian(n, 2, seed=1)
    expected = sklearn.manifold.trustworthiness(rows, points, n_neighbors=k)
    found = trustworthiness(rows, points, k)
    assert found.value == pytest.approx(expected, abs=1e-9)
    assert found.asked == n


def test_sampled_trustworthiness_is_near_the_whole_and_says_so() -> None:
    rows = gaussian(1500, 10)
    points = rows[:, :2] + gaussian(1500, 2, seed=1)
    whole = trustworthiness(rows, points)
    few = Sample(above=1000, size=700)
    found = trustworthiness(rows, points, sample=few, seed=3)
    assert found.asked == 700
    assert found.value == pytest.approx(whole.value, abs=0.01)
    assert found == trustworthiness(rows, points, sample=few, seed=3)


def test_preservation_equals_a_naive_count() -> None:
    rows, points = gaussian(150, 8), gaussian(150, 8)[:, :2]
    found = preservation(rows, points, 10)
    for i in range(150):
        near = [
            set(np.argsort(np.linalg.norm(each - each[i], axis=1), kind="stable")[:11]) - {i}
            for each in (rows.astype(np.float64), points.astype(np.float64))
        ]
        assert found.per_point[i] == pytest.approx(len(near[0] & near[1]) / 10)
    assert found.mean == pytest.approx(found.per_point.mean())


def test_a_map_that_is_the_vectors_themselves_is_perfect() -> None:
    rows = gaussian(100, 3)
    found = measure(rows, rows)
    assert found.trustworthiness.value == 1
    assert found.knn_preservation.mean == 1


def test_a_random_map_of_many_points_keeps_little() -> None:
    found = measure(gaussian(1000, 10), gaussian(1000, 2, seed=1))
    assert found.trustworthiness.value == pytest.approx(0.5, abs=0.03)
    assert found.knn_preservation.mean < 0.05


def test_the_cosine_metric_judges_by_angles() -> None:
    rows = gaussian(200, 3) - 5
    turned = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    assert measure(rows, turned, metric="cosine").knn_preservation.mean == pytest.approx(1)
    assert measure(rows, turned).knn_preservation.mean < 0.8


@pytest.mark.parametrize("n", [4, 5, 11])
def test_few_points_are_judged_by_fewer_neighbors(n: int) -> None:
    found = measure(gaussian(n, 5), gaussian(n, 5)[:, :2])
    assert found.knn_preservation.neighbors == min(10, n - 1)
    assert 0 <= found.trustworthiness.value <= 1


def test_progress_rises_from_zero_to_one() -> None:
    told: list[float] = []
    measure(gaussian(300, 5), gaussian(300, 2), progress=lambda fraction, _: told.append(fraction))
    assert told == sorted(told)
    assert told[-1] == 1


def test_a_map_of_other_rows_is_refused() -> None:
    with pytest.raises(ValueError, match="5 vectors and 6 points"):
        measure(gaussian(5, 5), gaussian(6, 2))
