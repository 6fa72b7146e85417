"""Seethrough against its ceiling and its peers: `python -m benchmarks.serving`.

In the same run, on the same photos, in interleaved rounds, each server alone on the machine
(the others are stopped by a signal): A forward only, C decode + resize + forward in process, S
Seethrough over HTTP, L LitServe, N plain FastAPI + torch. Writes benchmarks/results/serving.md.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from collections import defaultdict
from contextlib import ExitStack
from pathlib import Path

from benchmarks.machine import describe, table
from benchmarks.server_process import ServerProcess
from benchmarks.wrk import Load, drive, script

_RESULTS = Path(__file__).parent / "results"
_PORTS = {"S": 8731, "L": 8732, "N": 8733}

# name -> (server, path, form of the body, clients)
_RUNS = {
    "S raw, 1 client": ("S", "/v1/classify", "raw", 1),
    "S raw, 16 clients": ("S", "/v1/classify", "raw", 16),
    "S raw, 64 clients": ("S", "/v1/classify", "raw", 64),
    "S multipart, 1 client": ("S", "/v1/classify", "multipart", 1),
    "S multipart, 16 clients": ("S", "/v1/classify", "multipart", 16),
    "S multipart, 64 clients": ("S", "/v1/classify", "multipart", 64),
    "L LitServe, 16 clients": ("L", "/predict", "json", 16),
    "N FastAPI `def`, 16 clients": ("N", "/predict", "multipart", 16),
    "N FastAPI `async def`, 16 clients": ("N", "/async/predict", "multipart", 16),
}


class Measured:
    """All rounds of one run."""

    def __init__(self) -> None:
        self.loads: list[Load] = []
        self.cpu_ms: list[float] = []
        self.peak_mib = 0.0

    def median(self, name: str) -> float:
        return statistics.median(float(getattr(load, name)) for load in self.loads)

    def row(self, name: str) -> list[str]:
        return [
            name,
            f"{self.median('per_s'):.1f}",
            f"{self.median('p50_ms'):.1f}",
            f"{self.median('p99_ms'):.1f}",
            f"{statistics.median(self.cpu_ms):.1f}",
            f"{self.peak_mib:.0f}",
            str(sum(load.bad for load in self.loads)),
        ]


def main() -> None:
    """Run everything and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5, help="rounds of every run (default 5)")
    parser.add_argument("--seconds", type=int, default=5, help="seconds of each (default 5)")
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"), help="of all (cpu)")
    options = parser.parse_args()
    runs: dict[str, Measured] = defaultdict(Measured)
    ceilings: list[dict[str, float]] = []
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        servers = {name: stack.enter_context(server) for name, server in _servers(options.device)}
        inprocess = stack.enter_context(_inprocess(options.seconds, options.device))
        for number in range(options.rounds):
            print(f"round {number + 1} of {options.rounds}", file=sys.stderr, flush=True)
            ceilings.append(_ask(inprocess))
            for name, (server, path, form, clients) in _RUNS.items():
                _measure(
                    runs[name],
                    servers[server],
                    path,
                    script(folder, form),
                    clients,
                    options.seconds,
                )
        assert inprocess.stdin is not None
        inprocess.stdin.close()
    text = _report(runs, ceilings, options)
    name = "serving.md" if options.device == "cpu" else f"serving-{options.device}.md"
    (_RESULTS / name).write_text(text)
    print(text)


def _servers(device: str) -> list[tuple[str, ServerProcess]]:
    commands = {
        "S": (
            ["-m", "service", "serve", "--port", str(_PORTS["S"]), "--device", device],
            "/health/ready",
        ),
        "L": (["-m", "benchmarks.peers.litserve_app", str(_PORTS["L"]), device], "/health"),
        "N": (["-m", "benchmarks.peers.fastapi_app", str(_PORTS["N"]), device], "/health"),
    }
    servers = []
    for name, (command, path) in commands.items():
        server = ServerProcess(command, _PORTS[name], path, SEETHROUGH_LOG_LEVEL="warning")
        server.pause()
        servers.append((name, server))
    return servers


