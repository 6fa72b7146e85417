"""What only a real process on a real socket can show."""

import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.pictures import jpeg
from tests.service.live import (
    LiveServer,
    raw_request,
    read_answer,
    running,
    terminated_under_load,
    until,
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    with (
        (tmp_path_factory.mktemp("live") / "log").open("w") as log,
        running(log, body_timeout_s="0.5", stall_timeout_s="1", log_format="json") as server,
    ):
        yield server


def test_a_slow_body_is_408_and_the_connection_closes(server: LiveServer) -> None:
    with server.connect() as connection:
        connection.sendall(raw_request(jpeg()[:1000], length=len(jpeg())))
        status, headers, body = read_answer(connection)
        assert (status, json.loads(body)["code"]) == (408, "body_too_slow")
        assert headers["connection"] == "close"
        assert connection.recv(1) == b""


def test_a_slow_body_with_a_deadline_is_504(server: LiveServer) -> None:
    request = raw_request(jpeg()[:1000], length=len(jpeg()))
    request = request.replace(b"Host:", b"X-Deadline-Ms: 100\r\nHost:")
    with server.connect() as connection:
        connection.sendall(request)
        assert read_answer(connection)[0] == 504


@pytest.mark.parametrize("path", ["/v1/collections", "/v1/collections/default/projections"])
def test_a_body_that_stands_still_is_408_wherever_it_goes(server: LiveServer, path: str) -> None:
    request = raw_request(b'{"name"', length=100, path=path)
    with server.connect() as connection:
        connection.sendall(request.replace(b"image/jpeg", b"application/json"))
        status, headers, body = read_answer(connection)
        assert (status, json.loads(body)["code"]) == (408, "body_too_slow")
        assert headers["connection"] == "close"
        assert headers["x-request-id"] == json.loads(body)["request_id"]


def test_a_client_that_ended_its_side_is_answered(server: LiveServer) -> None:
    with server.connect() as connection:
        connection.sendall(raw_request(jpeg()))
        connection.shutdown(socket.SHUT_WR)
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    assert b"HTTP/1.1 200 OK" in answer  # behind 100 Continue, where it took long
    assert b"predictions" in answer


def test_a_client_that_hangs_up_in_its_body_is_counted_as_cancelled(server: LiveServer) -> None:
    before = server.metric("seethrough_requests_cancelled_total")
    with server.connect() as connection:
        connection.sendall(raw_request(jpeg()[:1000], length=len(jpeg())))
    until(lambda: server.metric("seethrough_requests_cancelled_total") == before + 1)


def test_clients_that_hang_up_while_waiting_leave_the_queue(server: LiveServer) -> None:
    before = server.metric("seethrough_requests_cancelled_total")
    connections = [server.connect() for _ in range(32)]
    for connection in connections:  # of seconds each: it takes a moment to see that they are gone
        connection.sendall(raw_request(jpeg(), path="/v1/explain/occlusion?mode=exact"))
    for connection in connections:
        connection.close()
    until(lambda: server.metric('seethrough_queue_tickets{lane="bulk"}') == 0)
    until(lambda: _in_flight(server) == 1)  # the request for /metrics itself
    assert server.metric("seethrough_requests_cancelled_total") > before
    assert server.get("/health/ready")[0] == 200


def _in_flight(server: LiveServer) -> float:
    text = server.get("/metrics")[1].splitlines()
    total = {"accepted": 0.0, "answered": 0.0, "cancelled": 0.0}
    for line in text:
        for name in total:
            if line.startswith(f"seethrough_requests_{name}_total"):
                total[name] += float(line.rpartition(" ")[2])
    return total["accepted"] - total["answered"] - total["cancelled"]


def test_a_client_that_sends_all_of_a_body_that_is_too_long_reads_why(server: LiveServer) -> None:
    with server.connect() as connection:
        for _ in range(2):
            connection.sendall(raw_request(bytes(30 * 2**20)))
            status, _, body = read_answer(connection)
            assert (status, json.loads(body)["code"]) == (413, "body_too_large")


def test_two_requests_on_one_connection_are_both_answered(server: LiveServer) -> None:
    with server.connect() as connection:
        for _ in range(2):
            connection.sendall(raw_request(jpeg()))
            assert read_answer(connection)[0] == 200


def test_rubbish_instead_of_http_does_no_harm(server: LiveServer) -> None:
    with server.connect() as connection:
        connection.sendall(b"\x00\xff rubbish\r\n\r\n")
        connection.recv(1000)
    assert server.get("/health/ready")[0] == 200


def test_sigterm_under_load_loses_no_accepted_request(tmp_path: Path) -> None:
    with (tmp_path / "log").open("w") as log, running(log, drain_delay_s="0.5") as server:
        code, outcomes = terminated_under_load(server, jpeg())
    assert code == 0
    assert outcomes.count(200) > 20
    assert set(outcomes) <= {200, 503}


def test_a_server_that_cannot_load_its_model_exits_with_1_and_says_why(tmp_path: Path) -> None:
    with (tmp_path / "log").open("w+") as log:
        server = LiveServer(log, models="no-such-model")
        assert server.process.wait(60) == 1
        log.seek(0)
        assert "no model named 'no-such-model'" in log.read()
