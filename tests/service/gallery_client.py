"""Requests that store and find pictures, as tests make them."""

from typing import Any

from fastapi.testclient import TestClient
from httpx2 import Response

from tests.pictures import jpeg

JPEG = {"Content-Type": "image/jpeg"}


def make(client: TestClient, name: str, model: str = "tiny", **given: Any) -> str:
    """A new collection; answers its path."""
    answer = client.post("/v1/collections", json={"name": name, "model": model, **given})
    assert answer.status_code == 201, answer.text
    return f"/v1/collections/{name}"


def add(client: TestClient, path: str, photo: str, headers: Any = None, **query: Any) -> Response:
    """Store one of the photos."""
    return client.post(
        f"{path}/items", content=jpeg(photo), params=query, headers=JPEG | (headers or {})
    )
