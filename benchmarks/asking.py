"""Raw requests over HTTP, and what came of them: clients that cost little beside the server."""

import asyncio
import re
import socket
import statistics
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Final, cast

PORT: Final = 8743
_TIMEOUT_S: Final = 90.0
_LENGTH: Final = re.compile(rb"content-length: (\d+)")
POLITE: Final = "127.0.0.2"
"""The address of the client whose waiting is measured, so that it is not one with the others."""


@dataclass
class Seen:
    """Answers to one kind of request: how many of each status, and their milliseconds."""

    statuses: Counter[str] = field(default_factory=Counter)
    ms: dict[str, list[float]] = field(default_factory=dict)

    def note(self, status: str, seconds: float) -> None:
        """One answer, or the name of what went wrong instead."""
        self.statuses[status] += 1
        self.ms.setdefault(status, []).append(seconds * 1000)

    def said(self) -> str:
        """How many of each status."""
        return " ".join(f"{count} x {status}" for status, count in sorted(self.statuses.items()))

    def quantile(self, share: float, status: str | None = None) -> float:
        """Milliseconds in which that share of the answers of a status, or of all, were here."""
        found = sorted(
            ms for name, all_ms in self.ms.items() if status in (None, name) for ms in all_ms
        )
        return found[min(len(found) - 1, int(share * len(found)))] if found else float("nan")

    def quantiles(self, status: str | None = None) -> str:
        """p50 and p99."""
        if status is not None and not self.statuses[status]:
            return ""
        return f"{self.quantile(0.5, status):.0f} / {self.quantile(0.99, status):.0f}"

    def median(self) -> float:
        """Of all answers, in milliseconds."""
        return statistics.median(ms for all_ms in self.ms.values() for ms in all_ms)


def post(body: bytes, kind: str, path: str = "/v1/classify", *, close: bool = True) -> bytes:
    """The bytes of a request; close: it ends its connection."""
    ending = "Connection: close\r\n" if close else ""
    return (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{ending}"
        f"Content-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
    ).encode() + body


def get(path: str) -> bytes:
    """The same without a body."""
    return f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n".encode()


async def ask(request: bytes, seen: Seen, address: str = "127.0.0.1") -> None:
    """Send a request that ends its connection on a new one, and note what comes."""
    start = time.perf_counter()
    try:
        async with asyncio.timeout(_TIMEOUT_S):
            status = await _answer(request, address)
    except (OSError, TimeoutError, IndexError) as error:
        status = type(error).__name__
    seen.note(status, time.perf_counter() - start)


async def _answer(request: bytes, address: str) -> str:
    loop = asyncio.get_running_loop()
    with socket.socket() as connection:  # a stream would hold a copy of what it has not sent
        connection.setblocking(False)
        connection.bind((address, 0))
        await loop.sock_connect(connection, ("127.0.0.1", PORT))
        await loop.sock_sendall(connection, request)
        head = await loop.sock_recv(connection, 2**16)
        while await loop.sock_recv(connection, 2**20):
            pass
    return head.split()[1].decode()


class Kept(asyncio.Protocol):
    """One connection that is kept, or opened anew where the server has closed it."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._answer = b""
        self._status: asyncio.Future[str] | None = None

    async def ask(self, request: bytes, seen: Seen) -> None:
        """Send a request that leaves the connection open, and note what comes."""
        start = time.perf_counter()
        loop = asyncio.get_running_loop()
        self._answer, self._status = b"", loop.create_future()
        try:
            async with asyncio.timeout(_TIMEOUT_S):
                if self._transport is None:
                    await loop.create_connection(lambda: self, "127.0.0.1", PORT)
                assert self._transport is not None
                self._transport.write(request)
                status = await self._status
        except (OSError, TimeoutError) as error:
            status = type(error).__name__
            self.close()
        seen.note(status, time.perf_counter() - start)

    def close(self) -> None:
        """End the connection."""
        if self._transport is not None:
            self._transport.close()
            self._transport = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It is open."""
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """More of an answer."""
        self._answer += data
        head, end, body = self._answer.partition(b"\r\n\r\n")
        length = _LENGTH.search(head)
        if end and length and len(body) >= int(length[1]) and self._status is not None:
            if not self._status.done():
                self._status.set_result(head[9:12].decode())
            if b"\r\nconnection: close" in head:
                self.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """It has ended, perhaps before the answer was here."""
        self._transport = None
        if self._status is not None and not self._status.done():
            self._status.set_exception(exc or ConnectionResetError("closed"))
