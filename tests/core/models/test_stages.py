import numpy as np
import pytest
import torch

from core.explain import occlusion as occlusion_module
from core.explain.base import exhaust
from core.explain.occlusion import Occlusion, occlude
from core.models.loaded import LoadedModel
from core.models.stages import Incremental
from tests.core.explain.networks import network, tiny
from tests.pictures import photo

CORNERS_AND_MIDDLE = [0, 8, 88, 176, 192]


@pytest.mark.parametrize(("height", "width"), [(32, 32), (16, 24), (5, 31)])
def test_logits_in_stages_equal_those_in_full(lite0: LoadedModel, height: int, width: int) -> None:
    stages = lite0.stages
    assert stages is not None
    row = lite0.spec.preprocess(photo("chelsea"))
    starts = [min(start, 224 - max(height, width)) for start in CORNERS_AND_MIDDLE]
    rows = [(start, start + height) for start in starts]
    cols = [(start, start + width) for start in starts]
    fill = np.zeros(row.shape, np.float32)
    windows = [(r, c) for r in rows for c in cols]
    ours = Incremental(stages, row.numpy(), rows, cols).logits(fill, windows)
    hidden = row.repeat(len(windows), 1, 1, 1)
    for each, (r, c) in zip(hidden, windows, strict=True):
        each[:, slice(*r), slice(*c)] = 0
    np.testing.assert_allclose(ours, lite0.forward(hidden).logits, atol=1e-4)


def test_occlusion_uses_stages_and_says_how_exact_they_were(lite0: LoadedModel) -> None:
    view = lite0.spec.preprocess.view(photo("coffee"))
    found = exhaust(occlude(lite0, view, Occlusion((32, 32), (32, 32))))
    assert found.check.incremental
    assert found.check.positions == 4
    assert found.check.max_difference < 1e-5


def test_stages_that_disagree_are_not_used(
    lite0: LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    view = lite0.spec.preprocess.view(photo("coffee"))
    parameters = Occlusion((64, 32), (64, 32))
    expected = exhaust(occlude(lite0, view, parameters))

    def wrong(self: Incremental, fill: np.ndarray, windows: list[object]) -> np.ndarray:
        return np.random.default_rng(0).normal(size=(len(windows), 1000)).astype(np.float32)

    monkeypatch.setattr(occlusion_module.Incremental, "logits", wrong)
    found = exhaust(occlude(lite0, view, parameters))
    assert not found.check.incremental
    assert found.check.max_difference > 1e-3
    np.testing.assert_allclose(found.score_map, expected.score_map, atol=1e-5)


def test_a_network_without_such_strides_runs_in_full() -> None:
    model = tiny()
    assert model.stages is None
    view = torch.zeros(3, 32, 32, dtype=torch.uint8)
    assert not exhaust(occlude(model, view, Occlusion((8, 8), (8, 8)))).check.incremental


def test_a_window_that_leaves_nothing_to_save_runs_in_full() -> None:
    model = network("resnet18")
    view = torch.zeros(3, 64, 64, dtype=torch.uint8)
    assert not exhaust(occlude(model, view, Occlusion((48, 48), (16, 16)))).check.incremental
