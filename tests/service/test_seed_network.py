"""The first network that everyone writes, served from its folder: every answer by plain loops."""

import io
import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from fastapi.testclient import TestClient
from PIL import Image
from safetensors.torch import save_file

from core.engine import Engine
from service.app import create_app
from tests.conftest import settings, wait_until_ready
from tests.service.plain_loops import (
    BIASES,
    CODE,
    FILTERS,
    MANIFEST,
    OFFSETS,
    PICTURE,
    SILENT,
    TOP,
    WEIGHTS,
    Array,
    back_to_picture,
    forward,
    of_class,
    seen,
)

MODELS = {"seed-pth": "model.pth", "seed-safetensors": "model.safetensors"}


def test_the_picture_and_the_weights_try_every_case() -> None:
    """Else a mistake in one of them would go unseen."""
    found = seen()
    assert found.summed[TOP] > 0 > found.summed[SILENT]
    assert 0.2 < (found.convolved > 0).mean() < 0.8
    assert 0.2 < (WEIGHTS[TOP] > 0).mean() < 0.8
    plain, guided = of_class(found, TOP), of_class(found, TOP, guided=True)
    assert np.abs(plain - guided).max() > 0.1


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """The service with the network twice: saved by `torch.save` and as safetensors."""
    directory = tmp_path_factory.mktemp("models")
    state = {
        "conv1.weight": torch.from_numpy(FILTERS[:, None].copy()),
        "conv1.bias": torch.from_numpy(BIASES),
        "fc1.weight": torch.from_numpy(WEIGHTS),
        "fc1.bias": torch.from_numpy(OFFSETS),
    }
    for name, weights in MODELS.items():
        folder = directory / name
        folder.mkdir()
        (folder / "net.py").write_text(CODE)
        (folder / "model.toml").write_text(MANIFEST.replace("{weights}", weights))
        if weights.endswith(".pth"):
            torch.save(state, folder / weights)
        else:
            save_file(state, folder / weights)
    chosen = settings(models=",".join(MODELS), models_dir=str(directory))
    engine = Engine(chosen.engine_config())
    with TestClient(create_app(chosen, engine)) as client:
        wait_until_ready(client, engine)
        yield client


class Asking(NamedTuple):
    """Asks one model about the picture."""

    client: TestClient
    model: str

    def json(self, path: str, **params: object) -> dict[str, Any]:
        found: dict[str, Any] = self._answer(path, params).json()
        return found

    def npy(self, path: str, **params: object) -> Array:
        answer = self._answer(path, params | {"format": "npy"})
        return np.load(io.BytesIO(answer.content)).astype(float)

    def _answer(self, path: str, params: dict[str, object]) -> Any:
        file = io.BytesIO()
        Image.fromarray(PICTURE).save(file, "PNG")
        answer = self.client.post(
            f"/v1/{path}",
            params={"model": self.model} | params,  # type: ignore[arg-type]
            content=file.getvalue(),
            headers={"Content-Type": "image/png"},
        )
        assert answer.status_code == 200, answer.text
        return answer


@pytest.fixture(params=MODELS)
def ask(client: TestClient, request: pytest.FixtureRequest) -> Asking:
    return Asking(client, request.param)


def close(found: Any, expected: Any, atol: float = 1e-5) -> None:
    np.testing.assert_allclose(np.asarray(found, float), expected, atol=atol)


def test_classes_and_probabilities(ask: Asking) -> None:
    found = ask.json("classify", top_k=10)["predictions"]
    order = np.argsort(-seen().logits, kind="stable")
    assert [each["class_index"] for each in found] == order.tolist()
    close([each["logit"] for each in found], seen().logits[order])
    close([each["probability"] for each in found], seen().probabilities[order])


def test_features_are_what_enters_the_linear_layer(ask: Asking) -> None:
    found = ask.json("feature-vector")
    assert (found["layer"], found["dim"]) == ("fc1", 128)
    close(found["vector"], seen().pooled.reshape(128))
    close(ask.json("feature-vector", layer="conv1")["vector"], seen().convolved.mean((1, 2)))
    close(ask.json("feature-vector", layer="fc1")["vector"], seen().summed)


@pytest.mark.parametrize("target", [TOP, SILENT])
def test_saliency_is_the_gradients_magnitude(ask: Asking, target: int) -> None:
    by_hand = of_class(seen(), target)
    assert (np.abs(by_hand).max() == 0) == (target == SILENT)  # a closed ReLU passes nothing
    close(ask.json("explain/saliency", target=target)["map"], np.abs(by_hand))
    close(ask.npy("explain/saliency", target=target, reduce="sum", signed=True), by_hand)


def test_guided_backpropagation_of_a_class(ask: Asking) -> None:
    found = ask.json("explain/guided-backprop", reduce="sum", signed="true")
    assert found["target"]["class_index"] == TOP
    assert found["coverage"] == {"guided": 2, "unguided": {}, "rule": "guided"}
    close(found["map"], of_class(seen(), TOP, guided=True))


def test_guided_backpropagation_of_one_unit(ask: Asking) -> None:
    """Of a pooled cell: the filter, laid where the cell's largest value comes from."""
    channel, row, col = np.unravel_index(seen().pooled.argmax(), (32, 2, 2))
    place = {"layer": "pool", "channel": int(channel), "row": int(row), "col": int(col)}
    place["at"] = "output"
    found = ask.json("explain/guided-backprop", reduce="sum", signed="true", **place)
    assert found["coverage"]["guided"] == 1
    assert {name: found["target"][name] for name in place} == place
    close(found["target"]["value"], seen().pooled.max())
    one = np.zeros((32, 2, 2))
    one[channel, row, col] = 1
    close(found["map"], back_to_picture(seen(), one, guided=True))
    top, left = seen().winners[channel][row][col]
    close(np.array(found["map"])[top : top + 5, left : left + 5], FILTERS[channel])


