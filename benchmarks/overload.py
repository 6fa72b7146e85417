"""More than the service can do: `python -m benchmarks.overload [--against FOLDER]`.

Many clients with large pictures beside a polite one that sends a small photo each second; and many
times more clients than there is capacity for. FOLDER holds another state of this project, which is
measured in turn. Each row is a new server. Writes benchmarks/results/overload.md.
"""

import argparse
import asyncio
import io
import itertools
import os
import socket
import statistics
import time
import urllib.request
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from PIL import Image

from benchmarks.machine import describe, table
from benchmarks.memory import large_png
from benchmarks.photos import photos
from benchmarks.server_process import ServerProcess

_RESULTS: Final = Path(__file__).parent / "results" / "overload.md"
_PORT: Final = 8743
_SIZE: Final = (10_000, 5_000)
_TIMEOUT_S: Final = 90.0
_SETTLE_S: Final = 20.0


@dataclass
class Seen:
    """Answers to one kind of request: status, and milliseconds."""

    statuses: Counter[str] = field(default_factory=Counter)
    ms: dict[str, list[float]] = field(default_factory=dict)

    async def ask(self, request: bytes) -> None:
        """Send it on a new connection and note what comes."""
        start = time.perf_counter()
        try:
            async with asyncio.timeout(_TIMEOUT_S):
                status = await _answer(request)
        except (OSError, TimeoutError, IndexError) as error:
            status = type(error).__name__
        self.statuses[status] += 1
        self.ms.setdefault(status, []).append((time.perf_counter() - start) * 1000)

    def said(self) -> str:
        """How many of each status."""
        return " ".join(f"{count} x {status}" for status, count in sorted(self.statuses.items()))

    def quantiles(self, status: str | None = None) -> str:
        """p50 and p99 of those of a status, or of all."""
        found = [ms for name, each in self.ms.items() if status in (None, name) for ms in each]
        if not found:
            return ""
        last = sorted(found)[min(len(found) - 1, int(0.99 * len(found)))]
        return f"{statistics.median(found):.0f} / {last:.0f}"


async def _answer(request: bytes) -> str:
    loop = asyncio.get_running_loop()
    with socket.socket() as connection:  # a stream would hold a copy of what it has not sent
        connection.setblocking(False)
        await loop.sock_connect(connection, ("127.0.0.1", _PORT))
        await loop.sock_sendall(connection, request)
        head = await loop.sock_recv(connection, 2**16)
        while await loop.sock_recv(connection, 2**20):
            pass
    return head.split()[1].decode()


def post(body: bytes, kind: str, path: str = "/v1/classify") -> bytes:
    """The bytes of a request that ends its connection."""
    return (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n"
        f"Content-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
    ).encode() + body


def get(path: str) -> bytes:
    """The same without a body."""
    return f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n".encode()


def large(kind: str) -> bytes:
    """A request of a picture of 50 megapixels that is a small file."""
    if kind == "PNG, 16 bits":
        return post(large_png(16, 0), "image/png")
    if kind.startswith("batch"):
        head = b'--x\r\nContent-Disposition: form-data; name="image"; filename="a.png"\r\n\r\n'
        body = (head + large_png(8, 0) + b"\r\n") * 64 + b"--x--\r\n"
        return post(body, "multipart/form-data; boundary=x", "/v1/classify/batch")
    if kind.startswith("drawn"):
        path = "/v1/explain/saliency?format=png&size=original"
        return post(large_png(8, 0), "image/png", path)
    file, image = io.BytesIO(), Image.new("RGBA" if kind == "PNG, RGBA" else "RGB", _SIZE, "teal")
    options = {"WebP": {"method": 0}, "AVIF": {"speed": 10}}.get(kind, {})
    image.save(file, kind.split(",")[0], **options)
    return post(file.getvalue(), "image/*")


async def every_second(ask: Callable[[], Awaitable[None]], until: asyncio.Event) -> None:
    """Ask each second, whether or not the last has been answered."""
    asked = []
    while not until.is_set():
        asked.append(asyncio.ensure_future(ask()))
        await asyncio.sleep(1)
    await asyncio.gather(*asked)


async def beside_large(request: bytes, clients: int) -> tuple[Seen, Seen]:
    """What the many saw, each with one request, and the polite one."""
    many, polite, done = Seen(), Seen(), asyncio.Event()
    photo = post(photos()[0], "image/jpeg")
    watching = asyncio.create_task(every_second(lambda: polite.ask(photo), done))
    await asyncio.sleep(2)
    await asyncio.gather(*(many.ask(request) for _ in range(clients)))
    done.set()
    await watching
    return many, polite


def row_of_large(server: ServerProcess, kind: str, clients: int) -> list[str]:
    """One load of large pictures."""
    before, start = server.resident_mib(), time.perf_counter()
    many, polite = asyncio.run(beside_large(large(kind), clients))
    seconds, peak = time.perf_counter() - start, server.peak_mib()
    time.sleep(_SETTLE_S)
    memory = [f"{each:.0f}" for each in (before, peak, server.resident_mib())]
    return [many.said(), f"{seconds:.0f}", *memory, polite.said(), polite.quantiles()]


