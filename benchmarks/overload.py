"""More than the service can do: `python -m benchmarks.overload [--against FOLDER]`.

Many clients with large pictures beside a polite one that sends a small photo each second; many
times more requests than can be answered; and connections that are left open. FOLDER holds another
state of this project, which is measured in turn. Each row of a table is a new server, but for those
of the first. Polite clients and probes have an address of their own. Writes
benchmarks/results/overload.md.
"""

import argparse
import asyncio
import io
import itertools
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from PIL import Image

from benchmarks.asking import POLITE, PORT, Seen, ask, post
from benchmarks.crowd import Crowd, Observed, observe
from benchmarks.left_open import KINDS, beside, photos_by
from benchmarks.machine import describe, table
from benchmarks.memory import large_png
from benchmarks.photos import photos
from benchmarks.server_process import ServerProcess

_RESULTS: Final = Path(__file__).parent / "results" / "overload.md"
_SIZE: Final = (10_000, 5_000)
_SETTLE_S: Final = 60.0
_PEAK: Final = Crowd(clients=16)


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


async def beside_large(request: bytes, clients: int) -> tuple[Seen, Seen]:
    """What the many saw, each with one request, and the polite one."""
    many, polite, done = Seen(), Seen(), asyncio.Event()

    async def every_second() -> None:
        photo = post(photos()[0], "image/jpeg")
        async with asyncio.TaskGroup() as asking:
            while not done.is_set():
                asking.create_task(ask(photo, polite, POLITE))
                await asyncio.sleep(1)

    watching = asyncio.create_task(every_second())
    await asyncio.sleep(2)
    await asyncio.gather(*(ask(request, many) for _ in range(clients)))
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


def rows_of_crowd(server: ServerProcess, crowds: list[Crowd], seconds: float) -> list[list[str]]:
    """What one server does at its peak, and then with many more."""
    observe(Crowd(clients=8), 3)
    found = [(_PEAK, observe(_PEAK, seconds))]
    peak_per_s = found[0][1].per_s
    for crowd in (Crowd(per_s=10 * peak_per_s), *crowds):
        found.append((crowd, observe(crowd, seconds)))
    return [_row_of_crowd(crowd, each, peak_per_s) for crowd, each in found]


def _row_of_crowd(crowd: Crowd, found: Observed, peak_per_s: float) -> list[str]:
    live, ready, metrics = found.probes.values()
    return [
        crowd.name(),
        f"{found.per_s:.0f}",
        f"{found.per_s / peak_per_s:.2f}",
        found.crowd.quantiles("200"),
        str(found.crowd.statuses["503"]),
        found.crowd.quantiles("503"),
        live.quantiles(),
        f"{ready.said()}, {ready.quantiles()}",
        metrics.quantiles(),
        f"{found.again_ms:.0f}",
    ]


def row_of_open(server: ServerProcess, kind: str, count: int) -> list[str]:
    """One kind of connection left open, and the same polite client without and with them."""
    alone = asyncio.run(_alone(10))
    before = server.resident_mib()
    ended, polite = asyncio.run(beside(kind, count))
    answers = " ".join(f"{number} x {said}" for said, number in sorted(ended.answers.items()))
    return [
        kind,
        str(count),
        answers,
        f"{min(ended.seconds):.0f} to {max(ended.seconds):.0f}",
        f"{before:.0f}",
        f"{server.peak_mib():.0f}",
        alone.quantiles(),
        f"{polite.said()}, {polite.quantiles()}",
        f"{polite.quantile(0.99) / alone.quantile(0.99):.2f}",
    ]


async def _alone(seconds: float) -> Seen:
    seen, done = Seen(), asyncio.Event()
    asyncio.get_running_loop().call_later(seconds, done.set)
    await photos_by(seen, done)
    return seen


