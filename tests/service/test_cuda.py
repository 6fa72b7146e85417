"""What a GPU answers is what a CPU answers, through the whole service, but for rounding."""

import io
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from fastapi.testclient import TestClient
from httpx2 import Response

from core.engine import Engine
from core.models.sources import DEFAULT_MODEL
from service.app import create_app
from tests.conftest import settings, wait_until_ready
from tests.pictures import NAMES, jpeg
from tests.service.gallery_client import JPEG, add, make

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here"),
]

DEVICE = "cuda"
MAPS = (
    "occlusion",
    "occlusion?mode=adaptive",
    "saliency",
    "guided-backprop",
    "guided-backprop?layer=blocks.2.0.conv_dw&channel=3",
    "smoothgrad?samples=4",
    "integrated-gradients?steps=8",
    "grad-cam",
)


@pytest.fixture(scope="module")
def gpu() -> Iterator[TestClient]:
    """The service with the default model on a GPU."""
    chosen = settings(models=DEFAULT_MODEL, device=DEVICE)
    engine = Engine(chosen.engine_config())
    with TestClient(create_app(chosen, engine)) as client:
        wait_until_ready(client, engine)
        yield client


def _ask(client: TestClient, path: str) -> Response:
    answer = client.post(f"/v1/{path}", content=jpeg(), headers=JPEG)
    assert answer.status_code == 200, answer.text
    return answer


def _array(client: TestClient, path: str) -> np.ndarray[Any, np.dtype[np.float64]]:
    joint = "&" if "?" in path else "?"
    content = _ask(client, f"{path}{joint}format=npy").content
    return np.asarray(np.load(io.BytesIO(content)), dtype=np.float64).ravel()


def test_the_model_says_where_it_runs(gpu: TestClient) -> None:
    (model,) = gpu.get("/v1/models").json()["models"]
    assert (model["device"], model["runtime"]) == ("cuda", "torch")


def test_the_same_classes(gpu: TestClient, client: TestClient) -> None:
    for name in NAMES:
        theirs, ours = (
            each.post("/v1/classify", content=jpeg(name), headers=JPEG).json()["predictions"]
            for each in (client, gpu)
        )
        assert ours[0]["class_index"] == theirs[0]["class_index"]
        assert ours[0]["logit"] == pytest.approx(theirs[0]["logit"], abs=0.05)


@pytest.mark.parametrize("query", ["", "?layer=conv_stem", "?layer=blocks.3.0&pool=max"])
def test_the_same_feature_vector(gpu: TestClient, client: TestClient, query: str) -> None:
    theirs, ours = (_array(each, f"feature-vector{query}") for each in (client, gpu))
    assert np.linalg.norm(ours - theirs) <= 0.01 * np.linalg.norm(theirs)


@pytest.mark.parametrize("path", MAPS)
def test_the_same_maps(gpu: TestClient, client: TestClient, path: str) -> None:
    theirs, ours = (_array(each, f"explain/{path}") for each in (client, gpu))
    # Gradients meet ReLU6 at its corners, where a rounding error decides: a pixel may differ.
    assert np.corrcoef(ours, theirs)[0, 1] >= 0.98


def test_the_same_inside(gpu: TestClient, client: TestClient) -> None:
    theirs, ours = (
        _array(each, "activations?layer=conv_stem&channels=0-7") for each in (client, gpu)
    )
    assert np.linalg.norm(ours - theirs) <= 0.01 * np.linalg.norm(theirs)
    place = "activations/unit?layer=conv_stem&channel=3&row=5&col=7"
    theirs, ours = (_array(each, place) for each in (client, gpu))
    assert np.linalg.norm(ours - theirs) <= 0.01 * np.linalg.norm(theirs)
    layers = [each.get(f"/v1/models/{DEFAULT_MODEL}/layers").json() for each in (client, gpu)]
    assert layers[0] == layers[1]


def test_what_a_cpu_stored_a_gpu_finds(gpu: TestClient, client: TestClient) -> None:
    paths = [make(each, "devices", model=DEFAULT_MODEL) for each in (client, gpu)]
    for each, path in zip((client, gpu), paths, strict=True):
        for name in NAMES:
            assert add(each, path, name, id=name).status_code == 201
    digests = {
        each.get(path).json()["digest"] for each, path in zip((client, gpu), paths, strict=True)
    }
    assert len(digests) == 1  # one set of weights, wherever they are
    vector = client.get(f"{paths[0]}/items/china/vector").json()["vector"]
    near = gpu.post(f"{paths[1]}/neighbors", json={"vector": vector}).json()["neighbors"]
    assert near[0]["id"] == "china"
    assert near[0]["distance"] < 0.1 * near[1]["distance"]
