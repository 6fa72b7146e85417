"""Prefixes, slashes, HEAD and pages of other origins, as proxies, monitors and browsers send them.

Oracle of prefixes: a proxy that takes them off, and one that leaves them there.
"""

from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient
from httpx2 import Response

from core.compute.served import Served
from core.engine import Engine
from core.models.registry import ModelRegistry
from service.addressing import clean_prefix
from service.app import create_app
from tests.conftest import settings, wait_until_ready
from tests.pictures import jpeg
from tests.service.gallery_client import JPEG, make

ORIGIN = "https://app.example"


@pytest.fixture(scope="module")
def behind(registry: ModelRegistry) -> Iterator[TestClient]:
    """The service published below /vision, which believes whoever connects."""
    chosen = settings(
        models="tiny", root_path="/vision", trusted_proxies="*", cors_origins=f"{ORIGIN}/"
    )
    engine = Engine(chosen.engine_config(), registry)
    app = create_app(chosen, engine)
    # httpx resolves paths against its base; a proxy that strips sends them without the prefix.
    with TestClient(app, follow_redirects=False) as client:
        wait_until_ready(client, engine)
        yield client


HEADED = ("/", "/docs", "/redoc", "/openapi.json", "/health/live", "/health/ready", "/metrics",
          "/v1/models", "/v1/models/tiny", "/v1/models/tiny/classes", "/v1/models/tiny/layers",
          "/v1/models/tiny/layers/conv1/filters?format=png", "/v1/collections",
          "/v1/collections/default", "/v1/collections/default/items",
          "/assets/docs/swagger-ui.css", "/assets/explorer/icon.svg")  # fmt: skip


@pytest.mark.parametrize("path", HEADED)
def test_head_is_get_without_the_body(client: TestClient, path: str) -> None:
    got, head = client.get(path), client.head(path)
    assert head.status_code == got.status_code == 200
    assert head.content == b""
    for name in ("content-type", "content-length", "etag", "cache-control"):
        if path not in ("/metrics", "/v1/models") or name != "content-length":
            assert head.headers.get(name) == got.headers.get(name), name
    assert head.headers["x-request-id"]


def test_head_of_what_is_not_there_or_takes_no_get(client: TestClient) -> None:
    assert client.head("/v1/models/none").status_code == 404
    refused = client.head("/v1/classify")
    assert (refused.status_code, refused.headers["allow"], refused.content) == (405, "POST", b"")


def test_head_of_a_stream_ends_with_its_head(client: TestClient) -> None:
    path = make(client, "streamed")
    for name in "abcd":
        client.put(f"{path}/items/{name}", content=jpeg(), headers=JPEG)
    asked = client.post(f"{path}/projections", json={"method": "pca"})
    head = client.head(f"{asked.headers['location']}/events")
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-type"].startswith("text/event-stream")
    client.delete(asked.headers["location"])


def test_head_is_counted_as_head(client: TestClient) -> None:
    client.head("/v1/models")
    assert 'method="HEAD",route="/v1/models",status="200"' in client.get("/metrics").text


@pytest.mark.parametrize("path", ["/health/live", "/health", "/v1/models", "/v1/collections"])
def test_a_slash_at_the_end_changes_nothing(client: TestClient, path: str) -> None:
    for sent in (path, f"{path}/", f"{path}//"):
        answer = client.get(sent, follow_redirects=False)
        assert answer.status_code == 200, sent
        assert answer.json().keys() == client.get(path).json().keys()


def test_a_picture_sent_to_a_path_with_a_slash_is_classified(client: TestClient) -> None:
    answer = client.post(
        "/v1/classify/?model=tiny", content=jpeg(), headers=JPEG, follow_redirects=False
    )
    assert answer.status_code == 200


@pytest.mark.parametrize("page", ["docs", "redoc"])
def test_pages_with_a_slash_lead_to_themselves(behind: TestClient, page: str) -> None:
    """Their links are relative, and would lead below them."""
    for prefix in ("", "/vision"):
        answer = behind.get(f"{prefix}/{page}/")
        assert (answer.status_code, answer.headers["location"]) == (307, f"../{page}")
        assert behind.get(f"{prefix}/{page}").status_code == 200


def test_the_prefix_itself_leads_to_the_explorer(behind: TestClient) -> None:
    answer = behind.get("/vision")
    assert (answer.status_code, answer.headers["location"]) == (307, "vision/")
    assert "<title>" in behind.get("/vision/").text
    assert "<title>" in behind.get("/").text


