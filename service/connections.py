"""`Connections`: how many may be open, in all and of one address, and why they ended."""

import logging
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from typing import Final, Protocol

from prometheus_client import CollectorRegistry, Gauge
from prometheus_client import Counter as Total

from service.errors import TooManyConnections

_log = logging.getLogger("seethrough")

IDLE: Final = "idle"
_LOG_EVERY_S: Final = 10.0
_ROUTED_BITS: Final = 64  # of an IPv6 address: whoever has one has all that share them
_RETRY_S: Final = 1.0
_MOST_LINGERING: Final = 64


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """What one connection may do, and how many there may be.

    Args:
        head_bytes: of a request's line and headers, each header counted with 32 bytes more.
        head_s: from the first moment, or a later request's first byte, to the end of its head.
        stall_s: how long nothing of an answer is read, or the body of an answered request comes.
        dropped_bytes: of that body: a client that sends all of it before it reads has its answer.
        connections: open at once.
        connections_per_address: of one client that is no trusted proxy.
    """

    head_bytes: int = 64 * 2**10
    head_s: float = 10.0
    stall_s: float = 10.0
    dropped_bytes: int = 64 * 2**20
    connections: int = 1000
    connections_per_address: int = 500


class Connection(Protocol):
    """What is asked of a connection."""

    address: str

    def expire(self, now: float) -> None:
        """End it if it has used up its time; now is the loop's."""

    def drop(self, reason: str) -> None:
        """Close it, answering nothing."""


class Connections:
    """All connections of a server; used on its loop only.

    Where no more are taken, one that waits for a request makes room first: the one that has waited
    longest, which no request is lost by.

    Args:
        limits: for each and for all.
        trusted_proxies: addresses and networks that bring connections of many; "*" = all.
        registry: where the metrics go.
    """

    def __init__(
        self, limits: ConnectionLimits, trusted_proxies: Sequence[str], registry: CollectorRegistry
    ) -> None:
        self.limits = limits
        self._everybody = "*" in trusted_proxies
        self._trusted = [ip_network(each) for each in trusted_proxies if each != "*"]
        self._open: dict[Connection, str] = {}
        self._waiting: dict[Connection, None] = {}  # the longest first
        self._lingering: set[Connection] = set()
        self._of_address: Counter[str] = Counter()
        self._logged: dict[str, float] = {}
        self._unlogged: Counter[str] = Counter()
        self._gauge = Gauge("seethrough_connections", "Connections open.", registry=registry)
        self._ended = Total(
            "seethrough_connections_ended",
            "Connections that the server refused or ended, by reason.",
            ["reason"],
            registry=registry,
        )

    def admit(self, connection: Connection) -> None:
        """Count a new one in.

        Raises:
            TooManyConnections: there are as many as may be, and each has a request.
        """
        client = client_of(connection.address)
        most = self.limits.connections_per_address
        if self._of_address[client] >= most and not self.is_trusted(connection.address):
            self._make_room(client, f"{most} connections of one address are open")
        if len(self._open) >= self.limits.connections:
            self._make_room(None, f"{self.limits.connections} connections are open")
        self._open[connection] = client
        self._of_address[client] += 1
        self._gauge.set(len(self._open))
        self.waits(connection)

    def release(self, connection: Connection) -> None:
        """Count one out that is closed, or was not taken."""
        client = self._open.pop(connection, None)
        self._waiting.pop(connection, None)
        self._lingering.discard(connection)
        if client is None:
            return
        self._of_address[client] -= 1
        if not self._of_address[client]:
            del self._of_address[client]
        self._gauge.set(len(self._open))

    def waits(self, connection: Connection) -> None:
        """It has no request, and may make room for one that has."""
        if connection in self._open:
            self._waiting[connection] = None

    def works(self, connection: Connection) -> None:
        """A request has begun to arrive."""
        self._waiting.pop(connection, None)

    def linger(self, connection: Connection) -> bool:
        """Whether one that was refused may stay open until its client has read why."""
        if len(self._lingering) < _MOST_LINGERING:
            self._lingering.add(connection)
        return connection in self._lingering

    def expire(self, now: float) -> None:
        """End those that have used up their time; now is the loop's."""
        for each in list(self._open):
            each.expire(now)

    def ended(self, reason: str, address: str) -> None:
        """Count the end of one; say it in the log, but not for each of a thousand."""
        self._ended.labels(reason).inc()
        if reason == IDLE:
            return
        self._unlogged[reason] += 1
        now = time.monotonic()
        if now - self._logged.get(reason, -_LOG_EVERY_S) >= _LOG_EVERY_S:
            self._logged[reason] = now
            count = self._unlogged.pop(reason)
            _log.warning("connections ended: %s, %d, the last of %s", reason, count, address)

    def is_trusted(self, address: str) -> bool:
        """Whether an address is a proxy's, whose connections are of many."""
        try:
            found = ip_address(address)
        except ValueError:
            return self._everybody
        return self._everybody or any(found in each for each in self._trusted)

    def _make_room(self, client: str | None, full: str) -> None:
        for each in self._waiting:
            if client is None or self._open[each] == client:
                self.release(each)
                each.drop("made_room")
                return
        raise TooManyConnections(f"{full}; no more are taken", retry_after_s=_RETRY_S)


def client_of(address: str) -> str:
    """What is counted as one client."""
    try:
        found = ip_address(address)
    except ValueError:
        return address
    if found.version == 4:
        return address
    return str(ip_network((found, _ROUTED_BITS), strict=False))
