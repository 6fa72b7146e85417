"""Drive a server with wrk and read what it prints."""

import base64
import json
import subprocess
from dataclasses import dataclass
from pathlib import Path

from benchmarks.photos import photos

_BOUNDARY = "seethrough-benchmark"

_LUA = """
local bodies = {}
for i = 1, %(count)d do
  local file = io.open("%(folder)s/" .. i, "rb"); bodies[i] = file:read("*a"); file:close()
end
local turn = 0
request = function()
  turn = turn %% #bodies + 1
  return wrk.format("POST", nil, {["Content-Type"] = "%(kind)s"}, bodies[turn])
end
done = function(summary, latency, requests)
  io.write(string.format(
    '\\nJSON {"requests": %%d, "seconds": %%f, "p50_ms": %%f, "p99_ms": %%f, "bad": %%d}\\n',
    summary.requests, summary.duration / 1e6,
    latency:percentile(50) / 1e3, latency:percentile(99) / 1e3,
    summary.errors.status + summary.errors.connect + summary.errors.read
      + summary.errors.write + summary.errors.timeout))
end
"""


@dataclass(frozen=True)
class Load:
    """What wrk saw. `bad` = answers other than 2xx or 3xx, and broken connections."""

    requests: int
    seconds: float
    p50_ms: float
    p99_ms: float
    bad: int

    @property
    def per_s(self) -> float:
        """Good answers per second."""
        return (self.requests - self.bad) / self.seconds


def script(folder: Path, form: str) -> Path:
    """A wrk script that sends the photos in turn, as `raw`, `multipart` or `json` bodies."""
    folder = folder / form
    folder.mkdir(parents=True, exist_ok=True)
    for number, photo in enumerate(photos(), 1):
        (folder / str(number)).write_bytes(_body(photo, form))
    kind = {
        "raw": "image/jpeg",
        "multipart": f"multipart/form-data; boundary={_BOUNDARY}",
        "json": "application/json",
    }[form]
    file = folder / "post.lua"
    file.write_text(_LUA % {"count": len(photos()), "folder": folder, "kind": kind})
    return file


def drive(url: str, script: Path, clients: int, seconds: int) -> Load:
    """Load a server on this machine for a while."""
    printed = subprocess.run(
        ["wrk", "-t1", f"-c{clients}", f"-d{seconds}s", "--timeout", "20s", "-s", script, url],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    line = next(line for line in printed.splitlines() if line.startswith("JSON "))
    return Load(**json.loads(line.removeprefix("JSON ")))


def _body(photo: bytes, form: str) -> bytes:
    if form == "json":
        return json.dumps({"image_data": base64.b64encode(photo).decode()}).encode()
    if form == "multipart":
        head = (
            f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="image"; '
            'filename="photo.jpg"\r\nContent-Type: image/jpeg\r\n\r\n'
        )
        return head.encode() + photo + f"\r\n--{_BOUNDARY}--\r\n".encode()
    return photo
