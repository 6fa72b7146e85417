"""What enters and leaves the layers of a network whose maps have their channels last, over HTTP."""

import io
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from fastapi.testclient import TestClient
from PIL import Image

from core.engine import Engine
from service.app import create_app
from tests.conftest import settings, wait_until_ready
from tests.folders import TOY_MANIFEST, toy_folder

LEVELS = np.random.default_rng(0).integers(0, 256, (4, 4), dtype=np.uint8)


def png() -> bytes:
    file = io.BytesIO()
    Image.fromarray(LEVELS).save(file, "PNG")
    return file.getvalue()


def post(client: TestClient, path: str, **params: str) -> dict[str, Any]:
    headers = {"Content-Type": "image/png"}
    answer = client.post(f"/v1/{path}", params=params, content=png(), headers=headers)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


AXES_CODE = '''
import torch
from torch import nn


class Net(nn.Module):
    """Patches, norm and mixing with channels last; layers whose names have a slash."""

    def __init__(self):
        super().__init__()
        self.add_module("stem/conv", nn.Conv2d(1, 6, 2, stride=2))
        self.norm = nn.LayerNorm(6)
        self.mix = nn.Linear(6, 3)
        self.head = nn.Linear(3, 2)

    def forward(self, x):
        x = self.get_submodule("stem/conv")(x).permute(0, 2, 3, 1)
        return self.head(self.mix(self.norm(x)).mean((1, 2)))
'''


@pytest.fixture(scope="module")
def axes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """The service with a network of channels-last maps."""
    directory = tmp_path_factory.mktemp("models")
    manifest = TOY_MANIFEST.replace("net.py:Toy", "net.py:Net").replace("n_classes = 2", "")
    scope: dict[str, Any] = {}
    exec(AXES_CODE, scope)
    torch.manual_seed(0)
    weights = scope["Net"]().state_dict()
    toy_folder(directory, manifest=manifest, code=AXES_CODE, weights=weights)
    chosen = settings(models="toy", models_dir=str(directory))
    engine = Engine(chosen.engine_config())
    with TestClient(create_app(chosen, engine)) as client:
        wait_until_ready(client, engine)
        yield client


def test_layers_say_where_their_channels_are_and_a_slash_is_part_of_a_name(
    axes: TestClient,
) -> None:
    rows = axes.get("/v1/models/toy/layers").json()["layers"]
    found = [(each["name"], each["output_shape"], each["channel_axis"]) for each in rows]
    assert found == [
        ("stem/conv", [6, 2, 2], 0),
        ("norm", [2, 2, 6], 2),
        ("mix", [2, 2, 3], 2),
        ("head", [2], 0),
    ]
    for name in ("stem/conv", "stem%2Fconv"):
        filters = axes.get(f"/v1/models/toy/layers/{name}/filters")
        assert filters.status_code == 200, filters.text
        assert filters.json()["shape"] == [6, 1, 2, 2]
    assert post(axes, "activations", layer="stem/conv")["shape"] == [6, 2, 2]


def test_what_enters_a_layer_is_what_left_the_one_before(axes: TestClient) -> None:
    entering = post(axes, "feature-vector", layer="mix", at="input")
    leaving = post(axes, "feature-vector", layer="norm")
    assert (entering["at"], leaving["at"], entering["dim"]) == ("input", "output", 6)
    np.testing.assert_allclose(entering["vector"], leaving["vector"], atol=1e-6)
    features = post(axes, "feature-vector")
    assert (features["layer"], features["at"], features["dim"]) == ("head", "input", 3)
    one, other = (
        post(axes, "activations", **query)
        for query in ({"layer": "mix", "at": "input"}, {"layer": "norm"})
    )
    assert (one["shape"], one["channel_axis"], one["grid"]) == ([6, 2, 2], 0, [2, 2])
    assert one["channels"] == other["channels"]
    cams = [post(axes, "explain/grad-cam", **query) for query in (
        {"layer": "mix", "at": "input"}, {"layer": "norm"}, {})]  # fmt: skip
    np.testing.assert_allclose(cams[0]["map"], cams[1]["map"], atol=1e-6)
    assert (cams[2]["layer"], cams[2]["at"], cams[2]["cells"]) == ("mix", "output", [2, 2])


def test_at_says_nothing_without_a_layer(axes: TestClient) -> None:
    for path in ("feature-vector", "explain/grad-cam"):
        answer = axes.post(
            f"/v1/{path}?at=input",
            files={"image": ("a.png", io.BytesIO(png()), "image/png")},
        )
        assert answer.status_code == 422
        assert "only together with layer" in answer.text


def test_a_collection_of_what_enters_a_layer(axes: TestClient) -> None:
    wanted = {"name": "mixed", "layer": "mix", "at": "input"}
    made = axes.post("/v1/collections", json=wanted)
    assert made.status_code == 201, made.text
    assert (made.json()["at"], made.json()["dim"]) == ("input", 6)
    stored = axes.post(
        "/v1/collections/mixed/items?id=a",
        content=png(),
        headers={"Content-Type": "image/png"},
    )
    assert stored.status_code == 201, stored.text
    vector = axes.get("/v1/collections/mixed/items/a/vector").json()["vector"]
    expected = post(axes, "feature-vector", layer="mix", at="input")["vector"]
    np.testing.assert_allclose(vector, expected, atol=1e-6)
