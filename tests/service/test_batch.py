"""Many pictures in one request: each ends on its own."""

import base64
import json
from typing import Any

import pytest
from fastapi.testclient import TestClient

from tests.pictures import NAMES, jpeg
from tests.service.gallery_client import make

LINES = {"Content-Type": "application/x-ndjson"}


def line(photo: str, **fields: Any) -> bytes:
    image = base64.b64encode(jpeg(photo)).decode()
    return json.dumps({"image": image} | fields).encode() + b"\n"


def answers(text: str) -> list[dict[str, Any]]:
    return [json.loads(each) for each in text.splitlines()]


def test_every_line_has_its_own_status(client: TestClient) -> None:
    path = make(client, "lines")
    body = (
        line("coffee", id="a", label="cup", metadata={"n": 1})
        + b'{"image": "aGVsbG8="}\n'
        + b"not json\n"
        + b'{"id": "x"}\n'
        + b"\n"
        + line("rocket", id="a")
        + line("rocket", id="b")
        + line("rocket", id="c/vector")
        + line("rocket", label=7)
    )
    answer = client.post(f"{path}/items/batch", content=body, headers=LINES)
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("application/x-ndjson")
    found = answers(answer.text)
    assert [each["index"] for each in found] == list(range(8))
    assert [each["status"] for each in found] == [201, 415, 400, 422, 409, 201, 422, 422]
    assert found[0]["item"]["label"] == "cup"
    assert found[0]["item"]["metadata"] == {"n": 1}
    assert all("detail" in each["problem"] for each in found if each["status"] >= 400)
    assert client.get(path).json()["count"] == 2


def test_a_line_holds_the_item_as_it_is_answered_alone(client: TestClient) -> None:
    path = make(client, "whole-lines")
    body = line("coffee", id="a", metadata={"nothing": None}) + b"not json\n"
    stored, failed = answers(client.post(f"{path}/items/batch", content=body, headers=LINES).text)
    alone = client.get(f"{path}/items/a").json()
    assert {key: stored["item"][key] for key in alone} == alone
    assert (alone["label"], alone["metadata"]) == (None, {"nothing": None})
    assert (stored["problem"], failed["item"]) == (None, None)


def test_a_form_of_many_files(client: TestClient) -> None:
    path = make(client, "forms")
    files = [("image", (f"{name}.jpg", jpeg(name), "image/jpeg")) for name in NAMES]
    files.insert(2, ("image", ("broken.jpg", jpeg()[:3000], "image/jpeg")))
    answer = client.post(f"{path}/items/batch?label=photo", files=files)
    found = answers(answer.text)
    assert [each["name"] for each in found] == [name for _, (name, *_) in files]
    assert [each["status"] for each in found] == [201, 201, 400, 201, 201, 201, 201]
    assert client.get(path).json()["labels"] == [{"label": "photo", "count": 6}]


def test_more_lines_than_the_queue_has_places(client: TestClient) -> None:
    path = make(client, "many-lines")
    body = b"".join(line("coffee", id=f"i{index}") for index in range(60))
    found = answers(client.post(f"{path}/items/batch", content=body, headers=LINES).text)
    assert [each["item"]["id"] for each in found] == [f"i{index}" for index in range(60)]
    assert client.get(path).json()["count"] == 60


def test_a_line_that_never_ends_is_not_held(client: TestClient) -> None:
    path = make(client, "endless")
    body = line("coffee") + b"x" * (29 * 2**20)
    found = answers(client.post(f"{path}/items/batch", content=body, headers=LINES).text)
    assert [each["status"] for each in found] == [201, 413]


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (b"", LINES, 200),
        (b"x", {"Content-Type": "text/plain"}, 415),
        (jpeg(), {"Content-Type": "image/jpeg"}, 415),
    ],
)
def test_bodies_that_are_no_batch(
    client: TestClient, body: bytes, headers: dict[str, str], status: int
) -> None:
    answer = client.post("/v1/collections/default/items/batch", content=body, headers=headers)
    assert answer.status_code == status
