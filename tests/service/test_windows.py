"""Layers that run on windows of a picture: what needs the whole of it says so in one sentence."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient
from httpx2 import Response

from core.engine import Engine
from service.app import create_app
from tests.conftest import settings, wait_until_ready
from tests.core.models.folders import MANIFEST, written
from tests.pictures import encode

# Attention inside each of four windows, as in Swin and MobileViT.
CODE = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(1, 8, 3, padding=1)
        self.inner = nn.Conv2d(8, 8, 3, padding=1)
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
        self.norm = nn.LayerNorm(8)
        self.fc = nn.Linear(8, 10)

    def forward(self, x):
        x = self.stem(x)
        windows = x.unfold(2, 4, 4).unfold(3, 4, 4)  # (B, C, 2, 2, 4, 4)
        windows = windows.permute(0, 2, 3, 1, 4, 5).reshape(-1, 8, 4, 4)
        windows = self.inner(windows)
        tokens = windows.flatten(2).transpose(1, 2)
        tokens, _ = self.attention(tokens, tokens, tokens)
        tokens = self.norm(tokens)
        return self.fc(tokens.reshape(len(x), -1, 8).mean(1))
"""


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    folder = written(tmp_path_factory.mktemp("models"), CODE, MANIFEST)
    chosen = settings(models=folder.name, models_dir=str(folder.parent))
    engine = Engine(chosen.engine_config())
    with TestClient(create_app(chosen, engine)) as client:
        wait_until_ready(client, engine)
        yield client


def post(client: TestClient, path: str, **params: Any) -> Response:
    pixels = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    return client.post(f"/v1/{path}", params=params, content=encode(pixels, "PNG"))


@pytest.mark.parametrize("layer", ["inner", "attention", "norm"])
@pytest.mark.parametrize(
    ("path", "params"),
    [
        ("feature-vector", {}),
        ("feature-vector", {"pool": "flatten"}),
        ("activations", {}),
        ("activations", {"format": "png"}),
        ("explain/grad-cam", {}),
        ("explain/guided-backprop", {"rule": "clamp-grad"}),
    ],
)
def test_what_needs_a_row_for_each_picture_is_refused_in_one_sentence(
    client: TestClient, path: str, params: dict[str, Any], layer: str
) -> None:
    answer = post(client, path, layer=layer, **params)
    problem = answer.json()
    assert (answer.status_code, problem["code"]) == (422, "method_unsupported")
    assert problem["detail"] == (
        f"layer {layer!r} has 4 rows for 1 picture: it runs on parts of them, such as windows"
    )


def test_one_unit_of_such_a_convolution_is_refused_too(client: TestClient) -> None:
    answer = post(client, "activations/unit", layer="inner", channel=0, row=0, col=0)
    assert answer.status_code == 422
    assert "one that puts out (C, h, w), not (4, 8, 4, 4)" in answer.json()["detail"]


def test_layers_before_and_after_the_windows_are_seen(client: TestClient) -> None:
    assert post(client, "classify", top_k=1).status_code == 200
    assert post(client, "feature-vector", layer="stem").json()["dim"] == 8
    assert post(client, "activations", layer="stem").json()["shape"] == [8, 8, 8]
    assert post(client, "explain/grad-cam", layer="stem").json()["cells"] == [8, 8]
    assert post(client, "explain/occlusion").status_code == 200
    assert post(client, "explain/saliency").status_code == 200
    rows = client.get("/v1/models/seed/layers").json()["layers"]
    assert {each["name"] for each in rows} >= {"stem", "inner", "norm", "fc"}
