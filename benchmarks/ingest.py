"""How fast pictures are stored over HTTP, against how fast they are classified."""

import base64
import http.client
import itertools
import json
import statistics
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

from benchmarks.machine import table
from benchmarks.photos import photos
from benchmarks.server_process import ServerProcess
from benchmarks.wrk import Load, drive, script

_PORT = 8741
_CLIENTS = 16
_LINES = 64
"""Pictures in a batch; two batches are under way at once."""

CLASSIFY, ITEMS = "POST classify", "POST items"
BATCH = f"POST items/batch, 2 clients, NDJSON of {_LINES}"
_PATHS = {CLASSIFY: "/v1/classify", ITEMS: "/v1/collections/default/items"}


def ingest(rounds: int, seconds: int) -> str:
    """The section of the report."""
    rates: dict[str, list[float]] = defaultdict(list)
    loads: dict[str, list[Load]] = defaultdict(list)
    cpu_ms: dict[str, list[float]] = defaultdict(list)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        command = ["-m", "service", "serve", "--port", str(_PORT), "--log-level", "warning"]
        data = str(folder / "data")
        with ServerProcess(command, _PORT, "/health/ready", SEETHROUGH_DATA_DIR=data) as server:
            runs: dict[str, Callable[[int], Load]] = {
                ITEMS: lambda s: drive(
                    server.url + _PATHS[ITEMS], script(folder, "raw"), _CLIENTS, s
                ),
                CLASSIFY: lambda s: drive(
                    server.url + _PATHS[CLASSIFY], script(folder, "raw"), _CLIENTS, s
                ),
                BATCH: _batches,
            }
            for run in runs.values():
                run(2)
            for number in range(rounds):
                for what, run in runs.items():
                    before = server.cpu_s()
                    load = run(seconds)
                    loads[what].append(load)
                    rates[what].append(load.per_s)
                    cpu_ms[what].append((server.cpu_s() - before) / load.requests * 1000)
                print(f"ingest, round {number + 1}", file=sys.stderr, flush=True)
    return _report(rates, loads, cpu_ms)


def _report(
    rates: dict[str, list[float]], loads: dict[str, list[Load]], cpu_ms: dict[str, list[float]]
) -> str:
    ratios = [
        [f"{what} / classify", f"{_ratio(rates[what], rates[CLASSIFY]):.2f}", ">= 0.8"]
        for what in (ITEMS, BATCH)
    ]
    absolute = [
        [
            what,
            f"{statistics.median(rates[what]):.1f}",
            f"{statistics.median(cpu_ms[what]):.1f}",
            f"{statistics.median(load.p50_ms for load in loads[what]):.0f}",
            f"{statistics.median(load.p99_ms for load in loads[what]):.0f}",
            str(sum(load.bad for load in loads[what])),
        ]
        for what in rates
    ]
    return "\n".join(
        [
            "The same photos (JPEG, 500 x 375) to one server with the default model and a new data "
            f"folder, {_CLIENTS} clients, rounds in turn; the collection keeps pixels. A batch's "
            "latency is of the whole batch.",
            "",
            table(["ratio", "measured", "target"], ratios),
            table(["run", "pictures/s", "CPU ms each", "p50 ms", "p99 ms", "bad"], absolute),
        ]
    )


def _ratio(ours: list[float], theirs: list[float]) -> float:
    return statistics.median(a / b for a, b in zip(ours, theirs, strict=True))


def _batches(seconds: int) -> Load:
    """Two clients, each a batch after the other."""
    took_s: list[float] = []
    bad = 0
    lines = [
        json.dumps({"image": base64.b64encode(photo).decode()}).encode() + b"\n"
        for photo in itertools.islice(itertools.cycle(photos()), _LINES)
    ]
    body = b"".join(lines)
    started = time.perf_counter()
    end = started + seconds

    def run() -> None:
        nonlocal bad
        connection = http.client.HTTPConnection("127.0.0.1", _PORT, timeout=120)
        while (begun := time.perf_counter()) < end:
            kind = {"Content-Type": "application/x-ndjson"}
            connection.request("POST", _PATHS[ITEMS] + "/batch", body, kind)
            answers = [json.loads(line) for line in connection.getresponse().read().splitlines()]
            bad += sum(answer["status"] != 201 for answer in answers)
            took_s.append(time.perf_counter() - begun)
        connection.close()

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    elapsed = time.perf_counter() - started
    ordered = sorted(took_s)
    return Load(
        requests=len(took_s) * _LINES,
        seconds=elapsed,
        p50_ms=statistics.median(ordered) * 1000,
        p99_ms=ordered[-1] * 1000,
        bad=bad,
    )
