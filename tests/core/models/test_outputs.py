"""Networks that end with a softmax, a sigmoid or one number."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import Tensor

from core.explain.gradients import input_gradients
from core.explain.objective import ClassObjective
from core.models.loaded import LoadedModel
from core.models.predictions import probabilities
from core.models.registry import ModelRegistry
from tests.core.models.folders import (
    CPU,
    MANIFEST,
    VIEW,
    loaded,
    net,
    pictures,
    refused,
    written,
)
from tests.tinycnn import SIZE, TinyCNN, tiny_spec


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
    plain = model.module.fc1(torch.from_numpy(model.runtime(pictures()).features))
    expected = torch.softmax(plain, 1).numpy()
    np.testing.assert_allclose(probabilities(model.runtime(pictures()).logits), expected, atol=1e-5)
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
    plain = model.module.fc1(torch.from_numpy(model.runtime(pictures()).features))
    found = probabilities(model.runtime(pictures()).logits)
    np.testing.assert_allclose(found[:, 1], torch.sigmoid(plain)[:, 0].numpy(), atol=1e-5)
    assert (model.num_classes, model.notes) == (2, ())


LABELS = "[0, 1, 2, 3, 4, 5, 6, 7, 8, 9]"
SOFTMAX = "F.softmax(self.fc1(x), 1)"
SIGMOID = "torch.sigmoid(self.fc1(x))"


def ending(last: str, outputs: int = 10) -> str:
    """The tutorial's network with another last line."""
    code = net(VIEW.replace("F.relu(self.fc1(x))", last))
    return code.replace("32 * 4, 10", f"32 * 4, {outputs}")


def with_labels(labels: str) -> str:
    return MANIFEST.replace(LABELS, labels)


def logits_inside(model: LoadedModel, rows: Tensor) -> Tensor:
    """What enters the network's softmax or sigmoid: the linear layer written out."""
    features = torch.from_numpy(model.runtime(rows).features)
    state = model.module.state_dict()
    return features @ state["fc1.weight"].T + state["fc1.bias"]


# ---- guessed ----


@pytest.mark.parametrize("last", [SOFTMAX, "nn.Softmax(dim=-1)(self.fc1(x))"])
def test_a_softmax_is_guessed_and_its_probabilities_are_those_answered(
    tmp_path: Path, last: str, caplog: pytest.LogCaptureFixture
) -> None:
    model = loaded(tmp_path, ending(last))
    expected = torch.softmax(logits_inside(model, pictures()), 1).numpy()
    np.testing.assert_allclose(probabilities(model.runtime(pictures()).logits), expected, atol=1e-5)
    (note,) = model.notes
    assert note.startswith("a guess: it ends with a softmax")
    assert 'activation = "softmax"' in note
    assert '"none" where that is wrong' in note
    assert f"seed: {note}" in [each.getMessage() for each in caplog.records]


def test_a_log_softmax_is_what_it_is(tmp_path: Path) -> None:
    model = loaded(tmp_path, ending("F.log_softmax(self.fc1(x), 1)"))
    inside = logits_inside(model, pictures())
    found = model.runtime(pictures()).logits
    np.testing.assert_allclose(found, torch.log_softmax(inside, 1).numpy(), atol=1e-5)
    np.testing.assert_allclose(probabilities(found), torch.softmax(inside, 1).numpy(), atol=1e-5)
    assert model.notes == ()


@pytest.mark.parametrize(
    "last",
    [SIGMOID, "self.fc1(x).sigmoid_()", "torch.special.expit(self.fc1(x))",
     "torch.sigmoid(self.fc1(x))[:, :, None].flatten(1)"],
)  # fmt: skip
def test_a_sigmoid_for_each_class_is_undone(tmp_path: Path, last: str) -> None:
    model = loaded(tmp_path, ending(last))
    inside = logits_inside(model, pictures())
    found = model.runtime(pictures()).logits
    np.testing.assert_allclose(found, inside.numpy(), atol=1e-4)
    # Bayes: only one of ten independent events is there, given that just one is.
    p = torch.sigmoid(inside).double().numpy()
    only = np.stack(
        [p[:, k] * np.prod(np.delete(1 - p, k, axis=1), axis=1) for k in range(10)], axis=1
    )
    expected = only / only.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(probabilities(found), expected, atol=1e-5)
    assert "a guess: it ends with a sigmoid for each class" in " ".join(model.notes)


