"""Connections that are left open: silent ones, heads and bodies that never end."""

import asyncio
import contextlib
import socket
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Final

from benchmarks.asking import POLITE, PORT, Seen, ask, post
from benchmarks.photos import photos

_HEAD = "POST /v1/classify HTTP/1.1\r\nHost: 127.0.0.1\r\n"
_BODY = _HEAD + "Content-Type: image/jpeg\r\nContent-Length: 20000000\r\n\r\n"
_LONGEST_S: Final = 40.0

KINDS: Final = {
    "sends nothing": (b"", b"", 0),
    "slow head, a byte a second": (_HEAD.encode(), b"a", 1),
    "head without end": (_HEAD.encode() + b"X: ", b"a" * 65536, 0.001),
    "body begun, then nothing": (_BODY.encode() + b"\xff\xd8" + bytes(65536), b"", 0),
    "body, a byte a second": (_BODY.encode() + b"\xff\xd8", b"a", 1),
    "19 MB of 20, then nothing": (_BODY.encode() + b"\xff\xd8" + bytes(19_000_000), b"", 0),
}
"""What a connection sends at first, what then, and after how many seconds each time."""


@dataclass
class Ended:
    """How such connections ended.

    Attributes:
        answers: statuses, or "closed", or "open" after the longest time.
        seconds: until each ended.
    """

    answers: Counter[str] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)


async def beside(kind: str, count: int) -> tuple[Ended, Seen]:
    """Leave connections open, and send a photo five times a second until all have ended."""
    ended, polite, done = Ended(), Seen(), asyncio.Event()
    watching = asyncio.create_task(photos_by(polite, done))
    await asyncio.sleep(1)
    await asyncio.gather(*(_left_open(kind, ended, number / count) for number in range(count)))
    done.set()
    await watching
    return ended, polite


async def photos_by(seen: Seen, done: asyncio.Event) -> None:
    """A photo five times a second, whether or not the last has been answered."""
    photo = post(photos()[0], "image/jpeg")
    async with asyncio.TaskGroup() as asking:
        while not done.is_set():
            asking.create_task(ask(photo, seen, POLITE))
            await asyncio.sleep(0.2)


async def _left_open(kind: str, ended: Ended, after_s: float) -> None:
    first, more, every_s = KINDS[kind]
    await asyncio.sleep(after_s)  # a second for all of them to come
    loop, start = asyncio.get_running_loop(), time.perf_counter()
    with socket.socket() as connection:
        connection.setblocking(False)
        said = "open"
        with contextlib.suppress(TimeoutError):
            try:
                async with asyncio.timeout(_LONGEST_S):
                    await loop.sock_connect(connection, ("127.0.0.1", PORT))
                    sending = asyncio.create_task(_send(connection, first, more, every_s))
                    try:
                        answer = await loop.sock_recv(connection, 65536)
                    finally:
                        sending.cancel()
                    said = answer.split()[1].decode() if answer else "closed"
            except OSError:
                said = "reset"
    ended.answers[said] += 1
    ended.seconds.append(time.perf_counter() - start)


async def _send(connection: socket.socket, first: bytes, more: bytes, every_s: float) -> None:
    loop = asyncio.get_running_loop()
    with contextlib.suppress(OSError):  # whoever reads the answer is told, too
        await loop.sock_sendall(connection, first)
        while more:
            await asyncio.sleep(every_s)
            await loop.sock_sendall(connection, more)
