"""Bodies of JSON that are no picture: what they are held to, alike wherever they are taken."""

import pytest
from fastapi.testclient import TestClient
from httpx2 import Response

PLACES = (
    ("POST", "/v1/collections"),
    ("POST", "/v1/collections/default/projections"),
    ("PATCH", "/v1/collections/default/items/a"),
)


def send(client: TestClient, method: str, path: str, body: bytes, kind: str) -> Response:
    return client.request(method, path, content=body, headers={"Content-Type": kind})


@pytest.mark.parametrize(("method", "path"), PLACES)
@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"", 400, "request_unreadable"),
        (b"{", 400, "request_unreadable"),
        (b"[" * 100_000, 400, "request_unreadable"),
        (b'{"label": "\\ud800", "name": "\\ud800"}', 400, "request_unreadable"),
        (b'{"\\ud800": 1}', 400, "request_unreadable"),
        (b'{"sample": 1' + b"0" * 5000 + b"}", 400, "request_unreadable"),
        (b"null", 422, "invalid_value"),
        (b"[]", 422, "invalid_value"),
        (b'{"nmae": "x"}', 422, "invalid_value"),
        (b'{"metadata": "' + b"x" * 300_000 + b'"}', 413, "body_too_large"),
    ],
)
def test_a_body_that_is_not_what_it_should_be_says_so_everywhere(
    client: TestClient, method: str, path: str, body: bytes, status: int, code: str
) -> None:
    answer = send(client, method, path, body, "application/json")
    assert (answer.status_code, answer.json()["code"]) == (status, code)


@pytest.mark.parametrize(("method", "path"), PLACES)
@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "image/png"])
def test_another_media_type_is_415_and_names_the_right_one(
    client: TestClient, method: str, path: str, kind: str
) -> None:
    answer = send(client, method, path, b'{"name": "x"}', kind)
    assert (answer.status_code, answer.json()["code"]) == (415, "media_type_unsupported")
    assert "application/json" in answer.json()["detail"]


@pytest.mark.parametrize(
    "kind", ["application/json; charset=utf-8", "application/merge-patch+json"]
)
def test_json_by_any_of_its_names_is_taken(client: TestClient, kind: str) -> None:
    answer = send(client, "PATCH", "/v1/collections/default/items/none", b"{}", kind)
    assert (answer.status_code, answer.json()["code"]) == (404, "unknown_item")


@pytest.mark.parametrize(
    ("path", "body", "said"),
    [
        ("", b'{"name": "x", "pixel_space": "yes"}', "pixel_space='yes'"),
        ("", b'{"name": 7}', "name=7"),
        ("/default/projections", b'{"method": "pca", "sample": "1_0"}', "sample='1_0'"),
        ("/default/projections", b'{"method": "pca", "sample": "10"}', "sample='10'"),
        ("/default/projections", b'{"method": "pca", "dims": true}', "dims=True"),
        ("/default/projections", b'{"method": "tsne", "perplexity": NaN}', "perplexity=nan"),
    ],
)
def test_a_number_in_quotes_is_no_number(
    client: TestClient, path: str, body: bytes, said: str
) -> None:
    answer = send(client, "POST", f"/v1/collections{path}", body, "application/json")
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_value")
    assert answer.json()["detail"].startswith(f"{said} is not allowed")
