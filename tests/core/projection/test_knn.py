import numpy as np

from core.projection.knn import nearest
from tests.core.projection.clouds import gaussian


def test_neighbors_are_those_of_brute_force_in_doubles() -> None:
    rows = gaussian(1500, 12)  # more than one block
    exact = np.linalg.norm(rows[:, None].astype(np.float64) - rows[None], axis=2)
    np.fill_diagonal(exact, np.inf)
    indices, distances = nearest(rows, 7)
    np.testing.assert_array_equal(indices, np.argsort(exact, axis=1)[:, :7])
    np.testing.assert_allclose(distances, np.sort(exact, axis=1)[:, :7], rtol=1e-3)


def test_a_row_is_never_its_own_neighbor_even_among_equals() -> None:
    rows = np.repeat(gaussian(3, 4), 20, axis=0)
    indices, distances = nearest(rows, 5)
    assert not (indices == np.arange(60)[:, None]).any()
    assert (indices // 20 == np.arange(60)[:, None] // 20).all()
    assert all(len(set(row)) == 5 for row in indices.tolist())
    np.testing.assert_allclose(distances, 0, atol=1e-2)


def test_neighbors_do_not_depend_on_the_number_of_threads() -> None:
    rows = gaussian(600, 20)
    one, two = nearest(rows, 5, threads=1), nearest(rows, 5, threads=2)
    np.testing.assert_array_equal(one[0], two[0])
    np.testing.assert_array_equal(one[1], two[1])
