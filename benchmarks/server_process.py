"""A server process under test: start, pause, resume, stop, and what it used."""

import contextlib
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


class ServerProcess:
    """A process and its children. While paused it takes no processor time from the others."""

    def __init__(self, command: list[str], port: int, ready_path: str, **environment: str) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self._folder = TemporaryDirectory(prefix="seethrough-")
        environment.setdefault("SEETHROUGH_DATA_DIR", self._folder.name)
        self._name = " ".join(command)
        self._process = subprocess.Popen(
            [sys.executable, *command],
            env=os.environ | environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            self._wait(ready_path)
        except BaseException:  # or it would go on, on the port of the next
            self.__exit__(None, None, None)
            raise

    def __enter__(self) -> "ServerProcess":
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _: TracebackType | None,
    ) -> None:
        self._signal(signal.SIGCONT)
        self._signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(20)
        with contextlib.suppress(ProcessLookupError):  # children that outlived it
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(20)
        self._folder.cleanup()

    def pause(self) -> None:
        """Stop all its processes where they are."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let them go on."""
        self._signal(signal.SIGCONT)

    def cpu_s(self) -> float:
        """Processor seconds used by all its processes so far."""
        total = 0
        for folder in self._processes():
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
            total += int(fields[11]) + int(fields[12])
        return total / _TICKS_PER_S

    def peak_mib(self) -> float:
        """Sum over its processes of the most memory each ever held."""
        peaks = [_status(folder, "VmHWM") for folder in self._processes()]
        return sum(peaks) / 1024

    def resident_mib(self) -> float:
        """Memory its processes hold now."""
        return sum(_status(folder, "VmRSS") for folder in self._processes()) / 1024

    def _processes(self) -> list[Path]:
        found = []
        for folder in Path("/proc").iterdir():
            if folder.name.isdigit():
                try:
                    session = (folder / "stat").read_text().rpartition(")")[2].split()[3]
                except OSError:  # it ended while we looked
                    continue
                if int(session) == self._process.pid:
                    found.append(folder)
        return found

    def _signal(self, number: signal.Signals) -> None:
        if self._process.poll() is None:
            os.killpg(self._process.pid, number)

    def _wait(self, path: str) -> None:
        for _ in range(3000):
            if self._process.poll() is not None:
                raise RuntimeError(f"{self._name} ended with {self._process.returncode}")
            try:
                with urllib.request.urlopen(self.url + path, timeout=5) as answer:
                    if answer.status == 200:
                        return
            except (urllib.error.URLError, ConnectionError, TimeoutError):
                time.sleep(0.1)
        raise RuntimeError(f"{self._name} never became ready")


def _status(folder: Path, name: str) -> int:
    """A field of /proc/PID/status, in KiB."""
    for line in (folder / "status").read_text().splitlines():
        if line.startswith(name + ":"):
            return int(line.split()[1])
    return 0