def test_guided_backpropagation_of_the_sum_before_the_last_relu(ask: Asking) -> None:
    found = ask.json(
        "explain/guided-backprop", layer="fc1", channel=SILENT, reduce="sum", signed="true"
    )
    close(found["target"]["value"], seen().summed[SILENT])
    rows = WEIGHTS[SILENT].astype(float).reshape(32, 2, 2)
    close(found["map"], back_to_picture(seen(), rows, guided=True))


@pytest.mark.parametrize(("fill", "level"), [("gray", 127.5), ("mean", PICTURE.mean())])
def test_occlusion_hides_each_window(ask: Asking, fill: str, level: float) -> None:
    found = ask.json("explain/occlusion", window=3, stride=2, fill=fill, target=TOP)
    starts = (0, 2, 4, 5)  # the last one flush with the edge
    scores, classes = np.zeros((4, 4)), np.zeros((4, 4), int)
    drops, covered = np.zeros((8, 8)), np.zeros((8, 8))
    baseline = seen().probabilities[TOP]
    for i, top in enumerate(starts):
        for j, left in enumerate(starts):
            hidden = PICTURE.astype(float)
            hidden[top : top + 3, left : left + 3] = level
            probabilities = forward(hidden).probabilities
            scores[i, j], classes[i, j] = probabilities[TOP], probabilities.argmax()
            drops[top : top + 3, left : left + 3] += baseline - scores[i, j]
            covered[top : top + 3, left : left + 3] += 1
    assert found["grid"]["tops"] == found["grid"]["lefts"] == list(starts)
    close(found["baseline"], baseline)
    close(found["score_map"], scores)
    assert found["class_map"] == classes.tolist()
    assert len(np.unique(classes)) > 1
    close(found["map"], drops / covered)
    assert found["forwards"] == 17


LAYERS = [
    # name, type, before, after, parameters, multiply-adds, sees so many pixels
    ("conv1", "Conv2d", [1, 8, 8], [32, 4, 4], 32 * 25 + 32, 32 * 16 * 25, [5, 5]),
    ("relu1", "ReLU", [32, 4, 4], [32, 4, 4], 0, 0, [5, 5]),
    ("pool", "MaxPool2d", [32, 4, 4], [32, 2, 2], 0, 0, [6, 6]),
    ("fc1", "Linear", [128], [10], 1280 + 10, 1280, None),
    ("relu2", "ReLU", [10], [10], 0, 0, None),
]


def test_layers_with_their_shapes_before_and_after(ask: Asking) -> None:
    found = ask.client.get(f"/v1/models/{ask.model}/layers").json()
    keys = ("name", "type", "input_shape", "output_shape", "parameters", "macs", "receptive_field")
    assert [tuple(each[key] for key in keys) for each in found["layers"]] == LAYERS
    assert [each["follows"] for each in found["layers"]] == [
        ["input"], ["conv1"], ["relu1"], ["pool"], ["fc1"]
    ]  # fmt: skip
    assert [each["has_filters"] for each in found["layers"]] == [True, *[False] * 4]
    assert found["totals"] == {"parameters": 2122, "macs": 14080}
    assert found["elsewhere"] == {"parameters": 0, "macs": 0}


def test_filters_are_the_weights(ask: Asking) -> None:
    path = f"/v1/models/{ask.model}/layers/conv1/filters"
    found = ask.client.get(path).json()
    assert found["shape"] == [32, 1, 5, 5]
    for each, kernel in zip(found["filters"], FILTERS.astype(float), strict=True):
        close([each["min"], each["max"]], [kernel.min(), kernel.max()], atol=1e-7)
        close(each["norm"], math.sqrt((kernel**2).sum()))
    array = ask.client.get(path, params={"format": "npy"})
    assert np.array_equal(np.load(io.BytesIO(array.content)), FILTERS[:, None])


@pytest.mark.parametrize(
    ("layer", "expected"),
    [
        ("conv1", seen().convolved),
        ("relu1", seen().rectified),
        ("pool", seen().pooled),
        ("fc1", seen().summed),
        ("relu2", seen().logits),
    ],
)
def test_activations_of_every_layer(ask: Asking, layer: str, expected: Array) -> None:
    found = ask.json("activations", layer=layer)
    assert found["shape"] == list(expected.shape)
    cells = expected.reshape(len(expected), -1)
    close([each["mean"] for each in found["channels"]], cells.mean(1))
    close([each["max"] for each in found["channels"]], cells.max(1))
    assert found["most_active"][0]["index"] == cells.mean(1).argmax()
    close(ask.npy("activations", layer=layer), expected)


def test_one_unit_is_its_products_and_its_bias(ask: Asking) -> None:
    found = ask.json("activations/unit", layer="conv1", channel=7, row=2, col=3)
    x = (PICTURE / 255 - 0.1307) / 0.3081
    products = 0.0
    for i in range(5):
        for j in range(5):
            products += x[2 + i, 3 + j] * float(FILTERS[7, i, j])
    close(found["per_input_channel"], [products])
    close(found["bias"], BIASES[7])
    close([found["sum"], found["value"]], [products + float(BIASES[7])] * 2)
    close(found["value"], seen().convolved[7, 2, 3])
    assert found["receptive_field"] == {"top": 2, "left": 3, "bottom": 7, "right": 8}
    assert found["receptive_field_followed"] is True


def test_both_files_are_the_same_weights(client: TestClient) -> None:
    one, two = client.get("/v1/models").json()["models"]
    assert one["digest"] == two["digest"]
    assert one["notes"] == two["notes"] == []
    assert one["feature_dim"] == 128
