"""Requests that offer an upgrade are answered as if they did not, on real sockets."""

import asyncio
import socket
from collections.abc import Iterator
from http.client import HTTPResponse

import pytest
import uvloop

from core.compute.metrics import Metrics
from service.gate import Gate
from service.hosts import Hosts
from tests.service.bounded import Served, until

OFFERS = (
    b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n",
    b"Connection: Upgrade\r\nUpgrade: websocket\r\n",
)
HIDDEN = (
    b"GET /long HTTP/1.1\r\nHost: localhost\r\n\r\n"  # what the body of a request may look like
)


@pytest.fixture(params=[asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def connection(request: pytest.FixtureRequest) -> Iterator[socket.socket]:
    gate = Gate(lambda _: None, dict, metrics=Metrics(), hosts=Hosts("127.0.0.1"))
    served = Served(request.param, gate)
    yield served.connect()
    served.close()


def answer_of(connection: socket.socket) -> tuple[int, str]:
    """What comes where one answer is due."""
    with HTTPResponse(connection) as answer:
        answer.begin()
        return answer.status, answer.read().decode()


def head(target: str, *headers: bytes) -> bytes:
    lines = b"".join(headers)
    return f"{target} HTTP/1.1\r\nHost: localhost\r\n".encode() + lines + b"\r\n"


@pytest.mark.parametrize("offer", OFFERS, ids=["h2c", "websocket"])
@pytest.mark.parametrize("in_parts", [False, True], ids=["at once", "in parts"])
def test_the_body_is_read_and_never_taken_for_a_request(
    connection: socket.socket, offer: bytes, in_parts: bool
) -> None:
    length = b"Content-Length: %d\r\n" % len(HIDDEN)
    begin = head("POST /read", offer, length)
    for part in [begin, HIDDEN[:9], HIDDEN[9:]] if in_parts else [begin + HIDDEN]:
        connection.sendall(part)
    assert answer_of(connection) == (200, str(len(HIDDEN)))
    connection.sendall(head("GET /"))
    assert answer_of(connection) == (200, "hello")


def test_a_body_in_chunks_is_read(connection: socket.socket) -> None:
    connection.sendall(head("POST /read", OFFERS[0], b"Transfer-Encoding: chunked\r\n"))
    connection.sendall(b"5\r\n12345\r\n")
    connection.sendall(b"2\r\n67\r\n0\r\n\r\n")
    assert answer_of(connection) == (200, "7")


def test_a_request_behind_one_that_offers_is_answered(connection: socket.socket) -> None:
    connection.sendall(head("GET /", OFFERS[0]))
    assert answer_of(connection) == (200, "hello")
    connection.sendall(head("GET /", OFFERS[1]))
    connection.sendall(head("POST /read", b"Content-Length: 2\r\n") + b"ab")
    both = until(b"\r\n\r\n2", connection)
    assert (both.count(b"HTTP/1.1 200"), both.count(b"hello")) == (2, 1)
