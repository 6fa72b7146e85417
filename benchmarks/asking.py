"""Raw requests over HTTP, and what came of them: clients that cost little beside the server."""

import asyncio
import socket
import statistics
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Final

PORT: Final = 8743
_TIMEOUT_S: Final = 90.0
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


class Kept:
    """One connection that is kept, or opened anew where the server has closed it."""

    def __init__(self) -> None:
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, request: bytes, seen: Seen) -> None:
        """Send a request that leaves the connection open, and note what comes."""
        start = time.perf_counter()
        try:
            async with asyncio.timeout(_TIMEOUT_S):
                status = await self._answer(request)
        except (OSError, TimeoutError, EOFError) as error:
            status = type(error).__name__
            self.close()
        seen.note(status, time.perf_counter() - start)

    def close(self) -> None:
        """End the connection."""
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None

    async def _answer(self, request: bytes) -> str:
        if self._streams is None:
            self._streams = await asyncio.open_connection("127.0.0.1", PORT)
        reader, writer = self._streams
        writer.write(request)
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        length = int(head.partition(b"content-length:")[2].split(b"\r\n")[0])
        await reader.readexactly(length)
        if b"\r\nconnection: close\r\n" in head:
            self.close()
        return head.split()[1].decode()
