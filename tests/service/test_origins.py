"""Writes from pages elsewhere, as browsers send them: forms, bodies without a type, fetch."""

from collections.abc import Iterator, Mapping

import pytest
from fastapi.testclient import TestClient

from core.engine import Engine
from core.models.registry import ModelRegistry
from service.app import create_app
from tests.conftest import settings, wait_until_ready
from tests.pictures import jpeg
from tests.service.gallery_client import JPEG, make

ITEMS = "/v1/collections/default/items"
EVIL = "https://evil.example"
OWN = "http://testserver"

# What browsers send with a request that a page elsewhere makes.
ELSEWHERE: Mapping[str, dict[str, str]] = {
    "another site": {"Origin": EVIL, "Sec-Fetch-Site": "cross-site"},
    "another port of this machine": {"Origin": f"{OWN}:3000", "Sec-Fetch-Site": "same-site"},
    "a page without origin": {"Origin": "null", "Sec-Fetch-Site": "cross-site"},
    "site alone": {"Sec-Fetch-Site": "cross-site"},
    "plain http": {"Origin": "http://evil.example"},
    "plain http, another port": {"Origin": f"{OWN}:3000"},
    "plain http, without origin": {"Origin": "null"},
    "a name that begins alike": {"Origin": "http://testserver.evil.example"},
}
OURS: Mapping[str, dict[str, str]] = {
    "the explorer": {"Origin": OWN, "Sec-Fetch-Site": "same-origin"},
    "the explorer, plain http": {"Origin": OWN},
    "the explorer, port written out": {"Origin": f"{OWN}:80"},
    "a browser's own": {"Sec-Fetch-Site": "none"},
    "a program": {},
}


@pytest.mark.parametrize("sent", ELSEWHERE.values(), ids=ELSEWHERE.keys())
def test_a_page_elsewhere_stores_changes_and_deletes_nothing(
    client: TestClient, sent: dict[str, str]
) -> None:
    items = f"{make(client, 'guarded')}/items"
    client.put(f"{items}/a", content=jpeg(), headers=JPEG)
    tries = [
        client.post(f"{items}?id=form", files={"image": ("a.jpg", jpeg())}, headers=sent),
        client.post(f"{items}?id=raw", content=jpeg(), headers=sent),
        client.put(f"{items}/put", content=jpeg(), headers=JPEG | sent),
        client.patch(f"{items}/a", json={"label": "x"}, headers=sent),
        client.delete(f"{items}/a", headers=sent),
        client.post("/v1/classify?model=tiny", content=jpeg(), headers=sent),
    ]
    for answer in tries:
        assert (answer.status_code, answer.json()["code"]) == (403, "origin_refused")
        assert "SEETHROUGH_CORS_ORIGINS" in answer.json()["detail"]
        assert "access-control-allow-origin" not in answer.headers
    stored = client.get(items).json()["items"]
    assert [(each["id"], each["label"]) for each in stored] == [("a", None)]
    client.delete("/v1/collections/guarded")


@pytest.mark.parametrize("sent", OURS.values(), ids=OURS.keys())
def test_the_services_own_pages_and_programs_may_write(
    client: TestClient, sent: dict[str, str]
) -> None:
    for answer in (
        client.post("/v1/classify?model=tiny", content=jpeg(), headers=JPEG | sent),
        client.put(f"{ITEMS}/own", content=jpeg(), headers=JPEG | sent),
        client.delete(f"{ITEMS}/own", headers=sent),
    ):
        assert answer.is_success


def test_a_link_from_elsewhere_opens_a_page(client: TestClient) -> None:
    assert client.get("/", headers={"Sec-Fetch-Site": "cross-site"}).status_code == 200


@pytest.fixture(scope="module")
def shared(registry: ModelRegistry) -> Iterator[TestClient]:
    """Pages of one other origin may write; whoever connects is a trusted proxy."""
    chosen = settings(
        models="tiny",
        cors_origins="https://app.example",
        trusted_proxies="*",
        allowed_hosts="testserver,vision.example",
    )
    engine = Engine(chosen.engine_config(), registry)
    with TestClient(create_app(chosen, engine)) as client:
        wait_until_ready(client, engine)
        yield client


def classified(client: TestClient, **headers: str) -> int:
    sent = JPEG | {name.replace("_", "-"): value for name, value in headers.items()}
    return client.post("/v1/classify", content=jpeg(), headers=sent).status_code


def test_pages_that_the_operator_names_may_write(shared: TestClient) -> None:
    for site in ("cross-site", "same-site"):
        assert classified(shared, origin="https://app.example", sec_fetch_site=site) == 200
    assert classified(shared, origin="https://app.example") == 200
    assert classified(shared, origin=EVIL, sec_fetch_site="cross-site") == 403
    assert classified(shared, origin="http://app.example") == 403


def test_a_proxy_says_which_host_the_page_was_asked_of(shared: TestClient) -> None:
    page = "http://vision.example:8080"
    assert classified(shared, origin=page, x_forwarded_host="vision.example:8080") == 200
    assert classified(shared, origin=page, x_forwarded_host="vision.example:8080, inner") == 200
    assert classified(shared, origin=page, x_forwarded_host="vision.example") == 403
    assert classified(shared, origin=page) == 403
