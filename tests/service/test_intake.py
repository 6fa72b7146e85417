"""In which order a request is looked at, and when a body is no longer waited for."""

import base64
import contextlib
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import uvicorn

from core.compute.bridge import State
from core.engine import Engine
from core.models.registry import ModelRegistry
from service.app import create_app
from tests.conftest import settings
from tests.pictures import jpeg
from tests.service.live import raw_request, read_answer
from tests.tinycnn import TinyCNN, tiny_spec

KEY = "X-API-Key: right"
MIB = 2**20
TAKEN = {
    "POST /v1/collections": "application/json",
    "POST /v1/collections/default/projections": "application/json",
    "PATCH /v1/collections/default/items/a": "application/json",
    "POST /v1/collections/default/neighbors": "application/json",
    "POST /v1/collections/default/items": "image/jpeg",
    "POST /v1/collections/default/items/batch": "multipart/form-data; boundary=x",
    "POST /v1/classify": "image/jpeg",
    "POST /v1/classify/batch": "multipart/form-data; boundary=x",
}


class Server(uvicorn.Server):
    """A tiny model behind a socket, in this process."""

    def __init__(self, engine: Engine, **given: object) -> None:
        app = create_app(settings(models="tiny", **given), engine)
        super().__init__(uvicorn.Config(app, port=0, log_config=None))
        self.engine = engine

    def connect(self) -> socket.socket:
        return socket.create_connection(self.servers[0].sockets[0].getsockname(), timeout=30)


@contextmanager
def served(**given: object) -> Iterator[Server]:
    registry = ModelRegistry()
    registry.register("tiny", lambda *_: (tiny_spec("tiny"), TinyCNN()))
    engine = Engine(settings(models="tiny", **given).engine_config(), registry)
    server = Server(engine, **given)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        wait_until(lambda: engine.bridge.state is State.READY)
        yield server
    finally:
        server.should_exit = True
        thread.join(60)


def wait_until(done: Callable[[], bool]) -> None:
    for _ in range(6000):
        if done():
            return
        time.sleep(0.02)
    raise AssertionError("it never happened")


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with served(body_timeout_s=0.5, api_keys="right") as server:
        yield server


def answered(server: Server, operation: str, key: str, length: int, body: bytes = b"") -> str:
    """The status and code of an answer to a request whose body is still to come."""
    head = f"{operation} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {TAKEN[operation]}\r\n"
    head += f"Content-Length: {length}\r\n{key}\r\n\r\n"
    with server.connect() as connection:
        connection.sendall(head.encode() + body)
        status, _, answer = read_answer(connection)
    return f"{status} {json.loads(answer)['code']}"


@pytest.mark.parametrize("operation", TAKEN)
def test_a_wrong_key_is_refused_before_a_byte_of_the_body(server: Server, operation: str) -> None:
    assert answered(server, operation, "X-API-Key: wrong", 3 * 2**30) == "403 key_refused"
    assert answered(server, operation, "X-No: key", 3 * 2**30) == "401 key_missing"


@pytest.mark.parametrize("operation", TAKEN)
def test_a_body_that_is_too_long_is_refused_before_a_byte_of_it(
    server: Server, operation: str
) -> None:
    assert answered(server, operation, KEY, 3 * 2**30) == "413 body_too_large"


@pytest.mark.parametrize("operation", TAKEN)
def test_a_body_that_does_not_come_is_408(server: Server, operation: str) -> None:
    assert answered(server, operation, KEY, 100, b'{"name": ') == "408 body_too_slow"