async def crowd(clients: int, seconds: float) -> tuple[Seen, Seen, Seen]:
    """So many send photos, each as soon as it has its answer; and two look at its health."""
    many, live, ready, done = Seen(), Seen(), Seen(), asyncio.Event()
    bodies = itertools.cycle(post(each, "image/jpeg") for each in photos())

    async def one() -> None:
        while not done.is_set():
            await many.ask(next(bodies))

    tasks = [asyncio.create_task(one()) for _ in range(clients)]
    for path, seen in (("/health/live", live), ("/health/ready", ready)):
        ask = get(path)
        tasks.append(
            asyncio.create_task(every_second(lambda seen=seen, ask=ask: seen.ask(ask), done))  # type: ignore[misc]
        )
    await asyncio.sleep(seconds)
    done.set()
    await asyncio.gather(*tasks)
    return many, live, ready


def row_of_crowd(server: ServerProcess, clients: int, seconds: float) -> list[str]:
    """One load of many clients, and how long it takes until all is well again."""
    asyncio.run(crowd(8, 3))
    start = time.perf_counter()
    many, live, ready = asyncio.run(crowd(clients, seconds))
    per_s = many.statuses["200"] / (time.perf_counter() - start)
    after = time.perf_counter()
    asyncio.run(Seen().ask(post(photos()[0], "image/jpeg")))
    recovery = (time.perf_counter() - after) * 1000
    urllib.request.urlopen(f"{server.url}/metrics").close()
    return [
        f"{per_s:.0f}",
        many.quantiles("200"),
        str(many.statuses["503"]),
        many.quantiles("503"),
        live.quantiles(),
        ready.said(),
        ready.quantiles(),
        f"{recovery:.0f}",
    ]


_LARGE_HEAD: Final = [
    *(
        "pictures",
        "clients",
        "code",
        "answers",
        "s",
        "MiB before",
        "peak",
        f"{_SETTLE_S:.0f} s later",
    ),
    *("polite client", "p50 / p99 ms"),
]
_CROWD_HEAD: Final = [
    *("clients", "code", "answered per s", "p50 / p99 ms", "refused", "p50 / p99 ms"),
    *("live, p50 / p99 ms", "ready", "p50 / p99 ms", "first answer after, ms"),
]


def main() -> None:
    """Run the loads and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--against", type=Path, help="another state of this project")
    parser.add_argument("--clients", type=int, default=64, help="with large pictures")
    parser.add_argument("--drawn", type=int, default=24, help="clients whose picture is drawn on")
    parser.add_argument("--crowd", type=int, nargs="*", default=[16, 400])
    parser.add_argument("--seconds", type=float, default=20.0, help="of each crowd")
    parser.add_argument(
        "--kinds", nargs="*", default=["JPEG", "PNG, 16 bits", "PNG, RGBA", "WebP", "AVIF"]
    )
    options = parser.parse_args()
    loads = [(kind, options.clients) for kind in options.kinds]
    loads += [("batch of 64 PNGs", 1), ("drawn on, PNG", options.drawn)]
    codes = {"this": Path.cwd()} | ({"before": options.against} if options.against else {})
    large_rows, crowd_rows = [], []
    for (kind, clients), (name, folder) in itertools.product(loads, reversed(codes.items())):
        with _server(folder) as server:
            large_rows.append([kind, str(clients), name, *row_of_large(server, kind, clients)])
        print(" | ".join(large_rows[-1]), flush=True)
    for clients, (name, folder) in itertools.product(options.crowd, reversed(codes.items())):
        with _server(folder) as server:
            crowd_rows.append([str(clients), name, *row_of_crowd(server, clients, options.seconds)])
        print(" | ".join(crowd_rows[-1]), flush=True)
    _RESULTS.write_text(
        "# Overload\n\n"
        f"`python -m benchmarks.overload` on {describe('torch', 'pillow', 'uvicorn')}.\n\n"
        f"Pictures of {_SIZE[0]} x {_SIZE[1]} pixels, one from each client; the polite one sends a "
        f"photo of 500 x 375 each second.\n\n{table(_LARGE_HEAD, large_rows)}\n"
        f"Photos of 500 x 375, each client sends its next as soon as it is answered.\n\n"
        + table(_CROWD_HEAD, crowd_rows)
    )


def _server(folder: Path) -> ServerProcess:
    command = ["-m", "service", "serve", "--port", str(_PORT), "--log-level", "error"]
    path = os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")])
    # Safe: without it the folder we stand in comes first.
    return ServerProcess(command, _PORT, "/health/ready", PYTHONPATH=path, PYTHONSAFEPATH="1")


if __name__ == "__main__":
    main()
