"""Requests that address another name, as a page does whose name was pointed at this machine.

Oracle: the rule of the document, written out as a table of hosts.
"""

from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient
from pydantic import ValidationError

from core.engine import Engine
from core.errors import SeethroughError
from core.models.registry import ModelRegistry
from service.app import create_app
from service.hosts import Hosts
from tests.conftest import settings, wait_until_ready
from tests.pictures import jpeg
from tests.service.gallery_client import JPEG, make

EVIL = {"Host": "evil.example"}


def allows(hosts: Hosts, *said: str, version: str = "1.1", forwarded: str | None = None) -> bool:
    headers = [(b"host", each.encode("latin-1")) for each in said]
    scope = {"headers": headers, "http_version": version, "state": {}}
    if forwarded is not None:
        scope["state"] = {"forwarded_host": forwarded}
    try:
        hosts.require(scope)
    except SeethroughError:
        return False
    return True


@pytest.mark.parametrize(
    ("bound", "host", "allowed"),
    [
        ("127.0.0.1", "127.0.0.1:8000", True),
        ("127.0.0.1", "localhost", True),
        ("127.0.0.1", "LOCALHOST.:8000", True),
        ("127.0.0.1", "app.localhost:8000", True),
        ("127.0.0.1", "127.8.9.10", True),
        ("127.0.0.1", "[::1]:8000", True),
        ("127.0.0.1", "[::ffff:127.0.0.1]", True),
        ("127.0.0.1", "192.168.1.5:8000", False),
        ("127.0.0.1", "evil.example:8000", False),
        ("127.0.0.1", "notlocalhost", False),
        ("127.0.0.1", "localhost.evil.example", False),
        ("192.168.1.5", "192.168.1.5:8000", True),
        ("192.168.1.5", "192.168.1.6:8000", False),
        ("192.168.1.5", "localhost:8000", True),
        ("box.lan", "BOX.lan:8000", True),
        ("[::1]", "[::1]:8000", True),
        ("0.0.0.0", "192.168.1.6:8000", True),
        ("0.0.0.0", "[2001:db8::1]:8000", True),
        ("0.0.0.0", "evil.example", False),
        ("::", "192.168.1.6", True),
        ("::", "evil.example", False),
    ],
)
def test_which_hosts_may_be_said(bound: str, host: str, allowed: bool) -> None:
    assert allows(Hosts(bound), host) is allowed


def test_names_of_the_setting_may_be_said_and_no_others() -> None:
    hosts = Hosts("0.0.0.0", ("vision.example", "*.lab.example"))
    for host in ("vision.example", "Vision.Example:8443", "a.lab.example", "a.b.lab.example:80"):
        assert allows(hosts, host), host
    for host in ("lab.example", "evilvision.example", "vision.example.evil", "evillab.example"):
        assert not allows(hosts, host), host
    assert allows(Hosts("127.0.0.1", ("*",)), "whatever.example")


@pytest.mark.parametrize("said", [(), ("localhost", "localhost"), ("localhost", "evil.example"),
                                  ("",), ("a b",), ("http://localhost",), ("localhost:80:80",),
                                  ("user@localhost",), ("localhost/",), ("[::1",)])  # fmt: skip
def test_what_names_no_host_or_several_is_refused_whatever_is_allowed(said: tuple[str]) -> None:
    assert not allows(Hosts("127.0.0.1", ("*",)), *said)


def test_a_balancers_probe_of_http_1_0_needs_no_host() -> None:
    assert allows(Hosts("127.0.0.1"), version="1.0")


def test_the_host_that_a_proxy_was_asked_for_counts_too() -> None:
    hosts = Hosts("127.0.0.1", ("vision.example",))
    assert allows(hosts, "127.0.0.1:8000", forwarded="vision.example")
    assert not allows(hosts, "127.0.0.1:8000", forwarded="evil.example")
    assert not allows(hosts, "evil.example", forwarded="vision.example")


@pytest.mark.parametrize("value", ["https://a.example", "a.example:80", "a.*.example", "a b", "-/"])
def test_a_setting_that_is_no_host_is_refused(value: str) -> None:
    with pytest.raises(ValidationError, match="allowed_hosts"):
        settings(allowed_hosts=value)


def test_a_rebound_name_can_neither_read_nor_write(client: TestClient) -> None:
    items = f"{make(client, 'rebound')}/items"
    client.put(f"{items}/a", content=jpeg(), headers=JPEG)
    for method, path in (("GET", "/v1/models"), ("GET", "/"), ("DELETE", f"{items}/a"),
                         ("GET", "/health/live"), ("GET", "/metrics")):  # fmt: skip
        answer = client.request(method, path, headers=EVIL)
        assert (answer.status_code, answer.json()["code"]) == (421, "host_refused"), path
        assert "'evil.example'" in answer.json()["detail"]
        assert "SEETHROUGH_ALLOWED_HOSTS" in answer.json()["detail"]
        assert answer.headers["x-request-id"] == answer.json()["request_id"]
    assert client.get(f"{items}/a").status_code == 200


@pytest.fixture(scope="module")
def anywhere(registry: ModelRegistry) -> Iterator[TestClient]:
    """A service that may be called whatever one likes, behind a trusted proxy."""
    chosen = settings(models="tiny", allowed_hosts="*", trusted_proxies="*")
    engine = Engine(chosen.engine_config(), registry)
    with TestClient(create_app(chosen, engine), follow_redirects=False) as client:
        wait_until_ready(client, engine)
        yield client


def test_no_host_comes_back_in_a_redirect_or_location(anywhere: TestClient) -> None:
    said = EVIL | {"X-Forwarded-Host": "evil.example", "X-Forwarded-Proto": "https"}
    made = anywhere.post("/v1/collections", json={"name": "named"}, headers=said)
    assert made.headers["location"] == "/v1/collections/named"
    for path in ("/docs/", "/redoc/", "//evil.example/..", "/assets/docs", "/assets/explorer/"):
        answer = anywhere.get(path, headers=said)
        assert "evil" not in answer.headers.get("location", ""), path
    assert "evil" not in anywhere.get("/openapi.json", headers=said).text
