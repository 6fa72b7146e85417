"""How many connections may be open. Oracle: a list of what was let in, written out."""

import logging
from dataclasses import dataclass, field

import pytest
from prometheus_client import CollectorRegistry

from service.connections import ConnectionLimits, Connections
from service.errors import TooManyConnections


@dataclass(eq=False)
class Client:
    address: str
    dropped: list[str] = field(default_factory=list)

    def expire(self, now: float) -> None:
        self.dropped.append(f"expired {now}")

    def drop(self, reason: str) -> None:
        self.dropped.append(reason)


def connections(most: int, per_address: int, trusted: tuple[str, ...] = ()) -> Connections:
    limits = ConnectionLimits(connections=most, connections_per_address=per_address)
    return Connections(limits, trusted, CollectorRegistry())


def admitted(of: Connections, *addresses: str, busy: bool = True) -> list[Client]:
    clients = [Client(each) for each in addresses]
    for each in clients:
        of.admit(each)
        if busy:
            of.works(each)
    return clients


def test_no_more_are_taken_than_may_be_while_all_have_requests() -> None:
    of = connections(most=2, per_address=2)
    first, _ = admitted(of, "10.0.0.1", "10.0.0.2")
    refused = Client("10.0.0.3")
    with pytest.raises(TooManyConnections, match="2 connections are open"):
        of.admit(refused)
    of.release(refused)  # it closes, too
    of.release(first)
    admitted(of, "10.0.0.3")


def test_the_one_that_has_waited_longest_makes_room() -> None:
    of = connections(most=3, per_address=3)
    first, second, third = admitted(of, "10.0.0.1", "10.0.0.2", "10.0.0.3")
    of.waits(second)
    of.waits(first)
    admitted(of, "10.0.0.4")
    assert (first.dropped, second.dropped, third.dropped) == ([], ["made_room"], [])
    of.works(first)
    with pytest.raises(TooManyConnections):
        of.admit(Client("10.0.0.5"))


def test_one_that_never_sent_anything_makes_room_for_the_next() -> None:
    of = connections(most=1, per_address=1)
    (silent,) = admitted(of, "10.0.0.1", busy=False)
    admitted(of, "10.0.0.2")
    assert silent.dropped == ["made_room"]


def test_one_address_cannot_have_all() -> None:
    of = connections(most=10, per_address=2)
    one, _ = admitted(of, "10.0.0.1", "10.0.0.1")
    (other,) = admitted(of, "10.0.0.2")
    of.waits(other)
    with pytest.raises(TooManyConnections, match="2 connections of one address"):
        of.admit(Client("10.0.0.1"))
    of.waits(one)
    admitted(of, "10.0.0.1")
    assert (one.dropped, other.dropped) == (["made_room"], [])


def test_an_ipv6_client_is_the_network_it_has() -> None:
    of = connections(most=10, per_address=1)
    admitted(of, "2001:db8:0:1::1", "2001:db8:0:2::1")
    with pytest.raises(TooManyConnections):
        of.admit(Client("2001:db8:0:1:ffff::9"))


def test_a_trusted_proxy_brings_connections_of_many() -> None:
    of = connections(most=4, per_address=1, trusted=("10.0.0.0/24",))
    admitted(of, "10.0.0.1", "10.0.0.1", "10.0.1.1")
    with pytest.raises(TooManyConnections):
        of.admit(Client("10.0.1.1"))


def test_only_so_many_refused_ones_linger() -> None:
    of = connections(most=1, per_address=1)
    refused = [Client("10.0.0.1") for _ in range(65)]
    assert [of.linger(each) for each in refused] == [True] * 64 + [False]
    of.release(refused[0])
    assert of.linger(refused[-1])


def test_ends_are_counted_each_and_logged_together(caplog: pytest.LogCaptureFixture) -> None:
    registry = CollectorRegistry()
    of = Connections(ConnectionLimits(), (), registry)
    admitted(of, "10.0.0.1", "10.0.0.2")
    with caplog.at_level(logging.WARNING, "seethrough"):
        for _ in range(1000):
            of.ended("head_too_slow", "10.0.0.1")
        of.ended("idle", "10.0.0.1")
    assert [each.getMessage() for each in caplog.records] == [
        "connections ended: head_too_slow, 1, the last of 10.0.0.1"
    ]
    ended = "seethrough_connections_ended_total"
    assert registry.get_sample_value(ended, {"reason": "head_too_slow"}) == 1000
    assert registry.get_sample_value("seethrough_connections") == 2
