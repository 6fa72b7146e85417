"""Networks that end with a softmax, a sigmoid or one number."""

from pathlib import Path

import numpy as np
import pytest
import torch

from core.explain.base import ClassObjective
from core.explain.gradients import input_gradients
from core.models.predictions import probabilities
from tests.core.models.folders import MANIFEST, VIEW, loaded, net, pictures, refused, written


def with_output(activation: str, labels: str) -> str:
    manifest = MANIFEST.replace("[0, 1, 2, 3, 4, 5, 6, 7, 8, 9]", labels)
    return f'{manifest}[output]\nactivation = "{activation}"\n'


@pytest.mark.parametrize(
    ("last", "activation"),
    [("F.softmax(self.fc1(x), 1)", "softmax"), ("F.log_softmax(self.fc1(x), 1)", "log_softmax")],
)
def test_probabilities_that_the_network_means_are_those_answered(
    tmp_path: Path, last: str, activation: str
) -> None:
    code = net(VIEW.replace("F.relu(self.fc1(x))", last))
    labels = "[0, 1, 2, 3, 4, 5, 6, 7, 8, 9]"
    model = loaded(tmp_path, code, with_output(activation, labels))
    plain = model.module.fc1(torch.from_numpy(model.forward(pictures()).features))
    expected = torch.softmax(plain, 1).numpy()
    np.testing.assert_allclose(probabilities(model.forward(pictures()).logits), expected, atol=1e-5)
    assert model.notes == ()
    (found,) = input_gradients(model, pictures(1), [ClassObjective(3)])
    assert np.abs(found.gradient).max() > 0


@pytest.mark.parametrize(
    ("last", "activation"),
    [("self.fc1(x)", "none"), ("torch.sigmoid(self.fc1(x))", "sigmoid")],
)
def test_one_output_is_the_second_of_two_labels(tmp_path: Path, last: str, activation: str) -> None:
    code = net(VIEW.replace("F.relu(self.fc1(x))", last)).replace("32 * 4, 10", "32 * 4, 1")
    model = loaded(tmp_path, code, with_output(activation, '["cat", "dog"]'))
    plain = model.module.fc1(torch.from_numpy(model.forward(pictures()).features))
    found = probabilities(model.forward(pictures()).logits)
    np.testing.assert_allclose(found[:, 1], torch.sigmoid(plain)[:, 0].numpy(), atol=1e-5)
    assert (model.num_classes, model.notes) == (2, ())


def test_a_sigmoid_for_each_of_many_labels_is_one_sentence(tmp_path: Path) -> None:
    labels = "[0, 1, 2, 3, 4, 5, 6, 7, 8, 9]"
    message = refused(written(tmp_path, net(VIEW), with_output("sigmoid", labels)))
    assert "[output] activation" in message
