import numpy as np
import pytest

from core.errors import InvalidValue
from core.projection.methods import METHODS, PCA, TSNE, Method, fitting_perplexity, method_name
from core.projection.project import project


@pytest.mark.parametrize("name", METHODS)
def test_a_method_is_known_by_the_name_it_is_made_by(name: str) -> None:
    assert method_name(METHODS[name]()) == name


@pytest.mark.parametrize(
    ("kind", "field", "value"),
    [
        (PCA, "dims", 4),
        (PCA, "seed", -1),
        (TSNE, "dims", 1),
        (TSNE, "seed", 2**32),
        (TSNE, "perplexity", 0.5),
        (TSNE, "perplexity", float("nan")),
        (TSNE, "perplexity", 201),
        (TSNE, "early_exaggeration", 0.9),
        (TSNE, "early_iterations", -1),
        (TSNE, "iterations", 0),
        (TSNE, "metric", "manhattan"),
    ],
)
def test_a_parameter_outside_its_set_is_refused_by_name(
    kind: type[Method], field: str, value: object
) -> None:
    with pytest.raises(InvalidValue) as refused:
        kind(**{field: value})  # type: ignore[arg-type]
    assert refused.value.parameter == field
    assert refused.value.allowed


@pytest.mark.parametrize("n", [3, 30, 90])
def test_a_perplexity_of_a_third_of_the_points_is_refused_with_the_range(n: int) -> None:
    with pytest.raises(InvalidValue, match=f"third of the {n} points") as refused:
        TSNE(perplexity=30).check(n, 128)
    assert refused.value.parameter == "perplexity"


@pytest.mark.parametrize("n", range(4, 100))
def test_the_perplexity_of_who_asked_for_none_always_fits(n: int) -> None:
    chosen = fitting_perplexity(n)
    TSNE(perplexity=chosen).check(n, 128)
    if n > 90:
        assert chosen == TSNE().perplexity == 30
    else:
        with pytest.raises(InvalidValue):
            TSNE(perplexity=chosen + 1).check(n, 128)


@pytest.mark.parametrize("n", [4, 5, 7, 12])
@pytest.mark.parametrize("dims", [2, 3])
def test_the_smallest_maps_can_be_made(n: int, dims: int) -> None:
    vectors = np.random.default_rng(n).normal(size=(n, 16))
    method = TSNE(dims, perplexity=fitting_perplexity(n), iterations=50, early_iterations=50)
    assert np.isfinite(project(vectors, method).coordinates).all()


def test_a_perplexity_below_a_third_of_the_points_is_taken() -> None:
    TSNE(perplexity=30).check(91, 128)


@pytest.mark.parametrize("kind", [PCA, TSNE])
def test_too_few_points_or_features_are_refused(kind: type[Method]) -> None:
    with pytest.raises(InvalidValue, match="at least 4"):
        kind(dims=3).check(3, 128)
    with pytest.raises(InvalidValue, match="at most 2"):
        kind(dims=3).check(100, 2)
