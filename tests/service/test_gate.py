"""What is refused while all is busy, before it is routed, on real sockets."""

import asyncio
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from functools import cache
from http.client import HTTPResponse
from typing import Any

import pytest
import uvloop
from pydantic import SecretStr

from core.compute.metrics import Metrics
from core.errors import QueueFull
from service.app import create_app
from service.gate import Gate
from service.hosts import Hosts
from tests.conftest import settings
from tests.service.bounded import Served, everything

REFUSED = ("503", "queue_full")
HOST, KEY = (b"host", b"localhost"), (b"x-api-key", b"right")


@cache
def paths() -> dict[str, Any]:
    found: dict[str, Any] = create_app(settings()).openapi()["paths"]
    return found


class Busy:
    """A gate that refuses as long as it is told to."""

    def __init__(self, **given: Any) -> None:
        self.metrics = Metrics()
        self.is_full = True
        self.coming: list[int] = []
        hosts = Hosts("127.0.0.1")
        self.gate = Gate(self._check, paths, metrics=self.metrics, hosts=hosts, **given)

    def _check(self, coming: int) -> None:
        self.coming.append(coming)
        if self.is_full:
            raise QueueFull("requests before this one take 3.0 s", retry_after_s=2.5)

    def sample(self, name: str, **labels: str) -> float:
        return self.metrics.registry.get_sample_value(name, labels) or 0.0


@pytest.fixture
def busy() -> Busy:
    return Busy(keys=(SecretStr("right"),), prefix="/below", max_body_bytes=1000)


