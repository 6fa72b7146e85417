"""`Upkeep`: the background thread of an index, which runs jobs that are due."""

import logging
import os
import sys
import threading
import time
from collections.abc import Callable

import faiss

_log = logging.getLogger("seethrough")

_NICE = 10
"""Searches come first where cores are short."""

Maintenance = Callable[[], None]


class Stopped(Exception):
    """The index is being closed."""


class Upkeep:
    """Runs what is due, one job after another, and nothing while nothing is due.

    Args:
        due: the next job, or None; must be quick.
        threads: cores that jobs use, at most.
        retry_after_s: after a job has failed, none is begun sooner.
    """

    def __init__(
        self, due: Callable[[], Maintenance | None], threads: int, retry_after_s: float
    ) -> None:
        self._due = due
        self._threads = threads
        self._retry_after_s = retry_after_s
        self._not_before = 0.0
        self._idle = threading.Condition()
        self._running = False
        self._stopped = False

    def nudge(self) -> None:
        """Something has changed: begin what is due, if nothing is being done."""
        with self._idle:
            waits = self._running or self._stopped or time.monotonic() < self._not_before
            if waits or self._due() is None:
                return
            self._running = True
        threading.Thread(target=self._run, name="gallery-index", daemon=True).start()

    def tick(self) -> None:
        """Jobs call this now and then.

        Raises:
            Stopped: there is no use in going on.
        """
        if self._stopped:
            raise Stopped

    def wait(self) -> None:
        """Until nothing is being done."""
        with self._idle:
            self._idle.wait_for(lambda: not self._running)

    def close(self) -> None:
        """Stop what is being done, and do no more."""
        self._stopped = True
        self.wait()

    def _run(self) -> None:
        faiss.omp_set_num_threads(self._threads)  # of this thread alone
        if sys.platform == "linux":
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICE)
        while (job := self._next()) is not None:
            try:
                job()
            except Stopped:
                pass
            except Exception:  # a thread's outermost loop: the index goes on as it is
                _log.exception("a gallery index could not be built; it stays as it was")
                self._not_before = time.monotonic() + self._retry_after_s

    def _next(self) -> Maintenance | None:
        with self._idle:
            waits = self._stopped or time.monotonic() < self._not_before
            job = None if waits else self._due()
            if job is None:
                self._running = False
                self._idle.notify_all()
            return job
