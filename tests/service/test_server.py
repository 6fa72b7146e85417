import asyncio
import logging
import signal
import socket
import sys
from functools import partial

import pytest
import uvicorn
from starlette.applications import Starlette

from service.server import DrainingServer, connections_that_fit, refuse_new_connections

linux = pytest.mark.skipif(sys.platform != "linux", reason="the kernel's part is Linux's")


@linux
@pytest.mark.parametrize(
    ("family", "host"), [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")]
)
def test_new_connections_are_refused_and_waiting_ones_are_still_accepted(
    family: socket.AddressFamily, host: str
) -> None:
    with socket.socket(family) as listener:
        try:
            listener.bind((host, 0))
        except OSError as error:
            pytest.skip(f"no {host} here: {error}")
        listener.listen(8)
        waiting = [socket.create_connection(listener.getsockname()[:2]) for _ in range(3)]
        refuse_new_connections(listener.fileno())
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(listener.getsockname()[:2], timeout=5)
        for client in waiting:
            connection, address = listener.accept()
            with client, connection:
                assert address == client.getsockname()
                client.sendall(b"asked")
                assert connection.recv(5) == b"asked"


@linux
def test_a_drain_ends_in_order_where_the_kernel_cannot_refuse_connections(
    caplog: pytest.LogCaptureFixture,
) -> None:
    drained: list[bool] = []
    server = DrainingServer(
        uvicorn.Config(Starlette(), port=0, log_config=None),
        drain=lambda: drained.append(True),
        drain_delay_s=0,
        refuse=partial(refuse_new_connections, option=2**15),  # as in a kernel that has none
    )

    async def serve() -> None:
        task = asyncio.create_task(server.serve())
        while not server.started:
            await asyncio.sleep(0.01)
        server.handle_exit(signal.SIGTERM, None)
        await asyncio.wait_for(task, 30)

    with caplog.at_level(logging.WARNING, "seethrough"):
        asyncio.run(serve())
    assert drained == [True]
    assert "connections of the last milliseconds may be reset" in caplog.text


@linux
@pytest.mark.parametrize(
    ("soft", "hard", "wanted", "fit", "raised"),
    [
        (4096, 4096, 1000, 1000, None),
        (1024, 4096, 1000, 1000, 1256),
        (1024, 1024, 1000, 768, 1024),
        (1024, -1, 5000, 5000, 5256),
        (-1, -1, 5000, 5000, None),
        (64, 64, 1000, 1, 64),
    ],
)
def test_no_more_connections_are_taken_than_files_may_be_open(
    monkeypatch: pytest.MonkeyPatch, soft: int, hard: int, wanted: int, fit: int, raised: int | None
) -> None:
    set_to: list[tuple[int, int]] = []
    monkeypatch.setattr("resource.getrlimit", lambda _which: (soft, hard))
    monkeypatch.setattr("resource.setrlimit", lambda _which, limits: set_to.append(limits))
    assert connections_that_fit(wanted) == fit
    assert set_to == ([] if raised is None else [(raised, hard)])
