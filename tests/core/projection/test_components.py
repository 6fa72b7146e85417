import numpy as np
import pytest

from core.projection.components import fit
from tests.core.projection.clouds import gaussian


def test_components_and_their_variances_equal_those_of_the_svd() -> None:
    rows = gaussian(500, 40).astype(np.float64)
    centered = rows - rows.mean(axis=0)
    _, singular, directions = np.linalg.svd(centered, full_matrices=False)
    basis = fit(rows.astype(np.float32), 3)
    signs = np.sign((basis.components * directions[:3]).sum(axis=1))
    np.testing.assert_allclose(basis.components, directions[:3] * signs[:, None], atol=1e-5)
    expected = singular[:3] ** 2 / (singular**2).sum()
    np.testing.assert_allclose(basis.variance_ratio, expected, rtol=1e-5)
    np.testing.assert_allclose(
        basis.spread(rows.astype(np.float32)), centered @ directions[:3].T * signs, atol=1e-4
    )


@pytest.mark.parametrize("solver", ["full", "randomized"])
def test_long_vectors_get_the_same_components(solver: str) -> None:
    rows = gaussian(200, 60) * np.linspace(1, 0, 60, dtype=np.float32) ** 4
    exact = fit(rows, 2)
    wide = np.concatenate([rows, np.zeros((200, 200), np.float32)], axis=1)
    found = fit(wide, 2, max_exact=250 if solver == "full" else 50)
    assert found.solver == solver
    assert exact.solver == "covariance"
    np.testing.assert_allclose(found.components[:, :60], exact.components, atol=1e-5)
    np.testing.assert_allclose(found.variance_ratio, exact.variance_ratio, rtol=1e-4)


def test_the_largest_loading_of_each_component_is_positive() -> None:
    for seed in range(5):
        components = fit(gaussian(50, 8, seed), 3).components
        assert (np.take_along_axis(components, np.abs(components).argmax(1)[:, None], 1) > 0).all()


def test_a_row_has_the_same_coordinates_alone_and_in_a_batch() -> None:
    rows = gaussian(100, 70)
    basis = fit(rows, 3)
    together = basis.coordinates(rows)
    assert all(
        (basis.coordinates(row[None])[0] == one).all()
        for row, one in zip(rows, together, strict=True)
    )
    np.testing.assert_allclose(together, basis.spread(rows), atol=1e-9)


def test_vectors_that_are_all_the_same_lie_in_one_point() -> None:
    rows = np.ones((10, 5), np.float32)
    basis = fit(rows, 2)
    assert (basis.spread(rows) == 0).all()
    assert (basis.variance_ratio == 0).all()
