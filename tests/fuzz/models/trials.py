"""Tries folders in processes of their own: one that hangs, crashes or takes too much is named.

`python -m tests.fuzz.models.trials` reads a directory a line and answers what is wrong with the
folder in it.
"""

import json
import os
import resource
import select
import signal
import subprocess
import sys
from pathlib import Path
from typing import IO

from tests.fuzz.models.folder import Known

MAX_SECONDS = 20.0
"""How long one folder may take: some fifty times what it should."""

MAX_GROWTH_MIB = 1024
"""How much memory one folder may take."""

_LIMIT_BYTES = 4 * 2**30  # of addresses, of which there are more than memory behind them
_SHARING = 30  # folders tried in one process, where their code cannot change it
_ENVIRONMENT = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


class Trials:
    """A process that has everything imported, and forks for each few folders.

    Starting it takes some seconds, in which the caller may do other things.

    Args:
        max_seconds: how long one folder may take.
    """

    def __init__(self, max_seconds: float = MAX_SECONDS) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.fuzz.models.trials", str(max_seconds)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, **_ENVIRONMENT},
            text=True,
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._asked: IO[str] = self._process.stdin
        self._answered: IO[str] = self._process.stdout

    def faults(self, directory: Path) -> list[str]:
        """What is wrong with the folder that `ModelFolder.write` made in a directory."""
        print(directory, file=self._asked, flush=True)
        found: list[str] = json.loads(self._answered.readline())
        return found

    def __enter__(self) -> "Trials":
        return self

    def __exit__(self, *_: object) -> None:
        """End the process."""
        self._asked.close()
        self._process.wait()
        self._answered.close()


def serve(max_seconds: float) -> None:
    """Answer line by line, until there are no more."""
    from tests.fuzz.models import trial  # noqa: F401 - so that no child imports it

    child: _Child | None = None
    for line in sys.stdin:
        directory = Path(line.removesuffix("\n"))
        alone = Known.read(directory).alone
        if child is None or child.worn or alone:
            if child is not None:
                child.end()
            child = _Child(max_seconds)
        found = child.faults(directory)
        if alone or child.gone:
            child.end()
            child = None
        print(json.dumps(found), flush=True)
    if child is not None:
        child.end()


class _Child:
    """A process forked from this one, which tries folders until it is told to end.

    Attributes:
        gone: whether it has ended by itself or was killed.
    """

    def __init__(self, max_seconds: float) -> None:
        self._max_seconds = max_seconds
        self._left = _SHARING
        self.gone = False
        asked, ask = os.pipe()
        told, tell = os.pipe()
        self._pid = os.fork()
        if self._pid == 0:
            os.close(ask)
            os.close(told)
            _try_each(asked, tell)
        os.close(asked)
        os.close(tell)
        self._ask, self._answers = open(ask, "w"), open(told)  # noqa: SIM115 - closed in `end`

    @property
    def worn(self) -> bool:
        """Whether it has tried as many folders as one process should."""
        return self._left == 0

    def faults(self, directory: Path) -> list[str]:
        """What is wrong with a folder."""
        self._left -= 1
        print(directory, file=self._ask, flush=True)
        if not select.select([self._answers], [], [], self._max_seconds)[0]:
            self.gone = True
            os.kill(self._pid, signal.SIGKILL)
            return [f"no end within {self._max_seconds:g} s"]
        if line := self._answers.readline():
            found: list[str] = json.loads(line)
            return found
        self.gone = True
        return ["ended the process"]

    def end(self) -> None:
        """Have it end, if it has not."""
        if not self.gone:
            self._ask.close()
        self._answers.close()
        os.waitpid(self._pid, 0)


def _try_each(asked: int, tell: int) -> None:
    """In the new process: try folders, say what is wrong with them, and be gone."""
    from tests.fuzz.models import trial

    pages = int(Path("/proc/self/statm").read_text().split()[0])
    most = pages * resource.getpagesize() + _LIMIT_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 0)
    with open(asked) as directories, open(tell, "w") as answers:
        for line in directories:
            directory = Path(line.removesuffix("\n"))
            said = os.open(directory / "said.txt", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            os.dup2(said, 1)
            os.dup2(said, 2)
            os.close(said)
            before = _peak_mib()
            found = trial.faults(directory)
            if (growth := _peak_mib() - before) > MAX_GROWTH_MIB:
                found.append(f"took {growth:.0f} MiB; at most {MAX_GROWTH_MIB} are right")
            print(json.dumps(found), file=answers, flush=True)
    os._exit(0)


def _peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10


if __name__ == "__main__":
    serve(float(sys.argv[1]))
