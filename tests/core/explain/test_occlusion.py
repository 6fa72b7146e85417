import captum.attr
import numpy as np
import pytest
import torch
from torch import Tensor, nn

from core.errors import InvalidValue, TargetOutOfRange
from core.explain.fill import FILLS, filled
from core.explain.occlusion import Occlusion, OcclusionMap, occlude, parse_extent
from core.explain.steps import exhaust
from core.explain.windows import Surface, Windows, coarse
from core.models.loaded import LoadedModel
from core.models.predictions import probabilities
from core.models.runtimes.incremental import ChangedWindows
from tests.core.explain.networks import loaded, network, tiny, view
from tests.pictures import photo


def probability(model: LoadedModel, row: Tensor, target: int) -> float:
    return float(torch.softmax(model.module(row[None]), 1)[0, target])


@pytest.mark.parametrize("fill", FILLS)
def test_occlusion_equals_a_naive_loop(fill: str) -> None:
    model = tiny()
    picture = view(model)
    found = exhaust(occlude(model, picture, Occlusion((8, 10), (6, 7), fill), target=3))  # type: ignore[arg-type]
    normalize = model.spec.preprocess.normalize
    stand_in = normalize(filled(picture, fill))  # type: ignore[arg-type]
    tops, lefts = [0, 6, 12, 18, 24], [0, 7, 14, 21, 22]
    assert (list(found.grid.tops), list(found.grid.lefts)) == (tops, lefts)
    for i, top in enumerate(tops):
        for j, left in enumerate(lefts):
            row = normalize(picture).clone()
            row[:, top : top + 8, left : left + 10] = stand_in[:, top : top + 8, left : left + 10]
            assert found.score_map[i, j] == pytest.approx(probability(model, row, 3), abs=1e-5)
            assert found.class_map[i, j] == int(model.module(row[None]).argmax())
    assert found.baseline == pytest.approx(probability(model, normalize(picture), 3), abs=1e-5)
    assert found.forwards == 26


@pytest.mark.parametrize("name", ["lite0", "resnet18", "vgg11", "densenet"])
def test_occlusion_equals_captums(name: str, request: pytest.FixtureRequest) -> None:
    model = request.getfixturevalue("lite0") if name == "lite0" else network(name)
    picture = view(model)
    size = picture.shape[1]
    window, stride = size // 4, size // 4
    normalize = model.spec.preprocess.normalize
    found = exhaust(occlude(model, picture, Occlusion((window,) * 2, (stride,) * 2), target=7))
    oracle = captum.attr.Occlusion(lambda rows: torch.softmax(model.module(rows), 1))
    with torch.no_grad():
        theirs = oracle.attribute(
            normalize(picture)[None],
            sliding_window_shapes=(3, window, window),
            strides=(3, stride, stride),
            baselines=normalize(filled(picture, "mean"))[None],
            target=7,
        )[0, 0].numpy()
    assert np.abs(found.values - theirs).max() <= 1e-4 * np.abs(theirs).max() + 1e-7


def test_a_window_as_large_as_the_picture_gives_the_drop_to_the_fill() -> None:
    model = tiny()
    picture = view(model)
    found = exhaust(occlude(model, picture, Occlusion((32, 32), (32, 32), "black"), target=1))
    blank = model.spec.preprocess.normalize(filled(picture, "black"))
    drop = found.baseline - probability(model, blank, 1)
    np.testing.assert_allclose(found.values, drop, atol=1e-5)
    assert found.score_map.shape == (1, 1)


def test_one_pixel_of_a_linear_model_by_hand() -> None:
    # Two classes with logits (w . x, 0): p = sigmoid(w . x), and hiding pixel i leaves
    # sigmoid(w . x - w_i (x_i - b)).
    net = nn.Sequential(nn.Flatten(), nn.Linear(16, 2, bias=False))
    weights = torch.arange(16.0) / 50
    net[1].weight.data = torch.stack([weights, torch.zeros(16)])
    model = loaded(net, size=4, classes=2, channels=1)
    picture = view(model)
    found = exhaust(occlude(model, picture, Occlusion((1, 1), (1, 1), "black"), target=0))
    row = model.spec.preprocess.normalize(picture).flatten()
    black = (0 - 0.5) / 0.25
    expected = torch.sigmoid(weights @ row) - torch.sigmoid(weights @ row - weights * (row - black))
    np.testing.assert_allclose(found.values.ravel(), expected.numpy(), atol=1e-5)


def test_every_pixel_is_covered_and_the_last_window_is_flush() -> None:
    grid = Windows.over((224, 200), (32, 48), (20, 48))
    assert grid.tops[-1] == 224 - 32
    assert grid.lefts == (0, 48, 96, 144, 152)
    assert (grid.spread(np.ones(grid.shape, np.float32)) == 1).all()


def test_values_are_averaged_where_windows_overlap() -> None:
    grid = Windows.over((1, 4), (1, 2), (1, 1))
    spread = grid.spread(np.array([[0.0, 2.0, 4.0]], np.float32))
    np.testing.assert_array_equal(spread, [[0, 1, 3, 4]])


@pytest.mark.parametrize(
    ("window", "stride", "name"),
    [((33, 8), (4, 4), "window"), ((0, 8), (1, 1), "window"), ((8, 8), (9, 8), "stride"),
     ((8, 8), (0, 8), "stride")],
)  # fmt: skip
def test_windows_that_do_not_fit_or_leave_gaps_are_refused(
    window: tuple[int, int], stride: tuple[int, int], name: str
) -> None:
    model = tiny()
    with pytest.raises(InvalidValue, match=name):
        exhaust(occlude(model, view(model), Occlusion(window, stride)))