_LARGE_HEAD: Final = [
    *("pictures", "clients", "code", "answers", "s", "MiB before", "peak"),
    *(f"{_SETTLE_S:.0f} s later", "polite client", "p50 / p99 ms"),
]
_CROWD_HEAD: Final = [
    *("load", "code", "classified per s", "of the peak", "p50 / p99 ms", "refused"),
    *("p50 / p99 ms", "live, p50 / p99 ms", "ready", "metrics, p50 / p99 ms", "well after, ms"),
]
_OPEN_HEAD: Final = [
    *("connection", "how many", "code", "ended with", "after s", "MiB before", "peak"),
    *("photos alone, p50 / p99 ms", "photos beside", "ratio of p99"),
]


def main() -> None:
    """Run the loads and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--against", type=Path, help="another state of this project")
    parser.add_argument("--clients", type=int, default=64, help="with large pictures")
    parser.add_argument("--drawn", type=int, default=24, help="clients whose picture is drawn on")
    parser.add_argument("--crowd", type=int, nargs="*", default=[400], help="clients")
    parser.add_argument("--seconds", type=float, default=20.0, help="of each crowd")
    parser.add_argument("--open", type=int, default=400, help="connections left open")
    parser.add_argument(
        "--kinds", nargs="*", default=["JPEG", "PNG, 16 bits", "PNG, RGBA", "WebP", "AVIF"]
    )
    options = parser.parse_args()
    codes = {"this": Path.cwd()} | ({"before": options.against} if options.against else {})
    crowds = [Crowd(clients=each) for each in options.crowd]
    loads = [(kind, options.clients) for kind in options.kinds]
    loads += [("batch of 64 PNGs", 1), ("drawn on, PNG", options.drawn)]
    tables: dict[str, list[list[str]]] = {"large": [], "crowd": [], "open": []}

    def add(name: str, code: str, column: int, *rows: list[str]) -> None:
        for row in rows:
            tables[name].append([*row[:column], code, *row[column:]])
            print(" | ".join(tables[name][-1]), flush=True)
        _write(tables)

    for code, folder in reversed(codes.items()):
        with _server(folder) as server:
            add("crowd", code, 1, *rows_of_crowd(server, crowds, options.seconds))
    for kind, (code, folder) in itertools.product(KINDS, reversed(codes.items())):
        with _server(folder) as server:
            add("open", code, 2, row_of_open(server, kind, options.open))
    for (kind, clients), (code, folder) in itertools.product(loads, reversed(codes.items())):
        with _server(folder) as server:
            add("large", code, 2, [kind, str(clients), *row_of_large(server, kind, clients)])


def _write(tables: dict[str, list[list[str]]]) -> None:
    _RESULTS.write_text(
        "# Overload\n\n"
        f"`python -m benchmarks.overload` on {describe('torch', 'pillow', 'uvicorn')}. The clients "
        "run on the same cores.\n\n"
        "## More requests than can be answered\n\n"
        "Photos of 500 x 375 to /v1/classify, on connections that are kept. Clients send the next "
        "as soon as they are answered, whatever `Retry-After` says; where there is a rate, it is "
        "ten times the peak. Health and metrics are asked for once a second on new connections.\n\n"
        f"{table(_CROWD_HEAD, tables['crowd'])}\n"
        "## Connections left open\n\n"
        "A photo is sent five times a second, without them and beside them.\n\n"
        f"{table(_OPEN_HEAD, tables['open'])}\n"
        "## Large pictures\n\n"
        f"Pictures of {_SIZE[0]} x {_SIZE[1]} pixels, one from each client; the polite one sends a "
        f"photo of 500 x 375 each second.\n\n{table(_LARGE_HEAD, tables['large'])}"
    )


@contextmanager
def _server(folder: Path) -> Iterator[ServerProcess]:
    command = ["-m", "service", "serve", "--port", str(PORT), "--log-level", "error"]
    path = os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")])
    # Safe: without it the folder we stand in comes first.
    with ServerProcess(
        command, PORT, "/health/ready", PYTHONPATH=path, PYTHONSAFEPATH="1"
    ) as server:
        yield server


if __name__ == "__main__":
    main()
