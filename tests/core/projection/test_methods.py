import numpy as np
import pytest

from core.errors import InvalidValue
from core.projection.method import ProjectionParameters
from core.projection.methods import PROJECTION_METHODS, project, row_of
from core.projection.pca import Pca
from core.projection.tsne import Tsne, fitting_perplexity


@pytest.mark.parametrize("name", PROJECTION_METHODS)
def test_a_method_is_known_by_the_name_it_is_made_by(name: str) -> None:
    assert row_of(PROJECTION_METHODS[name].parameters()).name == name


@pytest.mark.parametrize(
    ("kind", "field", "value"),
    [
        (Pca, "dims", 4),
        (Pca, "seed", -1),
        (Tsne, "dims", 1),
        (Tsne, "seed", 2**32),
        (Tsne, "perplexity", 0.5),
        (Tsne, "perplexity", float("nan")),
        (Tsne, "perplexity", 201),
        (Tsne, "early_exaggeration", 0.9),
        (Tsne, "early_iterations", -1),
        (Tsne, "iterations", 0),
        (Tsne, "metric", "manhattan"),
    ],
)
def test_a_parameter_outside_its_set_is_refused_by_name(
    kind: type[ProjectionParameters], field: str, value: object
) -> None:
    with pytest.raises(InvalidValue) as refused:
        kind(**{field: value})  # type: ignore[arg-type]
    assert refused.value.parameter == field
    assert refused.value.allowed


@pytest.mark.parametrize("n", [3, 30, 90])
def test_a_perplexity_of_a_third_of_the_points_is_refused_with_the_range(n: int) -> None:
    with pytest.raises(InvalidValue, match=f"third of the {n} points") as refused:
        Tsne(perplexity=30).check(n, 128)
    assert refused.value.parameter == "perplexity"


@pytest.mark.parametrize("n", range(4, 100))
def test_the_perplexity_of_who_asked_for_none_always_fits(n: int) -> None:
    chosen = fitting_perplexity(n)
    Tsne(perplexity=chosen).check(n, 128)
    if n > 90:
        assert chosen == Tsne().perplexity == 30
    else:
        with pytest.raises(InvalidValue):
            Tsne(perplexity=chosen + 1).check(n, 128)


@pytest.mark.parametrize("n", [4, 5, 7, 12])
@pytest.mark.parametrize("dims", [2, 3])
def test_the_smallest_maps_can_be_made(n: int, dims: int) -> None:
    vectors = np.random.default_rng(n).normal(size=(n, 16))
    method = Tsne(dims, perplexity=fitting_perplexity(n), iterations=50, early_iterations=50)
    assert np.isfinite(project(vectors, method).coordinates).all()


def test_a_perplexity_below_a_third_of_the_points_is_taken() -> None:
    Tsne(perplexity=30).check(91, 128)


@pytest.mark.parametrize("kind", [Pca, Tsne])
def test_too_few_points_or_features_are_refused(kind: type[ProjectionParameters]) -> None:
    with pytest.raises(InvalidValue, match="at least 4"):
        kind(dims=3).check(3, 128)
    with pytest.raises(InvalidValue, match="at most 2"):
        kind(dims=3).check(100, 2)
