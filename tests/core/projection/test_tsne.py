from typing import Any

import numpy as np
import pytest
from sklearn.neighbors import KNeighborsClassifier

from core.errors import InvalidValue
from core.projection.method import ProjectionParameters
from core.projection.methods import project
from core.projection.pca import Pca
from core.projection.tsne import Switch, Tsne, lay_out, schedule
from core.projection.vectors import Cancelled, ignored
from tests.core.projection.clouds import blobs, gaussian

QUICK = Tsne(perplexity=10, early_iterations=60, iterations=60)


def quick(**fields: Any) -> Tsne:
    return Tsne(**{"perplexity": 10, "early_iterations": 60, "iterations": 60} | fields)


@pytest.mark.parametrize("dims", [2, 3])
def test_three_clouds_come_out_as_three_clusters(dims: int) -> None:
    rows, of = blobs(40)
    found = project(rows, quick(dims=dims, early_iterations=100, iterations=200))
    assert found.coordinates.shape == (120, dims)
    centers = np.stack([found.coordinates[of == blob].mean(axis=0) for blob in range(3)])
    radius = max(
        np.linalg.norm(found.coordinates[of == blob] - centers[blob], axis=1).max()
        for blob in range(3)
    )
    apart = min(np.linalg.norm(centers[i] - centers[i - 1]) for i in range(3))
    assert apart > 2 * radius
    judge = KNeighborsClassifier(10).fit(found.coordinates, of)
    assert judge.score(found.coordinates, of) == 1
    assert np.isfinite(found.extras["kl_divergence"])


@pytest.mark.parametrize("switch", [Switch(), Switch(0, 0, 10)], ids=["tree", "grids"])
def test_the_map_is_the_same_twice_and_with_any_number_of_threads(switch: Switch) -> None:
    rows, _ = blobs(60)
    method = quick(early_iterations=30, iterations=30)
    maps = [lay_out(method, rows, threads, ignored, switch).coordinates for threads in (1, 2, 2)]
    assert (maps[0] == maps[1]).all()
    assert (maps[1] == maps[2]).all()


def test_another_seed_gives_another_map() -> None:
    rows, _ = blobs(20)
    one, two = (project(rows, quick(seed=seed)).coordinates for seed in (0, 1))
    assert (one != two).any()


def test_the_schedule_has_all_iterations_asked_for_and_ends_exactly() -> None:
    for n in (100, 10_000, 50_000):
        for late in (1, 100, 500):
            phases = schedule(Tsne(early_iterations=70, iterations=late), n)
            assert sum(phase.iterations for phase in phases) == 70 + late
            assert all(phase.iterations for phase in phases)
            assert phases[-1].gradient != "coarse grid"
            assert [phase.exaggeration for phase in phases][-1] == 1
    assert {each.gradient for each in schedule(Tsne(dims=3), 50_000)} == {"tree"}
    assert schedule(Tsne(early_iterations=0), 50_000)[0].exaggeration == 1


def test_the_cosine_metric_does_not_see_lengths() -> None:
    rows, _ = blobs(30)
    rows += 3
    longer = rows * np.exp2(np.arange(90) % 5, dtype=np.float32)[:, None]  # exact in floats
    one, two = (project(each, quick(metric="cosine")).coordinates for each in (rows, longer))
    np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize(
    "rows",
    [np.ones((60, 70), np.float32), np.zeros((60, 3), np.float32), np.eye(60, dtype=np.float32)],
)
@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
def test_equal_or_equally_far_vectors_still_make_a_finite_map(rows: Any, metric: Any) -> None:
    assert np.isfinite(project(rows, quick(metric=metric)).coordinates).all()


@pytest.mark.parametrize("method", [Pca(), QUICK])
def test_progress_rises_from_zero_to_one(method: ProjectionParameters) -> None:
    told: list[tuple[float, str]] = []
    project(blobs(30)[0], method, progress=lambda *each: told.append(each))
    fractions = [fraction for fraction, _ in told]
    assert fractions == sorted(fractions)
    assert fractions[0] == 0
    assert fractions[-1] == 1
    if method is QUICK:
        texts = {text for _, text in told}
        wanted = {"principal components", "nearest neighbors", "early exaggeration", "optimization"}
        assert wanted <= texts


@pytest.mark.parametrize("stop_at", [0.0, 0.02, 0.08, 0.3, 0.9])
def test_a_progress_callback_stops_the_work_by_raising(stop_at: float) -> None:
    def told(fraction: float, _text: str) -> None:
        if fraction >= stop_at:
            raise Cancelled

    with pytest.raises(Cancelled):
        project(blobs(30)[0], QUICK, progress=told)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_vectors_that_are_not_finite_are_refused(value: float) -> None:
    rows = gaussian(100, 5)
    rows[3, 2] = value
    with pytest.raises(ValueError, match="NaN or infinity"):
        project(rows, Pca())


def test_parameters_that_do_not_fit_are_refused_before_any_work() -> None:
    with pytest.raises(InvalidValue, match="perplexity"):
        project(gaussian(20, 5), Tsne(), progress=lambda *_: pytest.fail("began"))
