"""Memory that many of the largest pictures take at once: `python -m benchmarks.memory`.

Each row is a new server, on the CPU, with two threads that decode unless its settings say
otherwise. Writes benchmarks/results/memory.md.
"""

import argparse
import asyncio
import random
import socket
import struct
import time
import zlib
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from benchmarks.machine import describe, table
from benchmarks.server_process import ServerProcess

_RESULTS: Final = Path(__file__).parent / "results" / "memory.md"
_PORT: Final = 8742
_WIDTH, _HEIGHT = 10_000, 5_000
_FILE_BYTES: Final = 19 * 2**20


def large_png(depth: int, noise_bytes: int) -> bytes:
    """50 megapixels of RGB in `depth` bits, about as long as the noise in them."""
    row_bytes = _WIDTH * 3 * depth // 8
    noise = random.Random(0).randbytes(noise_bytes)
    packer = zlib.compressobj(9)
    rows = (
        b"\0" + noise[i * row_bytes : (i + 1) * row_bytes].ljust(row_bytes, b"\0")
        for i in range(_HEIGHT)
    )
    pixels = b"".join(map(packer.compress, rows)) + packer.flush()
    header = struct.pack(">IIBBBBB", _WIDTH, _HEIGHT, depth, 2, 0, 0, 0)
    chunks = _chunk(b"IHDR", header) + _chunk(b"IDAT", pixels) + _chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunks


def _chunk(kind: bytes, payload: bytes) -> bytes:
    return (
        struct.pack(">I", len(payload))
        + kind
        + payload
        + struct.pack(">I", zlib.crc32(kind + payload))
    )


@dataclass(frozen=True)
class Load:
    """What is sent to one server.

    Attributes:
        depth: bits of a sample.
        clients: requests at once, each of one picture of nearly the longest body.
        batch: pictures in the one request that is sent instead; 0 = none.
        path: where to.
        environment: of the server.
    """

    depth: int
    clients: int = 64
    batch: int = 0
    path: str = "/v1/classify"
    environment: dict[str, str] = field(default_factory=dict)

    def request(self) -> bytes:
        """The bytes that each client sends."""
        kind, body = "image/png", large_png(self.depth, 0 if self.batch else _FILE_BYTES)
        if self.batch:
            kind = "multipart/form-data; boundary=x"
            head = b'--x\r\nContent-Disposition: form-data; name="image"; filename="a.png"\r\n\r\n'
            body = (head + body + b"\r\n") * self.batch + b"--x--\r\n"
        return (
            f"POST {self.path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
            f"Content-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
        ).encode() + body

    def row(self) -> list[str]:
        """Send it, and what it took."""
        settings = {
            "SEETHROUGH_DECODE_THREADS": "2",
            "SEETHROUGH_DEADLINE_S": "900",
            "SEETHROUGH_BODY_TIMEOUT_S": "900",
        } | self.environment
        command = ["-m", "service", "serve", "--port", str(_PORT), "--log-level", "error"]
        request = self.request()
        with ServerProcess(command, _PORT, "/health/ready", **settings) as server:
            start = time.perf_counter()
            outcomes = asyncio.run(_send(request, self.clients))
            seconds = time.perf_counter() - start
            peak, after = server.peak_mib(), server.resident_mib()
        return [
            f"{self.batch or self.clients}{' in a batch' if self.batch else ''}",
            str(self.depth),
            self.path,
            " ".join(f"{k}={v}" for k, v in self.environment.items()),
            f"{len(request) / 2**20:.1f}",
            " ".join(f"{count} x {status}" for status, count in sorted(outcomes.items())),
            f"{seconds:.0f}",
            f"{peak:.0f}",
            f"{after:.0f}",
        ]


async def _send(request: bytes, clients: int) -> Counter[str]:
    loop = asyncio.get_running_loop()

    async def one() -> str:
        with socket.socket() as connection:  # a stream would hold a copy of what it has not sent
            connection.setblocking(False)
            await loop.sock_connect(connection, ("127.0.0.1", _PORT))
            try:
                await loop.sock_sendall(connection, request)
                head = await loop.sock_recv(connection, 2**16)
                while await loop.sock_recv(connection, 2**20):
                    pass
                return head.split()[1].decode()
            except (ConnectionError, IndexError):
                return "broken"

    return Counter(await asyncio.gather(*(one() for _ in range(clients))))


_HEAD: Final = [
    *("pictures", "bits", "path", "settings", "request MiB", "answers", "s"),
    *("peak MiB", "after MiB"),
]
_WHY: Final = "/v1/explain/saliency?format=png&size=original"
_TRIM: Final = {"MALLOC_TRIM_THRESHOLD_": "131072", "MALLOC_MMAP_THRESHOLD_": "4194304"}
_FOUR: Final = {"SEETHROUGH_DECODE_THREADS": "4"}
_LOADS: Final = {
    "few": Load(16, clients=2),
    "deep": Load(16),
    "plain": Load(8),
    "batch": Load(16, clients=1, batch=64, path="/v1/classify/batch"),
    "drawn": Load(8, clients=8, path=_WHY),
    "arenas": Load(16, environment={"MALLOC_ARENA_MAX": "2"}),
    "few-trim": Load(16, clients=2, environment=_TRIM),
    "deep-trim": Load(16, environment=_TRIM),
    "plain-trim": Load(8, environment=_TRIM),
    "batch-trim": Load(16, clients=1, batch=64, path="/v1/classify/batch", environment=_TRIM),
    "drawn-trim": Load(8, clients=8, path=_WHY, environment=_TRIM),
    "drawn-many": Load(8, clients=32, path=_WHY, environment=_TRIM | _FOUR),
    "four-trim": Load(16, environment=_TRIM | _FOUR),
    "full": Load(16, clients=256, environment=_TRIM | _FOUR | {"SEETHROUGH_DEADLINE_S": "60"}),
}


def main() -> None:
    """Run the loads and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("loads", nargs="*", help=f"of {', '.join(_LOADS)}; all if none is named")
    rows = []
    for name in parser.parse_args().loads or _LOADS:
        rows.append(_LOADS[name].row())
        print(" | ".join(rows[-1]), flush=True)
    text = (
        f"# Memory: pictures of {_WIDTH} x {_HEIGHT} pixels, PNG in RGB\n\n"
        f"`python -m benchmarks.memory` on {describe('torch', 'pillow', 'uvicorn')}.\n\n"
        + table(_HEAD, rows)
    )
    _RESULTS.write_text(text)


if __name__ == "__main__":
    main()
