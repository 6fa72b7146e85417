"""Collections over HTTP: made, listed, guarded by model and weights, taken away."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from core.engine import Engine
from core.errors import GalleryUnusable
from core.models.registry import ModelRegistry
from service.app import create_app
from tests.conftest import settings, wait_until_ready
from tests.pictures import jpeg
from tests.service.gallery_client import JPEG, add, make
from tests.tinycnn import TinyCNN, tiny_spec


def test_the_default_collection_is_there(client: TestClient) -> None:
    found = client.get("/v1/collections/default").json()
    assert (found["model"], found["layer"], found["dim"]) == (
        "efficientnet-lite0",
        "classifier",
        1280,
    )
    assert (found["metric"], found["pixel_space"], found["at"]) == ("l2", True, "input")
    assert found["digest"] == client.get("/v1/models/efficientnet-lite0").json()["digest"]


def test_a_collection_is_made_listed_and_taken_away(client: TestClient) -> None:
    answer = client.post(
        "/v1/collections", json={"name": "made", "model": "tiny", "metric": "cosine"}
    )
    assert answer.status_code == 201
    assert answer.headers["location"] == "/v1/collections/made"
    assert (answer.json()["count"], answer.json()["dim"]) == (0, 24)
    names = [each["name"] for each in client.get("/v1/collections").json()["collections"]]
    assert names == sorted(names)
    assert "made" in names
    gone = client.delete("/v1/collections/made")
    assert (gone.status_code, gone.content) == (204, b"")
    assert client.get("/v1/collections/made").status_code == 404


def test_the_default_collection_comes_back_empty(client: TestClient) -> None:
    add(client, "/v1/collections/default", "coffee")
    assert client.delete("/v1/collections/default").status_code == 204
    assert client.get("/v1/collections/default").json()["count"] == 0


def test_another_layer_may_be_stored(client: TestClient) -> None:
    path = make(client, "of-conv2", layer="conv2", pool="max")
    found = client.get(path).json()
    assert (found["layer"], found["at"], found["pool"], found["dim"]) == (
        "conv2",
        "output",
        "max",
        16,
    )
    stored = add(client, path, "coffee", id="cup").json()
    vector = client.get(f"{path}/items/cup/vector").json()["vector"]
    direct = client.post(
        "/v1/feature-vector?model=tiny&layer=conv2&pool=max", content=jpeg("coffee"), headers=JPEG
    ).json()
    assert stored["id"] == "cup"
    assert vector == pytest.approx(direct["vector"], abs=1e-5)


@pytest.mark.parametrize(
    ("body", "status", "word"),
    [
        ({"name": "a/b"}, 422, "a/b"),
        ({"name": ""}, 422, "name"),
        ({"name": "x", "model": "nope"}, 404, "nope"),
        ({"name": "x", "layer": "nope"}, 404, "nope"),
        ({"name": "x", "metric": "l7"}, 422, "l7"),
        ({"name": "x", "pool": "sum"}, 422, "sum"),
        ({"name": "x", "color": 1}, 422, "color"),
        ({"name": "default"}, 409, "default"),
        ({}, 422, "name"),
    ],
)
def test_what_cannot_be_made_says_why(
    client: TestClient, body: dict[str, Any], status: int, word: str
) -> None:
    answer = client.post("/v1/collections", json=body)
    assert answer.status_code == status, answer.text
    assert word in answer.text


def test_an_unknown_collection_is_404_everywhere(client: TestClient) -> None:
    photo = {"content": jpeg(), "headers": JPEG}
    path = "/v1/collections/nope"
    answers = [
        client.get(path),
        client.delete(path),
        client.get(f"{path}/items"),
        client.post(f"{path}/items", **photo),
        client.put(f"{path}/items/a", **photo),
        client.patch(f"{path}/items/a", json={}),
        client.delete(f"{path}/items/a"),
        client.get(f"{path}/items/a/thumbnail"),
        client.post(f"{path}/neighbors", **photo),
        client.post(f"{path}/items/batch", files=[("image", ("a.jpg", jpeg()))]),
    ]
    assert [each.status_code for each in answers] == [404] * len(answers)
    assert {each.json()["code"] for each in answers} == {"unknown_collection"}


def _served(folder: Path, network: TinyCNN) -> tuple[TestClient, Engine]:
    registry = ModelRegistry()
    registry.register("tiny", lambda *_: (tiny_spec("tiny"), network))
    registry.register("other", lambda *_: (tiny_spec("other"), TinyCNN(seed=5)))
    chosen = settings(models="tiny,other", data_dir=folder)
    engine = Engine(chosen.engine_config(), registry)
    return TestClient(create_app(chosen, engine)), engine


def test_other_weights_are_a_409_that_says_what_to_do(tmp_path: Path) -> None:
    client, engine = _served(tmp_path, TinyCNN())
    with client:
        wait_until_ready(client, engine)
        path = make(client, "kept", keep_originals=True)
        assert add(client, path, "coffee", id="cup").status_code == 201
    client, engine = _served(tmp_path, TinyCNN(seed=1))
    with client:
        wait_until_ready(client, engine)
        answer = add(client, path, "rocket")
        assert (answer.status_code, answer.json()["code"]) == (409, "model_mismatch")
        assert "seethrough reindex kept" in answer.json()["detail"]
        asked = client.post(f"{path}/neighbors", content=jpeg(), headers=JPEG)
        assert asked.status_code == 409
        # What needs no network still works.
        assert client.get(f"{path}/items/cup").status_code == 200
        assert client.post(f"{path}/neighbors", json={"item": "cup"}).status_code == 200


def test_two_processes_cannot_have_one_folder(tmp_path: Path) -> None:
    client, engine = _served(tmp_path, TinyCNN())
    with client:
        wait_until_ready(client, engine)
        failures: list[BaseException] = []
        chosen = settings(models="tiny", data_dir=tmp_path)
        registry = ModelRegistry()
        registry.register("tiny", lambda *_: (tiny_spec("tiny"), TinyCNN()))
        second = Engine(chosen.engine_config(), registry)
        with TestClient(create_app(chosen, second, on_failure=failures.append)) as other:
            for _ in range(500):
                if failures:
                    break
                other.get("/health/live")
        assert isinstance(failures[0], GalleryUnusable)
        assert "in use" in str(failures[0])


def test_an_engine_without_a_place_for_data_says_so() -> None:
    registry = ModelRegistry()
    registry.register("tiny", lambda *_: (tiny_spec("tiny"), TinyCNN()))
    chosen = settings(models="tiny")
    engine = Engine(replace(chosen.engine_config(), data_dir=None), registry)
    with TestClient(create_app(chosen, engine)) as client:
        wait_until_ready(client, engine)
        answer = client.get("/v1/collections")
        assert (answer.status_code, answer.json()["code"]) == (503, "not_ready")
