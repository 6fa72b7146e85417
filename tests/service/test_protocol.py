"""Connections that end late, badly or never, on real sockets, under both event loops.

What is asserted is that an end comes, and which.
"""

import asyncio
import select
import socket
from collections.abc import Iterator
from dataclasses import replace

import pytest
import uvloop

from tests.service.bounded import (
    GET,
    LIMITS,
    Served,
    everything,
    problem,
    send_for_ever,
    until,
)


@pytest.fixture(params=[asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def served(request: pytest.FixtureRequest) -> Iterator[Served]:
    served = Served(request.param)
    yield served
    served.close()


def test_a_connection_that_sends_nothing_is_closed(served: Served) -> None:
    assert everything(served.connect()) == b""
    assert served.ended("idle") == 1


@pytest.mark.parametrize("sent", [b"G", b"GET / HTTP/1.1\r\nHost: loc", b"\r\n"])
def test_headers_that_never_end_in_time_are_408(served: Served, sent: bytes) -> None:
    connection = served.connect()
    connection.sendall(sent)
    status, said, _ = problem(everything(connection))
    assert (status, said["code"]) == (408, "head_too_slow")


def test_a_refused_client_that_stays_is_cut_off_and_counted_once(served: Served) -> None:
    connection = served.connect()
    connection.sendall(b"GET / HT")
    assert problem(everything(connection))[0] == 408
    with pytest.raises((BrokenPipeError, ConnectionResetError)):
        send_for_ever(connection)
    assert served.ended("head_too_slow") == 1
    other = served.connect()
    other.sendall(GET)
    until(b"hello", other)


CHUNKED = b"POST /read HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    ("begin", "more"),
    [
        (b"GET /", b"a"),
        (b"GET / HTTP/1.1\r\nX: ", b"a"),
        (b"GET / HTTP/1.1\r\nX: " + b"a" * 5000 + b"\r\nHost: localhost\r\n\r\n", b""),
        (b"GET / HTTP/1.1\r\n", b"a: b\r\n"),
        (CHUNKED + b"1\r\nx\r\n0\r\nX: ", b"a"),
        (CHUNKED + b"1;", b"a"),
        (b"\r\n", b"\r\n"),
    ],
    ids=["url", "header", "whole header", "many headers", "trailer", "chunk", "empty lines"],
)
def test_a_head_longer_than_may_be_is_431(served: Served, begin: bytes, more: bytes) -> None:
    connection = served.connect()
    connection.sendall(begin)
    while more and not select.select([connection], [], [], 0.001)[0]:
        connection.sendall(more * 200)
    status, said, _ = problem(everything(connection))
    assert (status, said["code"]) == (431, "head_too_large")
    assert "4096 bytes" in said["detail"]
    assert served.ended("head_too_large") == 1


def test_a_head_just_short_enough_is_taken(served: Served) -> None:
    fields = b"".join(b"a%02d: %s\r\n" % (i, b"b" * 100) for i in range(25))
    connection = served.connect()
    connection.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n%s\r\n" % fields)
    assert everything(connection).startswith(b"HTTP/1.1 200")


def test_what_is_not_http_is_a_problem(served: Served) -> None:
    connection = served.connect()
    connection.sendall(b"\x16\x03\x01 hello\r\n\r\n")
    status, said, _ = problem(everything(connection))
    assert (status, said["code"]) == (400, "request_unreadable")


def test_a_body_cut_into_wrong_chunks_is_a_problem(served: Served) -> None:
    connection = served.connect()
    head = b"POST /read HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
    connection.sendall(head + b"zz\r\n")
    assert problem(everything(connection))[0] == 400


def test_rubbish_behind_a_request_does_not_come_before_its_answer(served: Served) -> None:
    connection = served.connect()
    connection.sendall(GET.replace(b"/ ", b"/wait ") + b"\x00rubbish\r\n\r\n")
    served.released.set()
    answer = everything(connection)
    assert answer.startswith(b"HTTP/1.1 200")
    assert answer.endswith(b"waited")


def test_one_connection_too_many_is_503_and_says_when_to_come_back(served: Served) -> None:
    busy = [served.connect() for _ in range(LIMITS.connections)]
    for each in busy:
        each.sendall(GET.replace(b"/ ", b"/wait "))
        assert served.waiting.acquire(timeout=30)
    refused = served.connect()
    refused.sendall(GET)
    status, said, headers = problem(everything(refused))
    assert (status, said["code"], headers["retry-after"]) == (503, "too_many_connections", "1")
    served.released.set()
    for each in busy:
        each.shutdown(socket.SHUT_WR)
        assert b"200 OK" in everything(each)


def test_an_idle_connection_makes_room_for_one_with_a_request(served: Served) -> None:
    idle = [served.connect() for _ in range(LIMITS.connections)]
    for each in idle:
        each.sendall(GET)
        until(b"hello", each)
    connection = served.connect()
    connection.sendall(GET)
    assert until(b"hello", connection).startswith(b"HTTP/1.1 200")
    assert everything(idle[0]) == b""
    assert served.ended("made_room") == 1


@pytest.mark.parametrize("path", [b"/", b"/wait"])
def test_a_client_that_ended_its_side_is_answered(served: Served, path: bytes) -> None:
    connection = served.connect()
    connection.sendall(GET.replace(b"/ ", path + b" "))
    connection.shutdown(socket.SHUT_WR)
    if path == b"/wait":
        assert connection.recv(1000) == b"HTTP/1.1 100 Continue\r\n\r\n"
        assert not served.hung_up.is_set()
        served.released.set()
    answer = everything(connection)
    assert answer.startswith(b"HTTP/1.1 200")
    assert answer.endswith(b"hello" if path == b"/" else b"waited")


def test_requests_in_a_row_before_an_end_are_all_answered(served: Served) -> None:
    connection = served.connect()
    connection.sendall(GET * 3)
    connection.shutdown(socket.SHUT_WR)
    assert everything(connection).count(b"hello") == 3


def test_a_client_that_is_gone_is_noticed_while_its_answer_is_made(served: Served) -> None:
    connection = served.connect()
    connection.sendall(GET.replace(b"/ ", b"/wait "))
    connection.close()
    assert served.hung_up.wait(30)


def test_the_body_of_an_answered_request_does_not_go_on_for_ever(served: Served) -> None:
    connection = served.connect()
    connection.sendall(b"POST /unread HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99\r\n\r\nx")
    assert everything(connection).endswith(b"hello")
    assert served.ended("body_unread") == 1


def test_nor_does_it_take_more_than_so_many_bytes() -> None:
    limits = replace(LIMITS, dropped_bytes=2**20, stall_s=60)
    served = Served(uvloop.new_event_loop, limits=limits)
    connection = served.connect()
    head = b"POST /unread HTTP/1.1\r\nHost: localhost\r\nContent-Length: 999999999\r\n\r\n"
    connection.sendall(head)
    until(b"hello", connection)
    with pytest.raises((BrokenPipeError, ConnectionResetError)):
        connection.sendall(bytes(900 * 2**20))
    assert served.ended("body_unread") == 1
    served.close()


def test_the_next_request_behind_a_body_that_nobody_read_is_answered(served: Served) -> None:
    connection = served.connect()
    connection.sendall(b"POST /unread HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\n\r\nx")
    until(b"hello", connection)
    connection.sendall(b"xyz" + GET)
    assert everything(connection).endswith(b"hello")


def test_a_connection_whose_answer_came_before_its_body_is_kept_as_long_as_any() -> None:
    """Not only for as long as a head may take, which is a second here."""
    served = Served(uvloop.new_event_loop, keep_alive_s=60)
    connection = served.connect()
    connection.sendall(b"POST /unread HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n\r\n")
    until(b"hello", connection)
    connection.sendall(b"x")
    assert not select.select([connection], [], [], 3)[0]
    connection.sendall(GET)
    until(b"hello", connection)
    served.close()


def test_an_answer_that_nobody_reads_is_not_kept(served: Served) -> None:
    connection = served.connect()
    connection.sendall(GET.replace(b"/ ", b"/long "))
    while not served.ended("answer_unread"):
        served.hung_up.wait(0.05)
