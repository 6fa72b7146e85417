"""A real server process on a free loopback port."""

import atexit
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from tempfile import mkdtemp
from typing import IO

START_TIMEOUT_S = 300


class LiveServer:
    """`python -m service serve`, or another module's `serve`, with some settings.

    Args:
        log: where its output goes.
        module: whose `serve` it is.
        under: a command that runs the server, such as `setpriv` with its options.
        settings: without their prefix.

    SEETHROUGH_TEST_SERVER is the command to use instead of `python -m service`: one that runs an
    image, for instance.
    """

    def __init__(
        self, log: IO[str], module: str = "service", under: Sequence[str] = (), **settings: str
    ) -> None:
        self.port = _free_port()
        environment = {k: v for k, v in os.environ.items() if not k.startswith("SEETHROUGH_")}
        environment |= {f"SEETHROUGH_{name.upper()}": value for name, value in settings.items()}
        environment["SEETHROUGH_PORT"] = str(self.port)
        folder = mkdtemp(prefix="seethrough-")
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        environment.setdefault("SEETHROUGH_DATA_DIR", folder)
        self.process = subprocess.Popen(
            [*under, *_command(module), "serve"],
            env=environment,
            stdout=log,
            stderr=subprocess.STDOUT,
        )

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def get(self, path: str) -> tuple[int, str]:
        try:
            with urllib.request.urlopen(self.url + path, timeout=30) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    def metric(self, name: str) -> float:
        found = re.search(rf"^{re.escape(name)} (\S+)$", self.get("/metrics")[1], re.M)
        return float(found[1]) if found else 0.0

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=30)

    def wait_until_ready(self) -> None:
        for _ in range(START_TIMEOUT_S * 10):
            if self.process.poll() is not None:
                raise AssertionError(f"the server ended with {self.process.returncode}")
            try:
                if self.get("/health/ready")[0] == 200:
                    return
            except OSError:
                pass
            try:
                self.process.wait(0.1)
            except subprocess.TimeoutExpired:
                continue
        raise AssertionError("the server never became ready")

    def terminate(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)


@contextmanager
def running(
    log: IO[str], module: str = "service", under: Sequence[str] = (), **settings: str
) -> Iterator[LiveServer]:
    server = LiveServer(log, module, under, **settings)
    try:
        server.wait_until_ready()
        yield server
    finally:
        if server.process.poll() is None:
            # A container outlives a killed runtime; a signal it passes on.
            server.process.terminate() if _given() else server.process.kill()
            server.process.wait(90)


def raw_request(body: bytes, length: int | None = None, path: str = "/v1/classify") -> bytes:
    """The bytes of a POST whose Content-Length may promise more than there is."""
    head = (
        f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/jpeg\r\n"
        f"Content-Length: {len(body) if length is None else length}\r\n\r\n"
    )
    return head.encode() + body


def read_answer(connection: socket.socket) -> tuple[int, dict[str, str], bytes]:
    file = connection.makefile("rb")
    status = int(file.readline().split()[1])
    headers: dict[str, str] = {}
    while (line := file.readline().strip()) != b"":
        name, _, value = line.decode().partition(": ")
        headers[name.lower()] = value
    return status, headers, file.read(int(headers["content-length"]))


def until(done: Callable[[], bool]) -> None:
    for _ in range(1000):
        if done():
            return
    raise AssertionError("it never happened")


def terminated_under_load(server: LiveServer, body: bytes) -> tuple[int, list[int | str]]:
    """Eight clients connect, ask and connect again while SIGTERM comes.

    Returns:
        The exit code, and for each connection that was made its status or "lost".
    """
    outcomes: list[int | str] = []
    stop = threading.Event()

    def client() -> None:
        while not stop.is_set():
            try:
                connection = server.connect()
            except OSError:
                return  # refused: nothing was accepted
            with connection:
                try:
                    connection.sendall(raw_request(body))
                    outcomes.append(read_answer(connection)[0])
                except (OSError, IndexError):
                    outcomes.append("lost")

    clients = [threading.Thread(target=client) for _ in range(8)]
    for each in clients:
        each.start()
    until(lambda: outcomes.count(200) > 20 or not server.get("/health/live"))
    try:
        return server.terminate(), outcomes
    finally:
        stop.set()
        for each in clients:
            each.join(30)


def _command(module: str) -> list[str]:
    return _given() or [sys.executable, "-W", "ignore", "-m", module]


def _given() -> list[str]:
    return shlex.split(os.environ.get("SEETHROUGH_TEST_SERVER", ""))


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
