"""Many more requests than can be answered, from a process of its own."""

import asyncio
import itertools
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context

import uvloop

from benchmarks.asking import POLITE, Kept, Seen, ask, get, post
from benchmarks.photos import photos

_PROBED = ("/health/live", "/health/ready", "/metrics")


@dataclass(frozen=True)
class Crowd:
    """What is sent: by so many clients, or so many times a second, whoever has been answered.

    Attributes:
        clients: each sends its next photo as soon as it has an answer; 0 = see `per_s`.
        per_s: photos sent in a second, on connections that are free or else new.
    """

    clients: int = 0
    per_s: float = 0

    def name(self) -> str:
        """How a table calls it."""
        return f"{self.clients} clients" if self.clients else f"{self.per_s:.0f} photos a second"


@dataclass(frozen=True)
class Observed:
    """What the crowd saw, and whoever probed beside it.

    Attributes:
        per_s: photos classified in a second.
        again_ms: after the end, until a photo is classified again.
    """

    crowd: Seen
    probes: dict[str, Seen]
    per_s: float
    again_ms: float


def observe(crowd: Crowd, seconds: float) -> Observed:
    """Send the crowd, and ask for health and metrics each second."""
    with ProcessPoolExecutor(1, get_context("spawn")) as process:
        process.submit(photos).result()  # it has imported and made everything
        sending = process.submit(_sent, crowd, seconds)
        probes = asyncio.run(_probed(seconds))
        seen, took_s = sending.result()
    start = time.perf_counter()
    again = Seen()
    while not again.statuses["200"]:
        asyncio.run(ask(post(photos()[0], "image/jpeg"), again, POLITE))
    per_s = seen.statuses["200"] / took_s
    return Observed(seen, probes, per_s, (time.perf_counter() - start) * 1000)


def _sent(crowd: Crowd, seconds: float) -> tuple[Seen, float]:
    start = time.perf_counter()
    seen = uvloop.run(_by_clients(crowd, seconds) if crowd.clients else _by_rate(crowd, seconds))
    return seen, time.perf_counter() - start


def _requests() -> "itertools.cycle[bytes]":
    return itertools.cycle(post(each, "image/jpeg", close=False) for each in photos())


async def _by_clients(crowd: Crowd, seconds: float) -> Seen:
    seen, requests, end = Seen(), _requests(), time.perf_counter() + seconds

    async def client() -> None:
        connection = Kept()
        while time.perf_counter() < end:
            await connection.ask(next(requests), seen)
        connection.close()

    await asyncio.gather(*(client() for _ in range(crowd.clients)))
    return seen


async def _by_rate(crowd: Crowd, seconds: float) -> Seen:
    seen, requests, free = Seen(), _requests(), list[Kept]()

    async def send() -> None:
        connection = free.pop() if free else Kept()
        await connection.ask(next(requests), seen)
        free.append(connection)

    async with asyncio.TaskGroup() as sending:
        start = time.perf_counter()
        for number in range(int(crowd.per_s * seconds)):
            await asyncio.sleep(start + number / crowd.per_s - time.perf_counter())
            sending.create_task(send())
    for each in free:
        each.close()
    return seen


async def _probed(seconds: float) -> dict[str, Seen]:
    probes = {path: Seen() for path in _PROBED}
    async with asyncio.TaskGroup() as asking:
        end = time.perf_counter() + seconds
        while time.perf_counter() < end:
            for path, seen in probes.items():
                asking.create_task(ask(get(path), seen, POLITE))
            await asyncio.sleep(1)
    return probes