def test_the_cost_is_known_before_it_starts() -> None:
    for mode in ("exact", "adaptive"):
        parameters = Occlusion((8, 8), (4, 4), mode=mode)  # type: ignore[arg-type]
        model = tiny()
        found = exhaust(occlude(model, view(model), parameters))
        assert found.forwards == parameters.forwards((32, 32))
        assert found.forwards == 1 + int(found.evaluated.sum())


def test_progress_rises_from_zero_and_work_can_stop_between_chunks() -> None:
    model = tiny()
    steps = occlude(model, view(model), Occlusion((8, 8), (4, 4)))
    seen = [next(steps) for _ in range(4)]
    assert seen[0] == 0
    assert seen == sorted(seen)
    assert seen[-1] < 1
    steps.close()


def test_an_unknown_class_is_refused() -> None:
    model = tiny()
    with pytest.raises(TargetOutOfRange, match="0 to 9"):
        exhaust(occlude(model, view(model), Occlusion((8, 8), (8, 8)), target=10))


def test_the_default_target_is_the_top_prediction() -> None:
    model = tiny()
    found = exhaust(occlude(model, view(model), Occlusion((16, 16), (16, 16))))
    assert found.target == int(found.logits.argmax())
    assert found.baseline == pytest.approx(float(probabilities(found.logits).max()))


def adaptive_and_exact(model: LoadedModel, name: str) -> tuple[OcclusionMap, OcclusionMap]:
    picture = model.spec.preprocess.view(photo(name))
    return (
        exhaust(occlude(model, picture, Occlusion(mode="adaptive"))),
        exhaust(occlude(model, picture, Occlusion())),
    )


def test_adaptive_agrees_with_exact_where_it_looked(lite0: LoadedModel) -> None:
    adaptive, exact = adaptive_and_exact(lite0, "coffee")
    seen = adaptive.evaluated
    np.testing.assert_allclose(adaptive.score_map[seen], exact.score_map[seen], atol=1e-3)
    assert seen.sum() < 0.75 * seen.size
    ranks = [each.values.ravel().argsort().argsort() for each in (adaptive, exact)]
    assert np.corrcoef(*ranks)[0, 1] > 0.85


def test_the_coarse_pass_holds_every_corner() -> None:
    numbers = coarse((6, 5))
    assert {0, 4, 25, 29} <= set(numbers)


def test_a_smooth_surface_is_guessed_from_half_of_it() -> None:
    rows, cols = np.mgrid[0:13, 0:13]
    truth = np.exp(-((rows - 5) ** 2 + (cols - 8) ** 2) / 20).astype(np.float32)
    surface = Surface((13, 13))
    first = coarse((13, 13))
    surface.note(first, truth.ravel()[first], np.zeros(len(first), int))
    guessed, _ = surface.complete()
    assert np.abs(guessed - truth).max() < 0.05


@pytest.mark.parametrize(("text", "size"), [("32", (32, 32)), ("24x48", (24, 48)), ("8X9", (8, 9))])
def test_extents_are_parsed(text: str, size: tuple[int, int]) -> None:
    assert parse_extent("window", text) == size


@pytest.mark.parametrize("text", ["", "x", "3x", "a", "1x2x3", "-4", "1e3", "٣", "9" * 30])
def test_strange_extents_are_refused(text: str) -> None:
    with pytest.raises(InvalidValue, match="HxW"):
        parse_extent("window", text)


def test_occlusion_computes_what_changes_and_says_how_exact_that_was(lite0: LoadedModel) -> None:
    photo_view = lite0.spec.preprocess.view(photo("coffee"))
    found = exhaust(occlude(lite0, photo_view, Occlusion((32, 32), (32, 32), "blur")))
    assert found.check.incremental
    assert found.check.positions == 3
    assert found.check.max_difference < 1e-5


def test_occlusion_that_disagrees_with_whole_forwards_goes_on_with_those(
    lite0: LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    photo_view = lite0.spec.preprocess.view(photo("coffee"))
    parameters = Occlusion((64, 32), (64, 32))
    expected = exhaust(occlude(lite0, photo_view, parameters))

    def wrong(self: ChangedWindows, changed: Tensor, places: list[object]) -> np.ndarray:
        return np.random.default_rng(0).normal(size=(len(places), 1000)).astype(np.float32)

    monkeypatch.setattr(ChangedWindows, "logits", wrong)
    found = exhaust(occlude(lite0, photo_view, parameters))
    assert not found.check.incremental
    assert found.check.max_difference > 1e-3
    np.testing.assert_allclose(found.score_map, expected.score_map, atol=1e-5)


def test_a_window_that_leaves_nothing_to_save_runs_in_full(lite0: LoadedModel) -> None:
    photo_view = lite0.spec.preprocess.view(photo("coffee"))
    found = exhaust(occlude(lite0, photo_view, Occlusion((160, 160), (16, 16))))
    assert found.grid.shape == (5, 5)
    assert not found.check.incremental


@pytest.mark.parametrize(
    ("size", "window", "stride"),
    [
        ((224, 224), (32, 32), (16, 16)),
        ((299, 299), (32, 32), (16, 16)),
        ((28, 28), (4, 4), (2, 2)),
        ((4, 6), (1, 1), (1, 1)),
    ],
)
def test_the_default_window_fits_small_pictures(
    size: tuple[int, int], window: tuple[int, int], stride: tuple[int, int]
) -> None:
    grid = Occlusion().grid(size)
    assert (grid.window, grid.stride) == (window, stride)
    assert Occlusion(window=(2, 3)).grid(size).stride == (1, 1)
