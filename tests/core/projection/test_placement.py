import numpy as np
import pytest
from numpy.typing import NDArray

from core.projection.method import Placer, Projection, ProjectionParameters
from core.projection.methods import project
from core.projection.pca import Pca, PcaPlacer
from core.projection.placement import from_bytes, place, to_bytes
from core.projection.tsne import Tsne
from core.projection.tsne_placer import TsnePlacer
from core.types import FloatArray
from tests.core.projection.clouds import blobs

LAYOUTS = [
    Pca(),
    Pca(dims=3),
    Tsne(perplexity=10, early_iterations=100, iterations=100),
    Tsne(dims=3, perplexity=10, early_iterations=60, iterations=60, metric="cosine"),
]


@pytest.fixture(scope="module", params=LAYOUTS, ids=str)
def made(request: pytest.FixtureRequest) -> Projection:
    parameters: ProjectionParameters = request.param
    return project(blobs(40)[0], parameters)


def placer(made: Projection) -> Placer:
    assert made.placer is not None
    return made.placer


def test_a_vector_falls_on_the_same_spot_alone_and_in_a_batch(made: Projection) -> None:
    new, _ = blobs(11, seed=1)
    together = place(placer(made), new)
    alone = np.concatenate([place(placer(made), row[None]) for row in new])
    assert together.shape == (33, made.coordinates.shape[1])
    assert (together == alone).all()
    assert (place(placer(made), new[::-1])[::-1] == together).all()


def test_placing_moves_nothing(made: Projection) -> None:
    before, coordinates = to_bytes(placer(made)), made.coordinates.copy()
    place(placer(made), blobs(5, seed=2)[0])
    assert to_bytes(placer(made)) == before
    assert (made.coordinates == coordinates).all()


def test_a_vector_of_the_map_falls_on_its_own_point(made: Projection) -> None:
    rows, _ = blobs(40)
    np.testing.assert_allclose(place(placer(made), rows), made.coordinates, atol=1e-4)


def test_a_new_vector_falls_among_its_own_kind(made: Projection) -> None:
    new, kind = blobs(20, seed=3)
    _, of = blobs(40)
    placed = place(placer(made), new)
    apart = np.linalg.norm(placed[:, None] - made.coordinates[None], axis=2)
    assert (of[apart.argmin(axis=1)] == kind).all()


def test_a_placement_read_from_its_bytes_places_the_same(made: Projection) -> None:
    new, _ = blobs(5, seed=4)
    content = to_bytes(placer(made))
    again = from_bytes(content, type(placer(made)).of)  # type: ignore[attr-defined]
    assert to_bytes(again) == content
    assert (place(again, new) == place(placer(made), new)).all()


def test_a_vector_between_two_clusters_falls_in_one_of_them_and_not_in_the_void() -> None:
    references = np.concatenate([np.eye(2)] * 20).astype(np.float32)
    coordinates = references * 100 + np.random.default_rng(0).normal(0, 1, (40, 2))
    state = TsnePlacer("euclidean", 10, None, references, coordinates.astype(np.float32))
    placed = place(state, np.array([[0.5, 0.5]], np.float32))
    assert np.linalg.norm(coordinates - placed, axis=1).min() < 2


@pytest.mark.parametrize("seed", range(5))
def test_where_a_vector_falls_has_the_least_energy_of_a_fine_raster_around(seed: int) -> None:
    random = np.random.default_rng(seed)
    references = random.standard_normal((15, 4)).astype(np.float32)
    coordinates = random.normal(0, 1.5, (15, 2)).astype(np.float32)
    state = TsnePlacer("euclidean", 5, None, references, coordinates)
    placed = place(state, np.zeros((1, 4), np.float32))[0]
    axis = np.linspace(-0.5, 0.5, 51)
    raster = placed + np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
    apart = np.square(raster[:, None] - coordinates).sum(axis=2)
    five = np.linalg.norm(references, axis=1).argsort()[:5]
    pull = 1.5 * np.log1p(apart[:, five]).mean(axis=1)
    energy = pull + np.log((1 / (1 + apart)).sum(axis=1))
    np.testing.assert_allclose(raster[energy.argmin()], placed, atol=0.001)


