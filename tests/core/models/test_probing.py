"""What only shows when a network runs is found when it is loaded, and said."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from core.models.loaded import LoadedModel
from core.models.preprocess import Preprocessing
from core.models.probing import probes
from tests.core.models.folders import MANIFEST, VIEW, loaded, net, pictures, refused, written


def test_a_branch_on_the_pictures_values_is_run_by_torch_each_alone(tmp_path: Path) -> None:
    body = "x = -x if x.mean() > 0.2 else x\n" + VIEW
    model = loaded(tmp_path, net(body))
    assert model.runtime.name == "torch"
    assert model.runtime.max_batch == model.rows_at_once == 1
    assert "an `if` on a tensor" in " ".join(model.notes)
    rows = torch.cat([pictures(2) + 2, pictures(2) - 2])
    expected = torch.cat([model.module(row[None]) for row in rows])
    np.testing.assert_allclose(model.runtime(rows).logits, expected.numpy(), atol=1e-5)
    assert not np.allclose(model.module(rows).numpy(), expected.numpy(), atol=1e-2)


WAYS = {
    "bright": ("mean() > 0.5", torch.full((1, 1, 8, 8), 0.9)),
    "bright somewhere": ("max() > 0.8", pictures(1).clamp(-1, 0.9)),
    "beyond any picture": ("max() > 3", torch.full((1, 1, 8, 8), 4.0)),
    "without contrast": ("std() < 0.01", torch.full((1, 1, 8, 8), -0.3)),
    "faint": ("std() < 0.02", -0.9 + 0.01 * pictures(1).clamp(-1, 1)),
    "dark": ("max() < -0.9", -0.95 + 0.02 * pictures(1).clamp(-1, 1)),
    "nothing but zeros": ("max() == 0", torch.zeros(1, 1, 8, 8)),
}
"""A condition of a branch, and a picture for which it holds, as the network sees it."""


@pytest.mark.parametrize("way", WAYS)
def test_every_branch_on_values_is_seen_whichever_way_made_up_pictures_take(
    tmp_path: Path, way: str
) -> None:
    condition, picture = WAYS[way]
    model = loaded(tmp_path, net(f"if x.{condition}:\n    x = x + 1\n" + VIEW))
    assert "an `if` on a tensor" in " ".join(model.notes)
    assert_as_alone_in_torch(model, torch.cat([picture, pictures(2)]))


@pytest.mark.parametrize("way", [way for way in WAYS if way != "beyond any picture"])
@pytest.mark.parametrize("of", ["x", "row"])
def test_a_branch_that_cannot_be_seen_is_found_by_a_picture_that_takes_it(
    tmp_path: Path, way: str, of: str
) -> None:
    """What goes through another library's tensor: only answers can tell."""
    condition, picture = WAYS[way]
    past = "torch.utils.dlpack.from_dlpack(torch.utils.dlpack.to_dlpack({}))"
    bodies = {
        "x": f"if {past.format('x')}.{condition}:\n    x = x + 1\n",
        "row": f"x = torch.stack([r + int({past.format('r')}.{condition}) for r in x])\n",
    }
    model = loaded(tmp_path, net(bodies[of] + VIEW))
    assert model.runtime.name == "torch"
    assert "an `if` on a tensor" not in " ".join(model.notes)
    assert_as_alone_in_torch(model, torch.cat([picture, pictures(2)]))


def assert_as_alone_in_torch(model: LoadedModel, rows: Tensor) -> None:
    expected = torch.cat([model.module(row[None].clone()) for row in rows])
    np.testing.assert_allclose(model.runtime(rows).logits, expected.numpy(), atol=1e-5)


def test_a_branch_that_is_taken_by_two_pictures_only_is_found(tmp_path: Path) -> None:
    model = loaded(tmp_path, net("x = x if len(x) != 2 else x + 1\n" + VIEW))
    assert "each picture is run alone" in " ".join(model.notes)
    assert_as_alone_in_torch(model, pictures(2))


def test_a_branch_that_only_a_batch_comes_to_is_seen(tmp_path: Path) -> None:
    body = "if len(x) > 1 and x.sum() > 1e9:\n    x = -x\n" + VIEW
    assert "an `if` on a tensor" in " ".join(loaded(tmp_path, net(body)).notes)


def test_made_up_pictures_are_what_they_are_called() -> None:
    rows = probes(
        Preprocessing(
            channels=3,
            height=8,
            width=9,
            resize=9,
            interpolation="bilinear",
            mean=(0.4, 0.5, 0.6),
            std=(0.2, 0.25, 0.3),
        )
    )
    levels = rows * torch.tensor([0.2, 0.25, 0.3])[:, None, None]
    levels = levels + torch.tensor([0.4, 0.5, 0.6])[:, None, None]
    black, white, flat, faint, noise, pattern = levels
    assert rows.shape == (6, 3, 8, 9)
    assert float(black.abs().max()) < 1e-6
    assert float((white - 1).abs().max()) < 1e-6
    assert float(rows[2].abs().max()) < 1e-6
    assert flat[:, 0, 0].tolist() == pytest.approx([0.4, 0.5, 0.6])
    assert 0 < float(faint.std()) < 0.01
    for row in (noise, pattern):
        assert float(row.std()) > 0.2
        assert 0 <= float(row.min()) < float(row.max()) <= 1 + 1e-6


@pytest.mark.parametrize(
    "body",
    [
        "x = x - x.mean((0, 2, 3), keepdim=True)\n" + VIEW,
        "x = x - 0.001 * x.mean((0, 2, 3), keepdim=True)\n" + VIEW,
        "x = F.batch_norm(x, None, None, training=True)\n" + VIEW,
        "x = x if len(x) == 1 else -x\n" + VIEW,
    ],
)
def test_nobodys_answer_depends_on_anothers_picture(tmp_path: Path, body: str) -> None:
    model = loaded(tmp_path, net(body))
    assert "each picture is run alone" in " ".join(model.notes)
    together = model.runtime(pictures(3)).logits
    for number, row in enumerate(pictures(3)):
        np.testing.assert_allclose(model.runtime(row[None]).logits[0], together[number], atol=1e-5)
    assert model.rows_at_once == 1


def test_dropout_that_stays_on_is_one_sentence(tmp_path: Path) -> None:
    message = refused(written(tmp_path, net(VIEW.replace("self.fc1(x)", "self.fc1(F.dropout(x))"))))
    assert "something random stays on" in message
    assert "'seed'" in message


def test_one_output_is_noted(tmp_path: Path) -> None:
    manifest = MANIFEST.replace("[0, 1, 2, 3, 4, 5, 6, 7, 8, 9]", '["dog"]')
    model = loaded(tmp_path, net(VIEW).replace("32 * 4, 10", "32 * 4, 1"), manifest)
    assert "always 1" in " ".join(model.notes)


def test_a_network_that_answers_nan_for_a_flat_picture_says_so(tmp_path: Path) -> None:
    body = "x = (x - x.mean((1, 2, 3), keepdim=True)) / x.std((1, 2, 3), keepdim=True)\n" + VIEW
    model = loaded(tmp_path, net(body))
    assert "NaN" in " ".join(model.notes)
    assert np.isnan(model.runtime(torch.zeros(1, 1, 8, 8)).logits).all()
