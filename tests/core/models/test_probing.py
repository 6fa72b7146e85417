"""What only shows when a network runs is found when it is loaded, and said."""

from pathlib import Path

import numpy as np
import pytest
import torch

from tests.core.models.folders import MANIFEST, VIEW, loaded, net, pictures, refused, written


def test_a_branch_on_the_pictures_values_is_run_by_torch_each_alone(tmp_path: Path) -> None:
    body = "x = -x if x.mean() > 0.2 else x\n" + VIEW
    model = loaded(tmp_path, net(body))
    assert model.runtime.name == "torch"
    assert model.runtime.max_batch == model.rows_at_once == 1
    assert "an `if` on a tensor" in " ".join(model.notes)
    rows = torch.cat([pictures(2) + 2, pictures(2) - 2])
    expected = torch.cat([model.module(row[None]) for row in rows])
    np.testing.assert_allclose(model.forward(rows).logits, expected.numpy(), atol=1e-5)
    assert not np.allclose(model.module(rows).numpy(), expected.numpy(), atol=1e-2)


@pytest.mark.parametrize(
    "body",
    [
        "x = x - x.mean((0, 2, 3), keepdim=True)\n" + VIEW,
        "x = F.batch_norm(x, None, None, training=True)\n" + VIEW,
        "x = x if len(x) == 1 else -x\n" + VIEW,
    ],
)
def test_nobodys_answer_depends_on_anothers_picture(tmp_path: Path, body: str) -> None:
    model = loaded(tmp_path, net(body))
    assert "each picture is run alone" in " ".join(model.notes)
    together = model.forward(pictures(3)).logits
    for number, row in enumerate(pictures(3)):
        np.testing.assert_allclose(model.forward(row[None]).logits[0], together[number], atol=1e-5)
    assert model.rows_at_once == 1


def test_dropout_that_stays_on_is_one_sentence(tmp_path: Path) -> None:
    message = refused(written(tmp_path, net(VIEW.replace("self.fc1(x)", "self.fc1(F.dropout(x))"))))
    assert "something random stays on" in message
    assert "'seed'" in message


@pytest.mark.parametrize("last", ["F.softmax(self.fc1(x), 1)", "torch.softmax(self.fc1(x), -1)"])
def test_outputs_that_are_probabilities_are_noted(tmp_path: Path, last: str) -> None:
    model = loaded(tmp_path, net(VIEW.replace("F.relu(self.fc1(x))", last)))
    assert "probabilities already" in " ".join(model.notes)


def test_one_output_is_noted(tmp_path: Path) -> None:
    manifest = MANIFEST.replace("[0, 1, 2, 3, 4, 5, 6, 7, 8, 9]", '["dog"]')
    model = loaded(tmp_path, net(VIEW).replace("32 * 4, 10", "32 * 4, 1"), manifest)
    assert "always 1" in " ".join(model.notes)


def test_a_network_that_answers_nan_for_a_flat_picture_says_so(tmp_path: Path) -> None:
    body = "x = (x - x.mean((1, 2, 3), keepdim=True)) / x.std((1, 2, 3), keepdim=True)\n" + VIEW
    model = loaded(tmp_path, net(body))
    assert "NaN" in " ".join(model.notes)
    assert np.isnan(model.forward(torch.zeros(1, 1, 8, 8)).logits).all()