def test_one_sigmoid_of_two_labels_is_undone(tmp_path: Path) -> None:
    model = loaded(tmp_path, ending(SIGMOID, 1), with_labels('["cat", "dog"]'))
    expected = torch.sigmoid(logits_inside(model, pictures()))[:, 0].numpy()
    found = probabilities(model.runtime(pictures()).logits)
    np.testing.assert_allclose(found[:, 1], expected, atol=1e-5)
    np.testing.assert_allclose(found[:, 0], 1 - expected, atol=1e-5)
    assert "its one output is the probability of 'dog'" in " ".join(model.notes)


def test_one_output_without_a_sigmoid_is_a_logit(tmp_path: Path) -> None:
    model = loaded(tmp_path, ending("self.fc1(x)", 1), with_labels('["cat", "dog"]'))
    found = model.runtime(pictures()).logits
    inside = logits_inside(model, pictures())[:, 0]
    np.testing.assert_allclose(found[:, 1] - found[:, 0], inside, atol=1e-5)
    np.testing.assert_allclose(probabilities(found)[:, 1], torch.sigmoid(inside), atol=1e-5)
    assert model.notes == ()


@pytest.mark.parametrize("last", ["self.fc1(x)", SIGMOID])
def test_each_of_two_classes_of_one_output_has_a_gradient(tmp_path: Path, last: str) -> None:
    model = loaded(tmp_path, ending(last, 1), with_labels('["cat", "dog"]'))
    cat, dog = input_gradients(
        model, pictures()[:1].repeat(2, 1, 1, 1), [ClassObjective(0), ClassObjective(1)]
    )
    np.testing.assert_allclose(cat.gradient, -dog.gradient, rtol=1e-4, atol=1e-7)
    assert np.abs(dog.gradient).max() > 0


@pytest.mark.parametrize(
    "last", ["F.softmax(900 * self.fc1(x), 1)", "torch.sigmoid(900 * self.fc1(x))"]
)
def test_probabilities_of_0_and_1_are_said_to_hide_the_logits(tmp_path: Path, last: str) -> None:
    model = loaded(tmp_path, ending(last))
    assert "gives some class 0 or 1, as float32 has it" in " ".join(model.notes)
    assert np.isfinite(model.runtime(pictures()).logits).all()


@pytest.mark.parametrize(
    "last", ["F.softmax(F.relu(self.fc1(x)), 1)", "torch.sigmoid(F.relu(self.fc1(x)))"]
)
def test_undoing_what_a_network_ends_with_is_no_activation(tmp_path: Path, last: str) -> None:
    model = loaded(tmp_path, ending(last))
    (found,) = input_gradients(model, pictures()[:1], [ClassObjective(1)], "guided")
    assert found.coverage is not None
    assert found.coverage.unguided == {}


def test_two_sigmoids_that_complete_each_other_are_probabilities(tmp_path: Path) -> None:
    """Their sum is 1: a softmax in another form, and no evidence counts twice."""
    last = "torch.cat((1 - torch.sigmoid(self.fc1(x)), torch.sigmoid(self.fc1(x))), 1)"
    model = loaded(tmp_path, ending(last, 1), with_labels('["cat", "dog"]'))
    expected = torch.sigmoid(logits_inside(model, pictures()))[:, 0].numpy()
    found = probabilities(model.runtime(pictures()).logits)
    np.testing.assert_allclose(found[:, 1], expected, atol=1e-5)


@pytest.mark.parametrize(
    "last",
    [
        "self.fc1(x) * torch.sigmoid(self.fc1(x))",  # a sigmoid inside, not at the end
        "self.fc1(x) * 1e-3 + 0.5",  # small, and no probabilities
        "F.relu(self.fc1(x)) * 1e-4",
        "F.softmax(self.fc1(x), 1) * 5",
        "F.log_softmax(self.fc1(x), 1) + 1",
        "torch.tanh(self.fc1(x))",
    ],
)
def test_what_is_no_probability_is_not_taken_for_one(tmp_path: Path, last: str) -> None:
    model = loaded(tmp_path, ending(last))
    scope = {"torch": torch, "F": torch.nn.functional, "x": pictures()}
    inside = logits_inside(model, pictures())
    scope["self"] = SimpleNamespace(fc1=lambda _: inside)
    np.testing.assert_allclose(model.runtime(pictures()).logits, eval(last, scope), atol=1e-4)
    assert model.notes == ()


