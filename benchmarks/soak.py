"""10 000 requests of which 30 % are bad and some hang up midway: `python -m benchmarks.soak`.

Afterwards the server must be healthy, every accepted request answered or cancelled, and memory
must not have grown by 50 MB since the warm-up. Writes benchmarks/results/soak.md.
"""

import argparse
import asyncio
import random
import re
import time
import urllib.request
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from benchmarks.machine import describe, table
from benchmarks.photos import photos
from benchmarks.server_process import ServerProcess

_RESULTS = Path(__file__).parent / "results" / "soak.md"
_PORT = 8741
_CLIENTS = 64
_HANG_UPS = 0.05
_BAD = 0.30


def _request(body: bytes, kind: str = "image/jpeg", length: int | None = None) -> bytes:
    head = (
        f"POST /v1/classify HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
        f"Content-Type: {kind}\r\nContent-Length: {len(body) if length is None else length}\r\n\r\n"
    )
    return head.encode() + body


_MADE: list[Callable[[bytes], bytes]] = [
    lambda photo: _request(b""),
    lambda photo: _request(b"not a picture"),
    lambda photo: _request(photo[: len(photo) // 2]),
    lambda photo: _request(random.randbytes(2000)),
    lambda photo: _request(b"\xff\xd8\xff" + random.randbytes(3000)),
    lambda photo: _request(b'{"image": "%%%"}', "application/json"),
    lambda photo: _request(b"{", "application/json"),
    lambda photo: _request(photo, "text/plain"),
    lambda photo: _request(photo, "multipart/form-data; boundary=x"),
    lambda photo: _request(photo, length=2**31).replace(photo, b""),
    lambda photo: _request(photo).replace(b"/classify", b"/classify?top_k=0"),
    lambda photo: _request(photo).replace(b"/classify", b"/nowhere"),
    lambda photo: b"rubbish \x00\xff\r\n\r\n",
]


async def _one(port: int, dice: random.Random, outcomes: Counter[str]) -> None:
    photo = dice.choice(photos())
    bad, hang_up = dice.random() < _BAD, dice.random() < _HANG_UPS
    request = dice.choice(_MADE)(photo) if bad else _request(photo)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        if hang_up:
            writer.write(request[: dice.randint(1, len(request))])
            await writer.drain()
            await asyncio.sleep(dice.random() * 0.05)
            outcomes["hung up"] += 1
            return
        writer.write(request)
        await writer.drain()
        status = (await reader.readline()).split()[1].decode()
        text = await reader.read()
        if status == "503" and b"retry-after" not in text.lower():
            status = "503 without Retry-After"
        outcomes[f"{'bad' if bad else 'good'} {status}"] += 1
    except (ConnectionError, IndexError):
        outcomes["connection broken"] += 1
    finally:
        writer.close()


async def _load(port: int, count: int, seed: int) -> Counter[str]:
    outcomes: Counter[str] = Counter()
    dice = random.Random(seed)
    left = iter(range(count))

    async def client() -> None:
        for _ in left:
            await _one(port, dice, outcomes)

    await asyncio.gather(*(client() for _ in range(_CLIENTS)))
    return outcomes


def _counters(url: str) -> Counter[str]:
    """Accepted, answered and cancelled requests so far."""
    with urllib.request.urlopen(f"{url}/metrics") as answer:
        text = answer.read().decode()
    found: Counter[str] = Counter()
    for line in text.splitlines():
        match = re.match(r"seethrough_requests_(accepted|answered|cancelled)_total\S* (\S+)", line)
        if match:
            found[match[1]] += int(float(match[2]))
    return found


def main() -> None:
    """Run it and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--requests", type=int, default=10_000)
    count = parser.parse_args().requests
    command = ["-m", "service", "serve", "--port", str(_PORT), "--log-level", "error"]
    with ServerProcess(command, _PORT, "/health/ready") as server:
        asyncio.run(_load(_PORT, max(count // 5, 500), seed=1))  # warm up
        before = server.resident_mib()
        start = time.perf_counter()
        outcomes = asyncio.run(_load(_PORT, count, seed=2))
        seconds = time.perf_counter() - start
        for _ in range(100):  # the last hang-ups may still be on their way through
            totals = _counters(server.url)
            in_flight = totals["accepted"] - totals["answered"] - totals["cancelled"]
            if in_flight == 1:  # the request for the metrics itself
                break
            time.sleep(0.1)
        growth = server.resident_mib() - before
        with urllib.request.urlopen(f"{server.url}/health/ready") as answer:
            ready = answer.status
    facts = [
        ["requests sent", str(count)],
        ["seconds", f"{seconds:.0f}"],
        ["health after", f"/health/ready {ready}"],
        ["accepted - answered - cancelled", f"{in_flight - 1} (all requests since the start)"],
        ["accepted / answered / cancelled", " / ".join(str(totals[n]) for n in totals)],
        ["memory growth since warm-up", f"{growth:+.1f} MiB of {before:.0f} MiB (target < 50)"],
        *([name, str(number)] for name, number in sorted(outcomes.items())),
    ]
    text = (
        f"# Soak: {count} requests, 30 % bad, 5 % hang up midway, {_CLIENTS} clients\n\n"
        f"`python -m benchmarks.soak` on {describe('torch', 'openvino', 'fastapi', 'uvicorn')}.\n\n"
        + table(["what", "measured"], facts)
    )
    _RESULTS.write_text(text)
    print(text)


if __name__ == "__main__":
    main()