@pytest.mark.parametrize("dims", [2, 3])
def test_a_vector_like_no_other_stays_within_the_map(dims: int) -> None:
    random = np.random.default_rng(2)
    references = random.standard_normal((60, 8)).astype(np.float32)
    coordinates = random.normal(0, 2, (60, dims)).astype(np.float32)  # its neighbors lie anywhere
    state = TsnePlacer("euclidean", 19, None, references, coordinates)
    placed = place(state, 30 * random.standard_normal((50, 8)))
    assert (np.abs(placed) <= 1.1 * np.abs(coordinates).max(axis=0)).all()


@pytest.mark.parametrize("n", [4, 5, 6])
def test_a_map_of_a_handful_of_points_takes_new_ones(n: int) -> None:
    rows = np.random.default_rng(0).standard_normal((n, 6)).astype(np.float32)
    made = project(rows, Tsne(perplexity=1, iterations=100))
    placed = place(placer(made), rows + np.float32(0.3))
    assert np.isfinite(placed).all()
    assert (np.abs(placed) <= 2 * np.abs(made.coordinates).max()).all()


def test_points_that_are_all_one_take_new_ones_on_the_same_spot() -> None:
    references = np.ones((20, 3), np.float32)
    state = TsnePlacer("euclidean", 5, None, references, np.full((20, 2), 7, np.float32))
    np.testing.assert_allclose(place(state, np.zeros((1, 3))), 7, atol=1e-4)


def dogs_and_things() -> tuple[FloatArray, FloatArray, NDArray[np.bool_]]:
    """58 dogs of eleven breeds around 60 things alike, 19 more dogs, and which of the 118 are dogs.

    As a collection of one subject and "the rest" is: dogs differ from one another as much as from
    things, and each has few of its breed.
    """
    random = np.random.default_rng(1)
    breeds = 1.2 * random.standard_normal((11, 60))
    dogs = breeds[np.arange(77) % 11] + random.standard_normal((77, 60))
    things = random.standard_normal((60, 60))
    known = np.concatenate([dogs[:58], things]).astype(np.float32)
    return known, dogs[58:].astype(np.float32), np.arange(118) < 58


def test_new_dogs_fall_among_the_dogs_of_a_small_collection() -> None:
    known, new, is_dog = dogs_and_things()
    made = project(known, Tsne(perplexity=39, iterations=250))
    agreed = np.mean(
        votes(made.coordinates, place(placer(made), new), is_dog) == votes(known, new, is_dog)
    )
    assert agreed >= 0.9


def votes(known: FloatArray, new: FloatArray, is_dog: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Of each new row, whether most of its five nearest are dogs."""
    apart = np.linalg.norm(new[:, None] - known[None], axis=2)
    return np.asarray(is_dog[apart.argsort(axis=1)[:, :5]].sum(axis=1) >= 3)


@pytest.mark.parametrize("dims", [2, 3])
def test_neighbors_beyond_the_fifth_do_not_pull(dims: int) -> None:
    # Ninety that are hardly farther than the five: what perplexity 30 looks at in a small map.
    references = np.concatenate([np.full((5, 1), 1.0), np.full((90, 1), 1.01)]).astype(np.float32)
    random = np.random.default_rng(0)
    centers = np.repeat([[8.0] * dims, [0.0] * dims], [5, 90], axis=0)
    coordinates = (centers + random.normal(0, 1, centers.shape)).astype(np.float32)
    state = TsnePlacer("euclidean", 30, None, references, coordinates)
    placed = place(from_bytes(to_bytes(state), TsnePlacer.of), np.zeros((1, 1), np.float32))
    assert np.linalg.norm(placed - 8) < np.linalg.norm(placed)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"nonsense" * 100])
def test_bytes_that_are_no_placement_are_refused(content: bytes) -> None:
    with pytest.raises(ValueError, match="not a placement"):
        from_bytes(content, PcaPlacer.of)


def test_a_placement_cut_short_is_refused(made: Projection) -> None:
    with pytest.raises(ValueError, match="not a placement"):
        from_bytes(to_bytes(placer(made))[:-200], type(placer(made)).of)  # type: ignore[attr-defined]


def test_vectors_of_another_length_are_refused(made: Projection) -> None:
    with pytest.raises(ValueError, match="59 values in a map of 60"):
        place(placer(made), np.zeros((1, 59), np.float32))
