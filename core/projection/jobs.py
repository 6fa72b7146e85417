"""`Jobs`: a queue of projections, each computed in a process of its own. Knows no gallery."""

import json
import logging
import os
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from tempfile import gettempdir
from typing import Final, Protocol

from core.errors import Draining, QueueFull, SeethroughError
from core.projection.child import ASKED, PLACEMENT, RESULT, VECTORS
from core.projection.request import Request
from core.projection.vectors import Cancelled
from core.scratch import clear, scratch
from core.types import JobStatus

_log = logging.getLogger("seethrough")

_RETRY_AFTER_S: Final = 30.0
_KILL_AFTER_S: Final = 5.0
# The packages of this project, wherever they were imported from.
_HOME: Final = Path(__file__).parent.parent.parent


@dataclass(frozen=True, slots=True)
class Loaded:
    """What is to be laid out; the vectors are in a file.

    Attributes:
        ids: (n,) of the items.
        labels: (n,) of the items.
        predictions: (n,) labels of their most probable classes.
        dim: numbers in a vector, D.
        seq: the collection's last change that they have seen.
    """

    ids: Sequence[str]
    labels: Sequence[str | None]
    predictions: Sequence[str]
    dim: int
    seq: int


@dataclass(slots=True, eq=False)
class Job:
    """One projection on its way; read by any thread, changed by its own.

    Attributes:
        load: writes (n, D) float32, nothing else, into the file given, and tells what they are.
        progress: 0 to 1.
        text: what is being done.
        reason: why it failed.
        count: points, once they are known.
        seq: the collection's last change when it was read.
    """

    id: str
    collection: str
    request: Request
    load: Callable[[Path], Loaded]
    state: JobStatus = "queued"
    progress: float = 0.0
    text: str = "waiting"
    reason: str = ""
    count: int = 0
    seq: int = 0
    asked_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    stop: threading.Event = field(default_factory=threading.Event)


class Keeper(Protocol):
    """Told of each change that must survive; may raise, and the job fails for it."""

    def __call__(
        self, job: Job, result: bytes | None = None, placement: bytes | None = None
    ) -> None:
        """Keep the job as it stands."""


class Jobs:
    """Computes one projection after another, each in a process of its own.

    A process, because the work holds Python's lock for long stretches, and because it can be ended
    at any moment. It is nice to others: requests go first where cores are short.

    Args:
        keep: told when a job begins and ends.
        threads: of a computation; 0 = all cores.
        limit: jobs that may wait.
    """

    def __init__(self, keep: Keeper, threads: int = 0, limit: int = 16) -> None:
        self._keep = keep
        self._threads = threads or os.cpu_count() or 1
        self._limit = limit
        self._waiting: deque[Job] = deque()
        self._running: Job | None = None
        self._changed = threading.Condition()
        self._closing = False
        clear(Path(gettempdir()))
        self._thread = threading.Thread(target=self._loop, name="seethrough-jobs", daemon=True)
        self._thread.start()

    def submit(self, job: Job) -> None:
        """Queue a job.

        Raises:
            QueueFull: too many wait.
            Draining: the service is shutting down.
        """
        with self._changed:
            if self._closing:
                raise Draining("the service is shutting down", retry_after_s=1.0)
            if len(self._waiting) >= self._limit:
                raise QueueFull(
                    f"{len(self._waiting)} projections wait, as many as may",
                    retry_after_s=_RETRY_AFTER_S,
                )
            self._waiting.append(job)
            self._changed.notify()

    def find(self, id: str) -> Job | None:
        """A job that has not ended."""
        with self._changed:
            current = [] if self._running is None else [self._running]
            return next((job for job in (*current, *self._waiting) if job.id == id), None)

    def cancel(self, job: Job) -> None:
        """End a job soon; one that waits never begins."""
        job.stop.set()
        with self._changed:
            if job not in self._waiting:
                return
            self._waiting.remove(job)
        self._end(job, "cancelled")

    def close(self) -> None:
        """End what runs; what waits will be found unfinished at the next start."""
        with self._changed:
            self._closing = True
            self._waiting.clear()
            if self._running is not None:
                self._running.stop.set()
            self._changed.notify()
        self._thread.join()

    def _loop(self) -> None:
        while (job := self._next()) is not None:
            self._run(job)
            with self._changed:
                self._running = None

    def _next(self) -> Job | None:
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closing)
            if self._closing:
                return None
            self._running = self._waiting.popleft()
            return self._running

    def _run(self, job: Job) -> None:
        try:
            job.state, job.text = "running", "reading"
            self._keep(job)
            with scratch(Path(gettempdir())) as folder:
                self._compute(job, folder)
        except Cancelled:
            closing = "the service was stopped before it was done"
            self._end(job, *(("failed", closing) if self._closing else ("cancelled",)))
        except SeethroughError as error:
            self._end(job, "failed", str(error))
        except Exception:  # the loop's edge: the next job has done nothing wrong
            _log.exception("projection %s", job.id)
            self._end(job, "failed", "something went wrong on our side; the log says more")

    def _compute(self, job: Job, folder: Path) -> None:
        loaded = job.load(folder / VECTORS)
        job.count, job.seq = len(loaded.ids), loaded.seq
        job.request.check(job.count, loaded.dim)
        asked = {"parameters": job.request.to_json(), **asdict(loaded)}
        (folder / ASKED).write_text(json.dumps(asked), encoding="utf-8")
        del loaded
        if not self._in_child(job, folder):
            self._end(job, "failed", job.reason or "its process ended before it was done")
            return
        job.state, job.progress, job.text = "done", 1.0, "done"
        placement = folder / PLACEMENT
        placed = placement.read_bytes() if placement.exists() else None
        self._keep(job, (folder / RESULT).read_bytes(), placed)

    def _in_child(self, job: Job, folder: Path) -> bool:
        """Whether it ended well; a job that is stopped ends it."""
        threads = str(self._threads)
        path = os.pathsep.join(filter(None, (str(_HOME), os.environ.get("PYTHONPATH"))))
        # Threads that spin until the others are done keep them from a busy core: 200 points on a
        # loaded machine then take 23 s instead of 1.
        environment = {"OMP_WAIT_POLICY": "PASSIVE", **os.environ}
        environment |= {"OMP_NUM_THREADS": threads, "PYTHONPATH": path}
        with subprocess.Popen(
            [sys.executable, "-W", "ignore", "-m", "core.projection.child", str(folder), threads],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
        ) as child:
            watch = threading.Thread(target=_end_when, args=(job.stop, child), daemon=True)
            watch.start()
            assert child.stdout is not None
            for line in child.stdout:
                _note_progress(job, line)
            code = child.wait()
        if job.stop.is_set():
            raise Cancelled
        job.stop.set()  # nobody watches any more
        return code == 0

    def _end(self, job: Job, state: JobStatus, reason: str = "") -> None:
        job.state, job.reason, job.text = state, reason, state
        try:
            self._keep(job)
        except SeethroughError as error:
            _log.warning("projection %s could not be kept: %s", job.id, error)


def _end_when(stop: threading.Event, child: "subprocess.Popen[bytes]") -> None:
    stop.wait()
    child.terminate()
    try:
        child.wait(_KILL_AFTER_S)
    except subprocess.TimeoutExpired:
        child.kill()


def _note_progress(job: Job, line: bytes) -> None:
    try:
        said = json.loads(line)
    except ValueError:
        return  # a library that prints
    job.progress = max(job.progress, float(said.get("progress", 0)))
    job.text = str(said.get("text", job.text))
    job.reason = str(said.get("reason", ""))
