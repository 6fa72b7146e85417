"""`Writer`: the one thread that writes, with many writes to a commit."""

import logging
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from core.errors import Draining, InvalidValue, QueueFull
from core.gallery.changes import Change
from core.gallery.sqlite import state
from core.gallery.sqlite.database import is_full, translated
from core.gallery.sqlite.groups import Group, QueuedWrite, WriteLimits
from core.gallery.sqlite.presence import Presence
from core.gallery.sqlite.reserve import Reserve
from core.gallery.sqlite.state import State
from core.gallery.sqlite.transaction import SqliteTransaction
from core.gallery.transaction import Effect, T

_log = logging.getLogger(__name__)

OnCommit = Callable[[Sequence[Change], int], None]
"""What is told of the changes of a commit, and the number of the last of them."""


_SMOOTHING = 0.2
_FIRST_GUESS_S = 0.005


class Writer:
    """Takes all writes that wait, applies each at its own savepoint, commits once.

    A write that fails fails alone. Where the disk is full each write is tried in a transaction of
    its own, and those that free space a second time, with the reserve.

    Args:
        connection: the writer's own; closed with it.
        file: of the database.
        presence: of that file: what is committed elsewhere is not acknowledged.
        reserve: beside it; given up for writes that free space.
        on_commit: called after each commit, before the futures of its writes are done.
        clock: the time in UTC.
        limits: how many writes at once.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        *,
        file: Path,
        presence: Presence,
        reserve: Reserve,
        on_commit: OnCommit,
        clock: Callable[[], datetime],
        limits: WriteLimits,
    ) -> None:
        self._connection = connection
        self._file = file
        self._presence = presence
        self._reserve = reserve
        self._on_commit = on_commit
        self._clock = clock
        self._limits = limits
        self._waiting: deque[QueuedWrite] = deque()
        self._waiting_bytes = 0
        self._changed = threading.Condition()
        self._closing = False
        self._job_s = _FIRST_GUESS_S
        self.seq = state.read(connection).seq
        self._thread = threading.Thread(target=self._loop, name="seethrough-writer", daemon=True)
        self._thread.start()

    def submit(
        self,
        apply: Callable[[SqliteTransaction], Effect[T]],
        *,
        size_bytes: int = 0,
        alone: bool = False,
        frees: bool = False,
    ) -> "Future[T]":
        """Queue a write.

        Args:
            apply: writes; whatever it raises undoes what it wrote.
            size_bytes: about the memory it holds.
            alone: shares no transaction, and is never tried twice.
            frees: gets the reserve where the disk is full.

        Raises:
            QueueFull: too many writes wait.
            Draining: the gallery is closed.
        """
        job = QueuedWrite(apply, size_bytes, alone, frees)
        with self._changed:
            if self._closing:
                raise Draining("the gallery is closed", retry_after_s=1.0)
            self._make_room(size_bytes)
            self._waiting.append(job)
            self._waiting_bytes += size_bytes
            self._changed.notify()
        return job.future

    def close(self) -> None:
        """Refuse new writes, finish those that wait, close the connection."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join()
        self._connection.close()

    def _make_room(self, size_bytes: int) -> None:
        if self._fits(size_bytes):
            return
        for job in [each for each in self._waiting if each.future.cancelled()]:
            self._waiting.remove(job)
            self._waiting_bytes -= job.size_bytes
        if not self._fits(size_bytes):
            waiting = len(self._waiting)
            raise QueueFull(
                f"{waiting} writes wait, as many as may",
                retry_after_s=max(1.0, waiting * self._job_s),
            )

    def _fits(self, size_bytes: int) -> bool:
        bytes_fit = self._waiting_bytes + size_bytes <= self._limits.waiting_bytes
        return not self._waiting or (bytes_fit and len(self._waiting) < self._limits.waiting)

    def _loop(self) -> None:
        try:
            while jobs := self._next_jobs():
                started = time.monotonic()
                self._run([job for job in jobs if job.future.set_running_or_notify_cancel()])
                took_s = (time.monotonic() - started) / len(jobs)
                self._job_s += _SMOOTHING * (took_s - self._job_s)
        except BaseException:
            _log.critical("the writer thread died", exc_info=True)
            raise
        finally:
            self._abandon()

    def _next_jobs(self) -> list[QueuedWrite]:
        """The writes of the next group; empty when the thread is to stop."""
        with self._changed:
            while not self._waiting and not self._closing:
                self._changed.wait()
            return self._take()

    def _take(self) -> list[QueuedWrite]:
        jobs: list[QueuedWrite] = []
        size_bytes = 0
        while self._waiting and len(jobs) < self._limits.group:
            job = self._waiting[0]
            size_bytes += job.size_bytes
            if jobs and (job.alone or size_bytes > self._limits.group_bytes):
                break
            jobs.append(self._waiting.popleft())
            self._waiting_bytes -= job.size_bytes
            if job.alone:
                break
        return jobs

    def _run(self, jobs: list[QueuedWrite], *, again: bool = True) -> None:
        """Commit the writes together; one by one if there is no space for all of them."""
        if not jobs:
            return
        try:
            self._presence.require()
            group = self._commit(jobs)
        except BaseException as error:
            self._roll_back()
            full = again and is_full(error, self._file)
            if full and len(jobs) > 1:
                for job in jobs:
                    self._run([job])
                return
            if full and jobs[0].frees:
                self._make_space()
                self._run(jobs, again=False)
                return
            _fail(jobs, translated(error, self._file))
            if not isinstance(error, Exception):
                raise
            return
        self._hand_over(group)
        if self._reserve.is_space_short():
            self._write_back()
        self._reserve.restore()

    def _make_space(self) -> None:
        """As much as a small write needs."""
        self._reserve.give_up()
        self._write_back()

    def _write_back(self) -> None:
        """What the log holds goes where it belongs, and the log begins anew in the same space.

        It would be done after 1000 pages; by then there may be no space left to do it.
        """
        with suppress(sqlite3.Error):
            self._connection.execute("PRAGMA wal_checkpoint(PASSIVE)")

    def _commit(self, jobs: list[QueuedWrite]) -> Group:
        self._connection.execute("BEGIN IMMEDIATE")
        before = state.read(self._connection)
        group = Group(before.seq)
        for job in jobs:
            self._apply(job, group)
        if group.seq != before.seq:
            state.write(self._connection, State(group.seq, before.secret))
        self._connection.execute("COMMIT")
        return group

    def _apply(self, job: QueuedWrite, group: Group) -> None:
        self._connection.execute("SAVEPOINT job")
        try:
            outcome = job.apply(SqliteTransaction(self._connection, group.seq + 1, self._clock()))
        except sqlite3.OperationalError:  # of the disk, not of this write
            raise
        except Exception as error:  # whatever is wrong with this write, only it must pay
            self._connection.execute("ROLLBACK TO job")
            group.errors.append((job, _explained(error, self._file)))
        else:
            group.add(job, outcome)
        self._connection.execute("RELEASE job")

    def _hand_over(self, group: Group) -> None:
        """Tell of what is on disk now: first the index, then whoever waits."""
        if group.seq != self.seq:
            self._tell(group)
            self.seq = group.seq
        lost = self._presence.fault()
        if lost is not None:
            _fail([job for job, _ in group.answers], lost)
        for job, answer in group.answers:
            with suppress(InvalidStateError):
                job.future.set_result(answer)
        for job, error in group.errors:
            _fail([job], error)

    def _tell(self, group: Group) -> None:
        try:
            self._on_commit(group.changes, group.seq)
        except BaseException as error:  # an index lies behind; what is stored is stored
            _log.critical("a commit could not be handed over", exc_info=True)
            _fail([job for job, _ in group.answers], error)
            group.answers.clear()
            if not isinstance(error, Exception):
                raise

    def _roll_back(self) -> None:
        with suppress(sqlite3.Error):  # SQLite may have done it itself
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")

    def _abandon(self) -> None:
        """End every write that is left; there are some only if the thread died."""
        with self._changed:
            self._closing = True
            _fail(
                [each for each in self._waiting if each.future.set_running_or_notify_cancel()],
                Draining("the writer stopped", retry_after_s=1.0),
            )
            self._waiting.clear()


def _explained(error: Exception, file: Path) -> BaseException:
    if isinstance(error, UnicodeEncodeError):
        return InvalidValue("text", error.object, "characters that UTF-8 can say")
    return translated(error, file)


def _fail(jobs: Sequence[QueuedWrite], error: BaseException) -> None:
    for job in jobs:
        with suppress(InvalidStateError):
            job.future.set_exception(error)
