import pytest

from core.errors import InvalidValue
from core.projection.methods import METHODS, PCA, TSNE, Method, method_name


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


def test_a_perplexity_below_a_third_of_the_points_is_taken() -> None:
    TSNE(perplexity=30).check(91, 128)


@pytest.mark.parametrize("kind", [PCA, TSNE])
def test_too_few_points_or_features_are_refused(kind: type[Method]) -> None:
    with pytest.raises(InvalidValue, match="at least 4"):
        kind(dims=3).check(3, 128)
    with pytest.raises(InvalidValue, match="at most 2"):
        kind(dims=3).check(100, 2)
