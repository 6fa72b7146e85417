"""Projections over HTTP: asked once, followed, drawn, cancelled, and added to."""

import io
import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient
from PIL import Image

from core.engine import Engine
from core.models.registry import ModelRegistry
from core.projection.methods import PROJECTION_METHODS
from service.app import create_app
from tests.conftest import settings, wait_until_ready
from tests.pictures import NAMES, encode, jpeg, photo
from tests.service.gallery_client import JPEG, add, make
from tests.tinycnn import TinyCNN, tiny_spec

WAIT = {"Prefer": "wait=60"}
COUNT = 24


def fill(client: TestClient, path: str) -> None:
    for name in NAMES:
        for index in range(COUNT // len(NAMES)):
            part = np.ascontiguousarray(photo(name)[40 * index :, 30 * index :])
            content = encode(part, quality=85)
            put = f"{path}/items/{name}-{index}?label={name}"
            assert client.put(put, content=content, headers=JPEG).status_code == 201


@pytest.fixture(scope="module")
def path(client: TestClient) -> str:
    """A collection of 24 pictures, six labels."""
    path = make(client, "laid-out")
    fill(client, path)
    return path


def done(client: TestClient, path: str, **wanted: Any) -> dict[str, Any]:
    """A map of the collection."""
    answer = client.post(f"{path}/projections", json=wanted, headers=WAIT)
    assert answer.status_code == 200, answer.text
    assert answer.json()["status"] == "done", answer.text
    return client.get(f"{path}/projections/{answer.json()['id']}").json()  # type: ignore[no-any-return]


def vectors(client: TestClient, path: str, ids: list[str]) -> np.ndarray:
    return np.array([client.get(f"{path}/items/{id}/vector").json()["vector"] for id in ids])


def test_pca_is_that_of_the_vectors(client: TestClient, path: str) -> None:
    found = done(client, path, method="pca")
    ids = [point["id"] for point in found["points"]]
    rows = vectors(client, path, ids)
    _, values, axes = np.linalg.svd(rows - rows.mean(axis=0), full_matrices=False)
    expected = np.abs((rows - rows.mean(axis=0)) @ axes[:2].T)
    got = np.abs([[point["x"], point["y"]] for point in found["points"]])
    assert got == pytest.approx(expected, abs=1e-4)
    ratio = (values**2 / (values**2).sum())[:2]
    assert found["explained_variance_ratio"] == pytest.approx(ratio, abs=1e-5)
    assert {point["label"] for point in found["points"]} == set(NAMES)
    assert 0.5 < found["quality"]["trustworthiness"] <= 1
    assert found["count"] == COUNT


def test_the_same_request_is_the_same_map(client: TestClient, path: str) -> None:
    first = done(client, path, method="pca", dims=3)
    assert all(isinstance(point["z"], float) for point in first["points"])
    again = client.post(f"{path}/projections", json={"method": "pca", "dims": 3})
    assert (again.status_code, again.json()["id"]) == (200, first["id"])
    other = client.post(f"{path}/projections", json={"method": "pca", "seed": 1}, headers=WAIT)
    assert other.json()["id"] != first["id"]
    listed = client.get(f"{path}/projections").json()["projections"]
    assert {first["id"], other.json()["id"]} <= {each["id"] for each in listed}


def test_changed_items_make_a_map_stale(client: TestClient) -> None:
    path = make(client, "changing")
    fill(client, path)
    first = done(client, path, method="pca")
    assert not first["stale"]
    client.delete(f"{path}/items/coffee-0")
    kept = client.get(f"{path}/projections/{first['id']}").json()
    assert (kept["stale"], len(kept["points"])) == (True, COUNT)
    second = done(client, path, method="pca")
    assert second["id"] != first["id"]
    assert len(second["points"]) == COUNT - 1


def test_tsne_says_how_far_it_is(client: TestClient, path: str) -> None:
    wanted = {"method": "tsne", "perplexity": 5, "iterations": 300}
    answer = client.post(f"{path}/projections", json=wanted)
    assert answer.status_code == 202
    location = answer.headers["location"]
    with client.stream("GET", f"{location}/events") as events:
        assert events.headers["content-type"].startswith("text/event-stream")
        told = [json.loads(line[6:]) for line in events.iter_lines() if line.startswith("data: ")]
    progress = [each["progress"] for each in told]
    assert progress == sorted(progress)
    assert (told[-1]["status"], progress[-1]) == ("done", 1)
    found = client.get(location).json()
    assert found["kl_divergence"] > 0
    assert len(found["points"]) == COUNT
    assert all(0 <= point["preserved"] <= 1 for point in found["points"])


def test_tsne_chooses_a_perplexity_that_fits_few_items(client: TestClient) -> None:
    """Of 24 pictures, the usual 30 would be refused."""
    path = make(client, "few")
    fill(client, path)
    quick = {"method": "tsne", "iterations": 20, "early_iterations": 20}
    found = done(client, path, **quick)
    assert (len(found["points"]), found["parameters"]["perplexity"]) == (COUNT, 7)
    assert done(client, path, **quick)["id"] == found["id"]
    assert done(client, path, **quick, perplexity=7)["id"] == found["id"]
    assert done(client, path, **quick, sample=12)["parameters"]["perplexity"] == 3
    for index in range(4):
        part = np.ascontiguousarray(photo("coffee")[index:])
        answer = client.put(f"{path}/items/more-{index}", content=encode(part), headers=JPEG)
        assert answer.status_code == 201
    grown = done(client, path, **quick)
    assert (len(grown["points"]), grown["parameters"]["perplexity"]) == (COUNT + 4, 9)


def test_a_sample_holds_every_label(client: TestClient, path: str) -> None:
    found = done(client, path, method="pca", sample=12)
    labels = [point["label"] for point in found["points"]]
    assert len(labels) == 12
    assert set(labels) == set(NAMES)


def test_the_picture_shows_the_labels(client: TestClient, path: str) -> None:
    id = done(client, path, method="pca")["id"]
    seen = []
    for query in ("", "thumbnails=true", "color_by=preserved", "color_by=prediction&size_px=400"):
        answer = client.get(f"{path}/projections/{id}?{query}", headers={"Accept": "image/png"})
        assert answer.headers["content-type"] == "image/png"
        seen.append(np.asarray(Image.open(io.BytesIO(answer.content)).convert("RGB")))
    assert seen[0].shape == (720, 900, 3)
    assert seen[3].shape == (320, 400, 3)
    assert len(np.unique(seen[0].reshape(-1, 3), axis=0)) > 50
    assert (seen[0] != seen[1]).any()
    wrong = client.get(f"{path}/projections/{id}?format=png&size_px=10")
    assert wrong.status_code == 422


@pytest.mark.parametrize("method", ["pca", "tsne"])
def test_a_new_picture_falls_near_its_like(client: TestClient, path: str, method: str) -> None:
    wanted = {"perplexity": 5, "iterations": 300} if method == "tsne" else {}
    found = done(client, path, method=method, **wanted)
    place = f"{path}/projections/{found['id']}/place"
    placed = client.post(place, content=encode(photo("coffee")[20:, 20:]), headers=JPEG).json()
    assert placed["image"]["format"] == "JPEG"
    assert placed["nearest"][0]["label"] == "coffee"
    points = {point["id"]: point for point in found["points"]}
    for near in placed["nearest"]:
        assert (near["x"], near["y"]) == (points[near["id"]]["x"], points[near["id"]]["y"])
    own = client.post(place, json={"item": "rocket-1"}).json()
    rocket = points["rocket-1"]
    assert (own["x"], own["y"]) == pytest.approx((rocket["x"], rocket["y"]), abs=1e-3)
    assert client.get(f"{path}/projections/{found['id']}").json()["points"] == found["points"]


def test_the_methods_are_listed_with_their_parameters(client: TestClient) -> None:
    listed = client.get("/v1/projections").json()["methods"]
    assert [each["name"] for each in listed] == list(PROJECTION_METHODS)
    for each in listed:
        assert each["places"]
        dims, seed = each["parameters"][:2]
        assert (dims["name"], seed["name"]) == ("dims", "seed")
        assert (dims["choices"], seed["choices"]) == (["2", "3"], [])


def test_a_map_that_takes_no_new_points_says_so(
    client: TestClient, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = done(client, path, method="pca")
    monkeypatch.setitem(PROJECTION_METHODS, "pca", replace(PROJECTION_METHODS["pca"], placer=None))
    place = client.post(f"{path}/projections/{found['id']}/place", json={"item": "rocket-1"})
    assert (place.status_code, place.json()["code"]) == (409, "conflict")
    assert "map by PCA" in place.json()["detail"]


@pytest.mark.parametrize(
    ("wanted", "word"),
    [
        ({}, "method"),
        ({"method": "umap"}, "umap"),
        ({"method": "pca", "dims": 4}, "2 or 3"),
        ({"method": "pca", "perplexity": 5}, "perplexity"),
        ({"method": "tsne", "perplexity": 8}, "third of the 24"),
        ({"method": "tsne", "perplexity": 0}, "perplexity"),
        ({"method": "tsne", "iterations": 10**6}, "iterations"),
        ({"method": "pca", "sample": 2}, "3 to"),
        ({"method": "pca", "seed": -1}, "seed"),
        ({"method": "pca", "color": 1}, "color"),
    ],
)
def test_what_cannot_be_laid_out_says_why(
    client: TestClient, path: str, wanted: dict[str, Any], word: str
) -> None:
    answer = client.post(f"{path}/projections", json=wanted)
    assert answer.status_code == 422
    assert word in answer.text


def test_too_few_items_and_unknown_names(client: TestClient, path: str) -> None:
    small = make(client, "too-small")
    add(client, small, "coffee")
    assert client.post(f"{small}/projections", json={"method": "pca"}).status_code == 422
    unknown = client.get(f"{path}/projections/nope")
    assert (unknown.status_code, unknown.json()["code"]) == (404, "unknown_projection")
    for answer in (
        client.get(f"{path}/projections/nope/events"),
        client.delete(f"{path}/projections/nope"),
        client.post(f"{path}/projections/nope/place", content=jpeg(), headers=JPEG),
        client.get("/v1/collections/nope/projections"),
        client.post("/v1/collections/nope/projections", json={"method": "pca"}),
    ):
        assert answer.status_code == 404
    wait = client.post(f"{path}/projections", json={"method": "pca"}, headers={"Prefer": "wait=x"})
    assert wait.status_code == 422


def test_a_long_one_is_cancelled_and_then_deleted(client: TestClient, path: str) -> None:
    wanted = {"method": "tsne", "perplexity": 5, "iterations": 5000, "early_iterations": 5000}
    location = client.post(f"{path}/projections", json=wanted).headers["location"]
    early = client.get(f"{location}?format=png")
    assert (early.status_code, early.json()["code"]) == (409, "conflict")
    assert client.delete(location).status_code == 204
    for _ in range(200):
        now = client.get(location).json()
        if now["status"] == "cancelled":
            break
        time.sleep(0.05)
    assert now["status"] == "cancelled"
    anew = client.post(f"{path}/projections", json=wanted)
    assert anew.headers["location"] != location
    client.delete(anew.headers["location"])
    assert client.delete(location).status_code == 204
    assert client.get(location).status_code == 404


@pytest.fixture
def engines(tmp_path: Path) -> Any:
    def begin() -> tuple[TestClient, Engine]:
        registry = ModelRegistry()
        registry.register("tiny", lambda *_: (tiny_spec("tiny"), TinyCNN()))
        chosen = settings(models="tiny", data_dir=tmp_path)
        engine = Engine(chosen.engine_config(), registry)
        return TestClient(create_app(chosen, engine)), engine

    return begin


def test_a_map_survives_a_restart_and_an_unfinished_one_says_so(engines: Any) -> None:
    client, engine = engines()
    with client:
        wait_until_ready(client, engine)
        path = make(client, "kept")
        fill(client, path)
        kept = done(client, path, method="pca")
        long = {"method": "tsne", "perplexity": 5, "iterations": 5000, "early_iterations": 5000}
        location = client.post(f"{path}/projections", json=long).headers["location"]
    client, engine = engines()
    with client:
        wait_until_ready(client, engine)
        assert client.get(f"{path}/projections/{kept['id']}").json() == kept
        failed = client.get(location).json()
        assert failed["status"] == "failed"
        assert "service" in failed["reason"]
