import numpy as np
import pytest

from core.projection.affinities import weights


@pytest.mark.parametrize("perplexity", [1.5, 5, 20])
def test_weights_have_the_perplexity_asked_for_and_fall_with_distance(perplexity: float) -> None:
    distances = np.sort(np.random.default_rng(0).uniform(3, 9, 60))
    found = weights(distances, perplexity)
    assert found.sum() == pytest.approx(1)
    assert (np.diff(found) <= 0).all()
    some = found[found > 0]
    assert np.exp(-(some * np.log(some)).sum()) == pytest.approx(perplexity, rel=1e-4)


@pytest.mark.parametrize("distances", [[2.0, 2.0, 2.0], [0.0, 0.0, 0.0], [1.0, 2.0, 3.0]])
def test_equal_neighbors_or_too_few_of_them_weigh_the_same(distances: list[float]) -> None:
    np.testing.assert_allclose(weights(np.array(distances), 3), 1 / 3)