def test_json_without_a_picture_is_refused_while_it_comes(server: Server) -> None:
    body = b'{"vector": [' + b"1, " * (4 * 2**20 // 3)
    operation = "POST /v1/collections/default/neighbors"
    assert answered(server, operation, KEY, 20_000_000, body) == "413 body_too_large"


def begun(server: Server, sent: int, announced: int, path: str = "/v1/classify") -> socket.socket:
    connection = server.connect()
    connection.sendall(raw_request(b"x" * sent, announced, path))
    return connection


def test_silence_in_a_body_is_408_long_before_its_time_is_over() -> None:
    with served(body_timeout_s=600, stall_timeout_s=0.3) as server:
        with begun(server, 1000, 100_000) as connection:
            status, headers, answer = read_answer(connection)
        assert (status, headers["connection"]) == (408, "close")
        assert json.loads(answer)["detail"] == "nothing of the body came for 0.3 s"


@pytest.fixture(scope="module")
def small() -> Iterator[Server]:
    """Room for 8 MiB of bodies, 6 of them for large ones of at most 4."""
    with served(memory_budget=32 * MIB, max_body_bytes=4 * MIB) as server:
        yield server


def test_unfinished_bodies_hold_no_more_than_the_budget(small: Server) -> None:
    """A hundred that announce 4 MiB each, and send 2 of them as long as anybody listens."""
    bodies = small.engine.bodies
    assert bodies.limit_bytes == 8 * MIB
    connections = [begun(small, 0, 4 * MIB) for _ in range(100)]
    most, refused = 0, set()
    try:
        for each in connections:
            with contextlib.suppress(OSError):  # refused, and closed
                each.sendall(b"x" * (2 * MIB))
            most = max(most, bodies.held_bytes)
        for each in connections:
            each.settimeout(0.05)
            with contextlib.suppress(OSError, IndexError):
                status, headers, answer = read_answer(each)
                refused.add((status, json.loads(answer)["code"], headers["retry-after"]))
        assert 0 < bodies.held_bytes <= 6 * MIB
        assert most <= 6 * MIB
        assert refused == {(503, "memory_full", "1")}
        with small.connect() as connection:  # a photo is taken all the same
            connection.sendall(raw_request(jpeg()))
            assert read_answer(connection)[0] == 200
    finally:
        for each in connections:
            each.close()
    wait_until(lambda: bodies.held_bytes == 0)


def test_a_body_that_does_not_fit_is_refused_before_it_is_read(small: Server) -> None:
    with small.engine.bodies.hold() as hold:
        hold.take(3 * MIB)
        with begun(small, 0, 4 * MIB) as connection:
            status, _, answer = read_answer(connection)
    assert (status, json.loads(answer)["code"]) == (503, "memory_full")


@pytest.mark.parametrize(
    "path",
    [
        *("/v1/classify", "/v1/classify?top_k=0", "/v1/explain/saliency", "/v1/collections"),
        *("/v1/collections/default/items", "/v1/collections/default/neighbors"),
    ],
)
def test_what_a_body_held_is_given_back_whatever_the_answer(small: Server, path: str) -> None:
    for body in (jpeg(), b"no picture", jpeg()[:1000]):
        with small.connect() as connection:
            connection.sendall(raw_request(body, path=path))
            assert read_answer(connection)[0] < 500
    assert small.engine.bodies.held_bytes == 0


def test_a_client_that_hangs_up_gives_back_what_its_body_held(small: Server) -> None:
    connection = begun(small, MIB, 2 * MIB)
    wait_until(lambda: small.engine.bodies.held_bytes > MIB)
    connection.close()
    wait_until(lambda: small.engine.bodies.held_bytes == 0)


def test_a_batch_of_lines_holds_what_is_not_stored_yet(small: Server) -> None:
    line = json.dumps({"image": base64.b64encode(jpeg()).decode()}).encode()
    body = b"\n".join([line, b"", b"{}", line[:100]] * 40)
    assert len(body) > MIB
    head = raw_request(b"", len(body), "/v1/collections/default/items/batch")
    with small.connect() as connection:
        connection.sendall(head.replace(b"image/jpeg", b"application/x-ndjson") + body)
        assert connection.recv(12) == b"HTTP/1.1 200"
        while b'"index":119' not in connection.recv(100_000):
            assert small.engine.bodies.held_bytes < len(body)
    wait_until(lambda: small.engine.bodies.held_bytes == 0)


def test_a_draining_service_reads_no_body() -> None:
    with served() as server:
        server.engine.drain()
        with begun(server, 0, 1000) as connection:
            status, _, answer = read_answer(connection)
    assert (status, json.loads(answer)["code"]) == (503, "draining")