@pytest.fixture(params=[asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def serve(request: pytest.FixtureRequest) -> Iterator[Callable[[Busy], Served]]:
    begun: list[Served] = []

    def start(busy: Busy) -> Served:
        begun.append(Served(request.param, busy.gate))
        return begun[-1]

    yield start
    for each in begun:
        each.close()


def asked(path: str, length: int, headers: bytes = b"", method: str = "POST") -> bytes:
    head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n"
    return head.encode() + headers + b"\r\n"


def answer_of(connection: socket.socket) -> tuple[dict[str, str], str]:
    """Headers, status among them, and body of the next answer."""
    answer = HTTPResponse(connection)
    answer.begin()
    headers = {name.lower(): value for name, value in answer.getheaders()}
    return headers | {"status": str(answer.status)}, answer.read().decode()


def test_it_is_answered_before_its_body_is_sent_and_the_connection_goes_on(
    serve: Callable[[Busy], Served],
) -> None:
    busy = Busy()
    connection = serve(busy).connect()
    connection.sendall(asked("/v1/classify?top_k=1", 5, b"Expect: 100-continue\r\n"))
    headers, body = answer_of(connection)
    said = json.loads(body)
    assert (headers["status"], said["code"]) == REFUSED
    assert said["detail"] == "requests before this one take 3.0 s"
    assert headers["retry-after"] == "3"
    assert headers["x-request-id"] == said["request_id"] != "-"
    assert "connection" not in headers
    busy.is_full = False
    connection.sendall(b"12345" + asked("/v1/classify", 3) + b"123")
    headers, body = answer_of(connection)
    assert (headers["status"], body) == ("200", "3")
    labels = {"route": "/v1/classify", "method": "POST", "status": "503"}
    assert busy.sample("seethrough_requests_answered_total", **labels) == 1
    assert busy.sample("seethrough_requests_accepted_total") == 1
    assert busy.sample("seethrough_requests_shed_total", reason="queue_full") == 1


def test_a_client_that_wants_to_close_reads_the_answer_and_then_the_end(
    serve: Callable[[Busy], Served],
) -> None:
    connection = serve(Busy()).connect()
    body = bytes(3 * 2**20)
    connection.sendall(asked("/v1/classify", len(body), b"Connection: close\r\n") + body)
    assert b" 503 " in everything(connection).partition(b"\r\n")[0]


def test_a_body_that_never_comes_ends_the_connection(serve: Callable[[Busy], Served]) -> None:
    served = serve(Busy())
    connection = served.connect()
    connection.sendall(asked("/v1/classify", 5))
    assert b" 503 " in everything(connection).partition(b"\r\n")[0]
    assert served.ended("body_unread") == 1


@pytest.mark.parametrize(
    ("method", "path", "refused"),
    [
        ("POST", "/v1/classify", True),
        ("POST", "/v1/explain/occlusion", True),
        ("PUT", "/v1/collections/a/items/b%20c", True),
        ("POST", "/v1/collections/a/neighbors", True),
        ("POST", "/below/v1/classify", True),
        ("POST", "/v1/collections", False),
        ("POST", "/v1/collections/a/projections", False),
        ("POST", "/v1/collections/a/items/batch", False),  # its lines wait for their turn
        ("POST", "/v1/classified", False),
        ("POST", "/read", False),
    ],
)
def test_what_asks_no_network_passes(method: str, path: str, refused: bool) -> None:
    gate = Busy(prefix="/below").gate
    assert (gate.refusal(method.encode(), path.encode(), [HOST]) is not None) == refused


@pytest.mark.parametrize(
    ("headers", "refused"),
    [
        ([HOST, KEY], True),
        ([HOST, (b"authorization", b"Bearer right")], True),
        ([HOST, KEY, (b"content-length", b"1000")], True),
        ([HOST, (b"x-api-key", b"wrong")], False),
        ([HOST], False),
        ([HOST, KEY, (b"origin", b"https://app.example")], False),
        ([HOST, KEY, (b"sec-fetch-site", b"cross-site")], False),
        ([HOST, KEY, (b"content-length", b"1001")], False),
        ([(b"host", b"evil.example"), KEY], False),
        ([KEY], False),
    ],
)
def test_whom_the_application_would_tell_something_else_passes(
    busy: Busy, headers: list[tuple[bytes, bytes]], refused: bool
) -> None:
    assert (busy.gate.refusal(b"POST", b"/v1/classify", headers) is not None) == refused


def test_nothing_is_refused_while_there_is_room(busy: Busy) -> None:
    busy.is_full = False
    assert busy.gate.refusal(b"POST", b"/v1/classify", [HOST, KEY]) is None


def test_a_client_that_asks_again_at_once_waits_and_others_of_its_proxy_do_not(
    serve: Callable[[Busy], Served],
) -> None:
    served = serve(Busy())
    ended: list[str] = []

    def ask_twice(name: str, headers: bytes) -> None:
        connection = served.connect()
        for _ in range(2):
            connection.sendall(asked("/v1/classify", 0, headers))
            assert answer_of(connection)[0]["status"] == "503"
        ended.append(name)

    began = time.monotonic()
    clients = [
        threading.Thread(target=ask_twice, args=("client", b"")),
        threading.Thread(target=ask_twice, args=("proxy", b"X-Forwarded-For: 192.0.2.1\r\n")),
    ]
    for client in clients:
        client.start()
    for client in clients:
        client.join(30)
    assert ended == ["proxy", "client"]
    assert time.monotonic() - began > 0.45


def test_what_is_let_in_counts_until_it_has_been_taken_up(
    serve: Callable[[Busy], Served],
) -> None:
    """Of four that come at once the last knows of three; those that come later know of none."""
    busy = Busy()
    busy.is_full = False
    served = serve(busy)
    connections = [served.connect() for _ in range(4)]
    for _ in range(2):
        held, go_on = threading.Event(), threading.Event()
        served.hold(held, go_on)
        for connection in connections:
            connection.sendall(asked("/v1/classify", 0))
        go_on.set()
        for connection in connections:
            assert answer_of(connection)[0]["status"] == "200"
    assert busy.coming == [0, 1, 2, 3] * 2


def test_connections_that_came_together_are_taken_together(
    serve: Callable[[Busy], Served],
) -> None:
    """libuv takes one each time its loop comes around, which under load is ten times a second."""
    served = serve(Busy())
    held, go_on = threading.Event(), threading.Event()

    served.hold(held, go_on)
    for _ in range(6):
        served.connect()
    open_ones: list[float] = []

    def look(rounds: int) -> None:
        open_ones.append(served.registry.get_sample_value("seethrough_connections") or 0)
        if rounds:
            asyncio.get_running_loop().call_later(0, look, rounds - 1)

    served.call(lambda: look(3))
    go_on.set()
    for _ in range(3000):
        if len(open_ones) == 4:
            break
        time.sleep(0.01)
    assert open_ones[-1] == 6