@pytest.mark.parametrize("prefix", ["", "/vision"])
def test_a_prefix_that_was_taken_off_or_left_is_the_same(behind: TestClient, prefix: str) -> None:
    for path in ("/v1/models", "/health/ready", "/assets/docs/swagger-ui.css", "/docs", "/"):
        assert behind.get(prefix + path).status_code == 200, path
    assert behind.get("/openapi.json").json()["servers"] == [{"url": "/vision"}]


def test_locations_begin_with_the_prefix(behind: TestClient) -> None:
    made = behind.post("/v1/collections", json={"name": "far"})
    assert made.headers["location"] == "/vision/v1/collections/far"
    stored = behind.post("/v1/collections/far/items?id=a", content=jpeg(), headers=JPEG)
    assert stored.headers["location"] == "/vision/v1/collections/far/items/a"
    assert behind.get(stored.headers["location"]).json()["id"] == "a"


def test_a_trusted_proxy_names_the_prefix(behind: TestClient) -> None:
    said = {"X-Forwarded-Prefix": "/eyes/"}
    assert behind.get("/openapi.json", headers=said).json()["servers"] == [{"url": "/eyes"}]
    made = behind.post("/v1/collections", json={"name": "named"}, headers=said)
    assert made.headers["location"] == "/eyes/v1/collections/named"
    assert behind.get("/openapi.json").json()["servers"] == [{"url": "/vision"}]


def test_what_a_proxy_writes_that_is_no_prefix_is_not_believed(behind: TestClient) -> None:
    for prefix in ("//evil.example", "https://evil.example", "/a b", "/..", "/a\\b", "/<script>"):
        answer = behind.get("/openapi.json", headers={"X-Forwarded-Prefix": prefix})
        assert answer.json()["servers"] == [{"url": "/vision"}], prefix


def test_nobody_else_is_believed(client: TestClient) -> None:
    """By default a proxy runs on this machine; the test client's address is no address."""
    answer = client.get("/openapi.json", headers={"X-Forwarded-Prefix": "/eyes"})
    assert "servers" not in answer.json()


@pytest.mark.parametrize(
    ("text", "prefix"),
    [("", ""), ("/", ""), ("/a", "/a"), ("/a/b/", "/a/b"), ("/a, /b", "/a/b"), ("/a,x", None),
     ("a", None), ("//a", None), ("/a//b", None), ("/a?b", None), ("/%2e", None)],
)  # fmt: skip
def test_a_prefix_is_a_plain_path(text: str, prefix: str | None) -> None:
    assert clean_prefix(text) == prefix


def preflight(client: TestClient, origin: str, headers: str = "content-type") -> Response:
    return client.options(
        "/v1/classify",
        headers={
            "Origin": origin,
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": headers,
        },
    )


def test_a_page_of_an_allowed_origin_may_send_a_raw_picture_and_a_key(behind: TestClient) -> None:
    answer = preflight(behind, ORIGIN, "authorization,content-type,x-deadline-ms")
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == ORIGIN
    assert "POST" in answer.headers["access-control-allow-methods"]
    allowed = answer.headers["access-control-allow-headers"]
    assert {"authorization", "content-type", "x-deadline-ms"} <= set(allowed.split(","))
    assert answer.headers["x-request-id"]
    sent = behind.post("/v1/classify", content=jpeg(), headers=JPEG | {"Origin": ORIGIN})
    assert sent.headers["access-control-allow-origin"] == ORIGIN
    assert "X-Request-ID" in sent.headers["access-control-expose-headers"]
    wrong = behind.post("/v1/classify?top_k=0", content=jpeg(), headers={"Origin": ORIGIN})
    assert wrong.status_code == 422
    assert wrong.headers["access-control-allow-origin"] == ORIGIN


def test_a_page_of_another_origin_may_not(behind: TestClient) -> None:
    refused = preflight(behind, "https://evil.example")
    assert (refused.status_code, refused.json()["code"]) == (403, "origin_refused")
    assert ORIGIN in refused.json()["detail"]
    assert "access-control-allow-origin" not in refused.headers


def test_by_default_no_page_elsewhere_may(client: TestClient) -> None:
    assert preflight(client, ORIGIN).status_code == 405
    answer = client.get("/v1/models", headers={"Origin": ORIGIN})
    assert "access-control-allow-origin" not in answer.headers


def test_an_unexpected_error_is_a_problem_that_the_page_may_read(
    behind: TestClient, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("secret")

    monkeypatch.setattr(Served, "cards", fail)
    answer = behind.get("/v1/models", headers={"Origin": ORIGIN})
    assert (answer.status_code, answer.json()["code"]) == (500, "internal_error")
    assert "secret" not in answer.text
    assert answer.headers["access-control-allow-origin"] == ORIGIN
    assert answer.headers["x-request-id"] == answer.json()["request_id"]
    assert "secret" in caplog.text
