"""In which order a request is looked at, and when a body is no longer waited for."""

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
from tests.service.live import read_answer
from tests.tinycnn import TinyCNN, tiny_spec

KEY = "X-API-Key: right"
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