def _inprocess(seconds: float, device: str) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.inprocess", str(seconds), device],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    process.stdout.readline()
    return process


def _ask(inprocess: subprocess.Popen[str]) -> dict[str, float]:
    assert inprocess.stdin is not None
    assert inprocess.stdout is not None
    inprocess.stdin.write("go\n")
    inprocess.stdin.flush()
    answer: dict[str, float] = json.loads(inprocess.stdout.readline())
    return answer


def _measure(
    measured: Measured, server: ServerProcess, path: str, lua: Path, clients: int, seconds: int
) -> None:
    server.resume()
    drive(server.url + path, lua, clients, 1)  # warm up
    before = server.cpu_s()
    load = drive(server.url + path, lua, clients, seconds)
    measured.loads.append(load)
    measured.cpu_ms.append((server.cpu_s() - before) / max(1, load.requests) * 1000)
    measured.peak_mib = max(measured.peak_mib, server.peak_mib())
    server.pause()


def _report(
    runs: dict[str, Measured], ceilings: list[dict[str, float]], options: argparse.Namespace
) -> str:
    def ratio(ours: str, theirs: str) -> str:
        pairs = list(zip(runs[ours].loads, runs[theirs].loads, strict=True))
        ratios = [a.per_s / b.per_s for a, b in pairs if b.per_s > 0]
        stuck = len(pairs) - len(ratios)  # rounds in which the peer answered nothing at all
        text = f"{statistics.median(ratios):.2f}" if ratios else "-"
        return text + (f" ({stuck} rounds without an answer left out)" if stuck else "")

    sixteen, one = "S raw, 16 clients", "S raw, 1 client"
    to_ceiling = statistics.median(
        load.per_s / ceiling["C"]
        for load, ceiling in zip(runs[sixteen].loads, ceilings, strict=True)
    )
    extra_ms = statistics.median(
        load.p50_ms - ceiling["C_one_ms"]
        for load, ceiling in zip(runs[one].loads, ceilings, strict=True)
    )
    ratios = [
        ["S / C, 16 clients", f"{to_ceiling:.2f}", ">= 0.85"],
        ["S / L, 16 clients", ratio(sixteen, "L LitServe, 16 clients"), ">= 3"],
        ["S / N (`def`), 16 clients", ratio(sixteen, "N FastAPI `def`, 16 clients"), ">= 5"],
        ["S / N (`async def`)", ratio(sixteen, "N FastAPI `async def`, 16 clients"), ""],
        ["S p50 at 1 client - C, ms", f"{extra_ms:.1f}", "<= 4"],
    ]
    middle = {name: statistics.median(each[name] for each in ceilings) for name in ("A", "C")}
    one_ms = statistics.median(each["C_one_ms"] for each in ceilings)
    absolute = [
        ["A forward only, best batch", f"{middle['A']:.1f}", *[""] * 5],
        ["C decode + resize + forward, best way", f"{middle['C']:.1f}", *[""] * 5],
        ["C one picture at a time", f"{1000 / one_ms:.1f}", f"{one_ms:.1f}", *[""] * 4],
        *(measured.row(name) for name, measured in runs.items()),
    ]
    packages = ("torch", "openvino", "timm", "fastapi", "uvicorn", "litserve", "pillow")
    return "\n".join(
        [
            "# Serving EfficientNet-Lite0, 224 px, JPEG photos of 500 x 375",
            "",
            f"`python -m benchmarks.serving --rounds {options.rounds} --seconds {options.seconds} "
            f"--device {options.device}` on {describe(*packages, device=options.device)}.",
            "",
            "Medians over the rounds; a ratio is the median of the rounds' own ratios. wrk, with "
            "one thread, shares the machine with the server. Peak memory is the sum over a "
            "server's processes since its start.",
            "",
            table(["ratio", "measured", "target"], ratios),
            table(["run", "req/s", "p50 ms", "p99 ms", "CPU ms/req", "peak MiB", "bad"], absolute),
        ]
    )


if __name__ == "__main__":
    main()
