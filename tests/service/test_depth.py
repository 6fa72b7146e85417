"""A camera's 12 bits in a file of 16, at every endpoint that takes a picture: one rule."""

import base64
import json
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient

from core.gallery.sqlite.local import LocalGallery
from core.types import ImageFile
from service.app import create_app
from tests.conftest import settings
from tests.files.deep import camera, deep_png, shades
from tests.pictures import encode, photo
from tests.service.cli.gallery_commands import Commands
from tests.service.gallery_client import make

RAW = {"Content-Type": "image/png"}
LEVELS = camera(12, photo("chelsea")[..., 0])
GRAY = encode(LEVELS, "PNG")
COLOR = deep_png(camera(12, photo("chelsea")), 2)


def eight(bits: int) -> bytes:
    """The gray picture in a file of 8 bits, where 2**bits - 1 is white."""
    return encode(shades(LEVELS, bits).astype(np.uint8), "PNG")


ENDPOINTS: dict[str, dict[str, Any]] = {
    "classify": {"top_k": 4},
    "feature-vector": {},
    "activations": {"layer": "conv1"},
    "activations/unit": {"layer": "conv1", "channel": 1, "row": 9, "col": 9},
    "explain/saliency": {"target": "1"},
    "explain/occlusion": {"target": "1"},
    "explain/compare": {"target": "1", "methods": "saliency"},
}


def ask(client: TestClient, endpoint: str, content: bytes, **more: object) -> dict[str, Any]:
    query = {"model": "gray", **ENDPOINTS[endpoint], **more}
    answer = client.post(f"/v1/{endpoint}", params=query, content=content, headers=RAW)  # type: ignore[arg-type]
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_every_endpoint_sees_what_the_camera_saw(client: TestClient, endpoint: str) -> None:
    for said, bits in (({}, 12), ({"bits": 12}, 12), ({"bits": 16}, 16), ({"bits": 13}, 13)):
        deep = ask(client, endpoint, GRAY, **said)
        plain = ask(client, endpoint, eight(bits))
        assert (deep.pop("image")["bits"], plain.pop("image")["bits"]) == (bits, None)
        assert deep == plain


def test_the_three_ways_to_send_a_picture_take_the_bits_from_the_query(client: TestClient) -> None:
    where = "/v1/classify?model=gray&top_k=4&bits=12"
    raw = client.post(where, content=COLOR, headers=RAW).json()
    assert raw["image"]["bits"] == 12
    assert client.post(where, files={"image": COLOR}).json() == raw
    text = base64.b64encode(COLOR).decode()
    assert client.post(where, json={"image": text}).json() == raw
    assert client.post("/v1/classify?model=gray&top_k=4", files={"image": COLOR}).json() != raw


def test_one_picture_of_many_whose_samples_are_larger_fails_alone(client: TestClient) -> None:
    brighter = encode(camera(14, photo("chelsea")[..., 0]), "PNG")
    files = [("image", (name, each, "image/png")) for name, each in
             (("a", GRAY), ("b", brighter), ("c", eight(12)))]  # fmt: skip
    answer = client.post("/v1/classify/batch?model=gray&top_k=4&bits=12", files=files)
    first, second, third = answer.json()["results"]
    assert [each["status"] for each in (first, second, third)] == [200, 422, 200]
    assert first["classification"]["predictions"] == third["classification"]["predictions"]
    assert "bits=12 is not allowed: 14 to 16: the largest sample is" in second["problem"]["detail"]


@pytest.mark.parametrize("bits", ["7", "17", "twelve"])
def test_wrong_bits_are_named_with_what_is_allowed(client: TestClient, bits: str) -> None:
    answer = client.post(f"/v1/classify?bits={bits}", content=GRAY, headers=RAW)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["parameter"] == "bits"


def test_stored_pictures_are_found_by_what_the_camera_saw(client: TestClient) -> None:
    path = make(client, "cameras", "gray", pixel_space=True)
    stored = client.post(f"{path}/items?id=raw&bits=13", content=GRAY, headers=RAW)
    assert stored.status_code == 201
    assert stored.json()["image"]["bits"] == 13
    put = client.put(f"{path}/items/put?bits=13", content=GRAY, headers=RAW)
    assert put.json()["prediction"] == stored.json()["prediction"]
    line = json.dumps({"id": "line", "image": base64.b64encode(GRAY).decode()})
    lines = {"Content-Type": "application/x-ndjson"}
    client.post(f"{path}/items/batch?bits=13", content=line, headers=lines)
    client.post(f"{path}/items/batch?bits=13", files=[("image", ("form.png", GRAY, "image/png"))])
    for space in ("features", "pixels"):
        for content, query in ((eight(13), {}), (GRAY, {"bits": 13})):
            where = {"space": space, **query}
            found = client.post(f"{path}/neighbors", params=where, content=content, headers=RAW)
            distances = [each["distance"] for each in found.json()["neighbors"]]
            np.testing.assert_allclose(distances, np.zeros(4), atol=1e-4)


def test_bits_without_a_picture_are_refused(client: TestClient) -> None:
    answer = client.post("/v1/collections/default/neighbors?bits=12", json={"item": "a"})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["parameter"] == "bits"


def test_a_key_that_was_used_with_other_bits_is_a_conflict(client: TestClient) -> None:
    path, key = make(client, "twice", "gray"), {"Idempotency-Key": "once"}
    answers = [
        client.post(f"{path}/items?bits={bits}", content=GRAY, headers=RAW | key)
        for bits in (12, 12, 13)
    ]
    assert [each.status_code for each in answers[:2]] == [201, 201]
    assert answers[2].status_code in (409, 422)


def test_every_operation_that_takes_a_picture_takes_its_bits() -> None:
    document = create_app(settings()).openapi()
    takers = 0
    for path, methods in document["paths"].items():
        for operation in methods.values():
            if "/Image" in json.dumps(operation.get("requestBody", {})):
                names = [each["name"] for each in operation["parameters"]]
                assert "bits" in names, path
                takers += 1
    assert takers > 10


def test_commands_take_bits_and_an_original_is_embedded_anew_as_it_was(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = Commands(tmp_path, capsys)
    levels = np.kron([[3000, 100], [900, 2000]], np.ones((2, 2))).astype(np.uint16)
    content = deep_png(np.dstack([levels] * 3), 2)  # in color, where nothing is guessed
    file = tmp_path / "photos" / "camera.png"
    file.parent.mkdir()
    file.write_bytes(content)
    assert run("index", file.parent, "--collection", "p", "--keep-originals", "--bits", "12") == 0
    sums = 4 * shades(np.array([3000, 100, 900, 2000]), 12) / 255
    with closing(LocalGallery(run.folder)) as gallery:
        np.testing.assert_allclose(gallery.vector("p", "camera.png"), sums, rtol=1e-5)
        assert gallery.original("p", "camera.png") == ImageFile(content, 12)
    assert run("reindex", "p", "--model", "other", models="other") == 0
    with closing(LocalGallery(run.folder)) as gallery:
        np.testing.assert_allclose(gallery.vector("p", "camera.png"), sums + 1, rtol=1e-5)
    asked = ("neighbors", file, "--collection", "p", "--json", "--bits", "12")
    assert run(*asked, models="other") == 0
    assert json.loads(run.out)["neighbors"][0]["distance"] < 1e-4
    where = ("--models-dir", tmp_path / "models", "--models", "toy", "--top-k", 2, "--json")
    answers = []
    for bits in ((), ("--bits", "12")):
        assert run._run("classify", file, *where, *bits) == 0
        answers.append(json.loads(run.out)["predictions"])
    assert answers[0] != answers[1]