def test_outputs_that_may_be_probabilities_are_left_alone_and_noted(tmp_path: Path) -> None:
    model = loaded(tmp_path, ending("F.hardsigmoid(self.fc1(x))"))
    expected = torch.nn.functional.hardsigmoid(logits_inside(model, pictures()))
    np.testing.assert_allclose(model.runtime(pictures()).logits, expected, atol=1e-5)
    (note,) = model.notes
    assert "between 0 and 1 for every made-up picture" in note


UNWATCHED = (
    "from torch.utils._python_dispatch import _get_current_dispatch_mode\n"
    "if _get_current_dispatch_mode() is not None:\n    raise KeyError('not while watched')\n"
)


@pytest.mark.parametrize(
    ("last", "words"),
    [(SOFTMAX, "a guess: it ends with a softmax"), (SIGMOID, "lie between 0 and")],
)
def test_a_network_that_cannot_be_watched_is_judged_by_what_it_puts_out(
    tmp_path: Path, last: str, words: str
) -> None:
    body = UNWATCHED + VIEW.replace("F.relu(self.fc1(x))", last)
    assert words in " ".join(loaded(tmp_path, net(body)).notes)


def test_a_network_of_a_library_is_guessed_as_one_in_a_folder() -> None:
    registry = ModelRegistry()
    module = torch.nn.Sequential(TinyCNN(), torch.nn.Softmax(1))
    registry.register("timm:", lambda *_: (tiny_spec(), module))
    model = registry.load("timm:net", CPU)
    rows = torch.rand(2, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0))
    expected = torch.softmax(TinyCNN()(rows), 1).detach().numpy()
    np.testing.assert_allclose(probabilities(model.runtime(rows).logits), expected, atol=1e-5)
    assert "a guess: it ends with a softmax" in " ".join(model.notes)


def test_a_guess_holds_for_gradients_too(tmp_path: Path) -> None:
    model = loaded(tmp_path, ending(SIGMOID))
    (found,) = input_gradients(model, pictures(1), [ClassObjective(3)])
    plain = loaded(tmp_path / "plain", ending("self.fc1(x)"))
    (expected,) = input_gradients(plain, pictures(1), [ClassObjective(3)])
    np.testing.assert_allclose(found.gradient, expected.gradient, atol=1e-4)


# ---- said ----


@pytest.mark.parametrize(("last", "outputs"), [(SOFTMAX, 10), (SIGMOID, 10), (SIGMOID, 1)])
def test_none_switches_the_guess_off(tmp_path: Path, last: str, outputs: int) -> None:
    labels = LABELS if outputs == 10 else '["cat", "dog"]'
    model = loaded(tmp_path, ending(last, outputs), with_output("none", labels))
    inside = logits_inside(model, pictures())
    expected = torch.softmax(inside, 1) if last == SOFTMAX else torch.sigmoid(inside)
    found = model.runtime(pictures()).logits
    found = found if outputs == 10 else found[:, 1:] - found[:, :1]  # one output is a logit of two
    np.testing.assert_allclose(found, expected.numpy(), atol=1e-5)
    assert model.notes == ()


def test_a_sigmoid_for_each_class_may_be_said(tmp_path: Path) -> None:
    model = loaded(tmp_path, ending(SIGMOID), with_output("sigmoid", LABELS))
    found = model.runtime(pictures()).logits
    np.testing.assert_allclose(found, logits_inside(model, pictures()).numpy(), atol=1e-4)
    assert model.notes == ()


@pytest.mark.parametrize("activation", ["softmax", "sigmoid"])
def test_outputs_that_cannot_be_what_was_said_are_one_sentence(
    tmp_path: Path, activation: str
) -> None:
    code = ending("self.fc1(x) * 9 - 2")
    message = refused(written(tmp_path, code, with_output(activation, LABELS)))
    assert f'[output] activation is "{activation}", which gives 0 to 1' in message


def test_a_wrong_word_is_one_sentence_with_those_there_are(tmp_path: Path) -> None:
    message = refused(written(tmp_path, ending(SOFTMAX), with_output("soft", LABELS)))
    assert "[output] activation: 'soft' is not allowed: one of none, softmax" in message
