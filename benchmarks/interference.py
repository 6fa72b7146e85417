"""Classify's p99 with and without a t-SNE running: `python -m benchmarks.interference`.

The map is of Fashion-MNIST pictures, stored through the service in a collection of the example's
network; classify runs the default model. Rounds with and without alternate.
"""

import argparse
import base64
import gzip
import io
import json
import statistics
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from benchmarks.machine import describe, table
from benchmarks.server_process import ServerProcess
from benchmarks.wrk import drive, script

_ROOT = Path(__file__).parents[1]
_RESULTS = _ROOT / "benchmarks" / "results" / "interference.md"
_PICTURES = Path("/usr/share/datasets/fashion-mnist/t10k-images-idx3-ubyte.gz")
_PORT = 8931
_COLLECTION = "/v1/collections/clothes"
_CLIENTS = 4
# Long enough to be running all through a round.
_MAP = {"method": "tsne", "iterations": 5000, "early_iterations": 1000}


def ask(url: str, body: bytes | None, kind: str = "application/json", method: str = "") -> Any:
    """The answer's JSON, if it has any."""
    request = urllib.request.Request(
        url, data=body, headers={"Content-Type": kind}, method=method or None
    )
    with urllib.request.urlopen(request, timeout=600) as answer:
        content = answer.read()
    return json.loads(content) if content and kind == "application/json" else None


def store(url: str, count: int) -> None:
    """Put the first test pictures into a new collection."""
    pixels = np.frombuffer(gzip.decompress(_PICTURES.read_bytes()), np.uint8)[16:].reshape(
        -1, 28, 28
    )
    lines = []
    for picture in pixels[:count]:
        file = io.BytesIO()
        Image.fromarray(picture).save(file, "PNG")
        lines.append(json.dumps({"image": base64.b64encode(file.getvalue()).decode()}))
    made = {"name": "clothes", "model": "fashion_mnist"}
    ask(url + "/v1/collections", json.dumps(made).encode())
    ask(f"{url}{_COLLECTION}/items/batch", "\n".join(lines).encode(), "application/x-ndjson")


def begin(url: str, seed: int) -> str:
    """Start a map and wait until it is being computed; answers its address."""
    asked = json.dumps(_MAP | {"seed": seed}).encode()
    address = (
        f"{url}{_COLLECTION}/projections/{ask(f'{url}{_COLLECTION}/projections', asked)['id']}"
    )
    while (now := ask(address, None))["progress"] < 0.1:
        if now["status"] == "failed":
            raise SystemExit(now["reason"])
        time.sleep(0.2)
    return address


def measure(rounds: int, seconds: int, count: int) -> tuple[list[float], list[float]]:
    """p99 in ms of each round, alone and beside a map."""
    command = ["-m", "service", "serve", "--port", str(_PORT), "--log-level", "error"]
    alone, contended = [], []
    with (
        tempfile.TemporaryDirectory() as folder,
        ServerProcess(
            command, _PORT, "/health/ready", SEETHROUGH_MODELS_DIR=str(_ROOT / "examples")
        ) as server,
    ):
        store(server.url, count)
        lua, url = script(Path(folder), "raw"), server.url + "/v1/classify"
        drive(url, lua, _CLIENTS, 2)
        for seed in range(rounds):
            alone.append(drive(url, lua, _CLIENTS, seconds).p99_ms)
            address = begin(server.url, seed)
            contended.append(drive(url, lua, _CLIENTS, seconds).p99_ms)
            status = ask(address, None)["status"]
            if status != "running":
                raise SystemExit(f"the map was {status} before the round was over")
            ask(address, None, method="DELETE")
            while ask(address, None)["status"] == "running":
                time.sleep(0.2)
    return alone, contended


def main() -> None:
    """Run everything and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=5, help="of each latency run")
    parser.add_argument("--count", type=int, default=5000, help="pictures in the map")
    options = parser.parse_args()
    alone, contended = measure(options.rounds, options.seconds, options.count)
    ratio = statistics.median(b / a for a, b in zip(alone, contended, strict=True))
    row = [
        f"{_CLIENTS} clients on efficientnet-lite0",
        f"{ratio:.2f}",
        "<= 2.5",
        f"{statistics.median(contended):.0f}",
        f"{statistics.median(alone):.0f}",
    ]
    head = ["load", "ratio", "target", "beside a t-SNE, ms", "alone, ms"]
    _RESULTS.write_text(
        "# Classify beside a map\n\n"
        f"`python -m benchmarks.interference` on {describe('openTSNE')}.\n\n"
        f"Classify's p99, medians of {options.rounds} rounds; the t-SNE is of {options.count} "
        "Fashion-MNIST "
        f"pictures.\n\n{table(head, [row])}\n",
        encoding="utf-8",
    )
    print(_RESULTS.read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
