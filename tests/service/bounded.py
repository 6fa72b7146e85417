"""A small application behind `BoundedProtocol`, with limits of fractions of a second."""

import asyncio
import json
import socket
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any, cast

import uvicorn
from prometheus_client import CollectorRegistry
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from service.connections import ConnectionLimits, Connections
from service.gate import Gate, Protocol
from service.protocol import BoundedProtocol
from service.server import DrainingServer

LIMITS = ConnectionLimits(head_bytes=4096, head_s=1, stall_s=0.3, connections=8)
GET = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"


class Served:
    """A small application behind the protocol, in a thread of its own."""

    def __init__(
        self,
        new_loop: Callable[[], asyncio.AbstractEventLoop],
        gate: Gate | None = None,
        limits: ConnectionLimits = LIMITS,
        keep_alive_s: int = 1,
    ) -> None:
        self.registry = CollectorRegistry()
        self.hung_up = threading.Event()
        self.released = threading.Event()
        self.waiting = threading.Semaphore(0)
        self._connections: list[socket.socket] = []
        of = Connections(limits, ("127.0.0.1",), self.registry)
        routes = [
            Route("/", self._hello),
            Route("/unread", self._hello, methods=["POST"]),
            Route("/read", self._read, methods=["POST"]),
            Route("/v1/{path:path}", self._read, methods=["POST", "PUT"]),
            Route("/wait", self._wait),
            Route("/long", self._long),
        ]
        protocol = partial(Protocol, of, gate) if gate else partial(BoundedProtocol, of)
        config = uvicorn.Config(
            Starlette(routes=routes),
            port=0,
            http=cast(type[asyncio.Protocol], protocol),
            ws="none",
            log_config=None,
            timeout_keep_alive=keep_alive_s,
        )
        self.server = DrainingServer(
            config, drain=lambda: None, drain_delay_s=0, each_second=of.expire
        )
        self._runner = asyncio.Runner(loop_factory=new_loop)
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        while not self.server.started:
            self._thread.join(0.01)

    def _run(self) -> None:
        with self._runner:
            self._runner.run(self.server.serve())

    async def _hello(self, _request: Request) -> Response:
        return PlainTextResponse("hello")

    async def _read(self, request: Request) -> Response:
        return PlainTextResponse(str(len(await request.body())))

    async def _wait(self, request: Request) -> Response:
        self.waiting.release()
        while not self.released.is_set():
            if await request.is_disconnected():
                self.hung_up.set()
                break
            await asyncio.sleep(0.01)
        return PlainTextResponse("waited")

    async def _long(self, _request: Request) -> Response:
        return Response(bytes(64 * 2**20))

    def call(self, work: Callable[[], object]) -> None:
        """Have the event loop do it, between two requests."""
        self._runner.get_loop().call_soon_threadsafe(work)

    def hold(self, held: threading.Event, go_on: threading.Event) -> None:
        """Keep the event loop from whatever else there is."""

        def hold() -> None:
            held.set()
            assert go_on.wait(30)

        self.call(hold)
        assert held.wait(30)

    def connect(self) -> socket.socket:
        address = self.server.servers[0].sockets[0].getsockname()
        connection = socket.create_connection(address[:2], timeout=30)
        self._connections.append(connection)
        return connection

    def ended(self, reason: str) -> float:
        labels = {"reason": reason}
        return self.registry.get_sample_value("seethrough_connections_ended_total", labels) or 0

    def close(self) -> None:
        self.released.set()
        for each in self._connections:
            each.close()
        self.server.should_exit = True
        self._thread.join(30)


def everything(connection: socket.socket) -> bytes:
    """All that comes until the server closes."""
    return b"".join(iter(lambda: connection.recv(65536), b""))


def send_for_ever(connection: socket.socket) -> None:
    while True:
        connection.sendall(b"a")
        time.sleep(0.01)


def until(end: bytes, connection: socket.socket) -> bytes:
    """What comes until these bytes have."""
    answer = b""
    while not answer.endswith(end):
        more = connection.recv(65536)
        assert more, answer
        answer += more
    return answer


def problem(answer: bytes) -> tuple[int, dict[str, Any], dict[str, str]]:
    """Status, body and headers of an answer that is one problem and nothing else."""
    head, _, body = answer.partition(b"\r\n\r\n")
    status, *lines = head.decode().split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines)
    assert headers["content-type"] == "application/problem+json"
    assert headers["connection"] == "close"
    assert headers["x-content-type-options"] == "nosniff"
    assert int(headers["content-length"]) == len(body)
    said = json.loads(body)
    assert said["request_id"] == headers["x-request-id"] != "-"
    return int(status.split()[1]), said, headers
