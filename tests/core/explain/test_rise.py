import numpy as np
import pytest
import torch
from torch import nn

from core.errors import InvalidValue, TargetOutOfRange
from core.explain.fill import filled
from core.explain.rise import Rise, masks, rise
from core.explain.steps import exhaust
from tests.core.explain.networks import loaded, tiny, view


class Corner(nn.Module):
    """The logit of class 1 is the mean brightness of the upper left quarter, times 8."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(1, 2, bias=False)
        self.fc.weight = nn.Parameter(torch.tensor([[0.0], [8.0]]))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(x[:, :, :16, :16].mean((1, 2, 3))[:, None])


def test_masks_are_cells_enlarged_smoothly_and_shifted() -> None:
    parameters = Rise(cell=8, probability=0.3)
    drawn = masks(parameters, 400, (32, 24), torch.Generator().manual_seed(1))
    assert drawn.shape == (400, 1, 32, 24)
    assert drawn.min() >= 0
    assert drawn.max() <= 1
    assert drawn.mean() == pytest.approx(0.3, abs=0.02)
    steps = (drawn[..., 1:, :] - drawn[..., :-1, :]).abs()
    assert steps.max() <= 1 / 8 + 1e-6  # from one cell to the next it takes a cell's side
    assert len({tuple(each.flatten().tolist()) for each in drawn}) == 400


def test_the_map_is_the_mean_of_probability_times_centered_mask_by_a_plain_loop() -> None:
    model, parameters = tiny(), Rise(samples=20, cell=9, probability=0.4, fill="blur", seed=7)
    picture = view(model)
    found = exhaust(rise(model, picture, parameters, target=2))
    normalize = model.spec.preprocess.normalize
    row, stand_in = normalize(picture), normalize(filled(picture, "blur"))
    generator = torch.Generator().manual_seed(7)
    seen = []
    for _ in range(20):
        mask = masks(parameters, 1, (32, 32), generator)[0]
        logits = model.module((row * mask + stand_in * (1 - mask))[None])
        score = float(logits.softmax(1)[0, 2].detach())
        seen.append(score * (mask[0].double().numpy() / 0.4 - 1))
    assert np.allclose(found.values, np.mean(seen, 0), atol=1e-5)
    error = np.std(seen, 0, ddof=1) / np.sqrt(20)
    assert np.allclose(found.error, error, atol=1e-5)
    assert found.target == 2


def test_masks_do_not_depend_on_how_many_run_at_once() -> None:
    parameters = Rise(cell=8)
    together = masks(parameters, 6, (32, 32), torch.Generator().manual_seed(3))
    generator = torch.Generator().manual_seed(3)
    alone = torch.cat([masks(parameters, 1, (32, 32), generator) for _ in range(6)])
    assert torch.equal(together, alone)


def test_what_the_network_looks_at_is_found_within_the_standard_error() -> None:
    model = loaded(Corner(), 32, 2)
    picture = torch.full((3, 32, 32), 255, dtype=torch.uint8)
    few = exhaust(rise(model, picture, Rise(samples=200, fill="black"), target=1))
    many = exhaust(rise(model, picture, Rise(samples=2000, fill="black", seed=5), target=1))
    inside, outside = many.values[4:12, 4:12].mean(), many.values[20:28, 20:28].mean()
    assert inside - outside > 5 * many.error.mean()
    assert many.error.mean() < few.error.mean() / 2
    off = np.abs(few.values - many.values) / np.hypot(few.error, many.error)
    assert np.mean(off < 3) > 0.97


def test_a_wrong_class_cell_or_number_is_refused() -> None:
    model = tiny()
    with pytest.raises(TargetOutOfRange):
        exhaust(rise(model, view(model), Rise(samples=2), target=10))
    with pytest.raises(InvalidValue, match="1 to 32"):
        exhaust(rise(model, view(model), Rise(samples=2, cell=33), target=1))
    with pytest.raises(InvalidValue, match="2 to 20000"):
        Rise(samples=1)
