"""`BatchWorker`: one thread, bounded lanes, tickets. Knows no models: it runs any function."""

import logging
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from core.compute.metrics import Metrics
from core.compute.pace import Pace
from core.compute.tickets import Lane, Ticket, fail, ordinary
from core.errors import ANY_FAILURE, DeadlinePassed, Draining, QueueFull
from core.types import BatchFunction

__all__ = ["BatchWorker", "Lane", "Solo"]

_log = logging.getLogger(__name__)

Clock = Callable[[], float]

# Bulk work gets one batch after this many interactive ones in a row, so that it ends too.
_INTERACTIVE_RUN = 8
_FIRST_GUESS_S = 0.01
_MAX_RETRY_AFTER_S = 120.0


class Solo:
    """A batch function that runs one plain call, alone."""

    max_batch = 1

    def __init__(self, function: Callable[[], Any]) -> None:
        self._function = function

    def __call__(self, payloads: Sequence[Any]) -> Sequence[Any]:
        """Run it; there is one payload, and it is not looked at."""
        return [self._function()]


class BatchWorker:
    """Runs tickets in batches on one thread.

    Natural batching: an idle worker takes what is waiting and goes; while it is busy the next
    batch gathers. It never sleeps to fill one. Every ticket ends: with its result, with its own
    error (a failing batch is split until only the culprit fails), or cancelled.

    Args:
        queue_size: tickets that may wait, all lanes together; urgent ones always may.
        metrics: where it counts.
        clock: monotonic seconds; deadlines are read on it.
    """

    def __init__(self, queue_size: int, metrics: Metrics, clock: Clock = time.monotonic) -> None:
        self._queue_size = queue_size
        self._metrics = metrics
        self._clock = clock
        self._lanes: dict[Lane, deque[Ticket]] = {lane: deque() for lane in Lane}
        self._changed = threading.Condition()
        self._closing = False
        self._interactive_run = 0
        self._pace = Pace(_FIRST_GUESS_S)
        for lane in Lane:
            metrics.queued.labels(lane.value).set_function(self._lanes[lane].__len__)
        # A daemon, so that a forward that never returns cannot keep the process from ending.
        self._thread = threading.Thread(target=self._loop, name="seethrough-worker", daemon=True)

    @property
    def alive(self) -> bool:
        """Whether the thread is running."""
        return self._thread.is_alive()

    @property
    def waiting(self) -> int:
        """Tickets in the queue."""
        return sum(map(len, self._lanes.values()))

    def start(self) -> None:
        """Start the thread; tickets may be submitted before."""
        self._thread.start()

    def submit(
        self,
        function: BatchFunction,
        payload: Any,
        *,
        lane: Lane = Lane.INTERACTIVE,
        deadline: float = math.inf,
    ) -> Ticket:
        """Queue a payload.

        Args:
            function: what to run it with; equal functions share a batch.
            payload: one item of the batch.
            lane: who waits for whom.
            deadline: monotonic seconds after which it must not start.

        Raises:
            QueueFull: too many tickets wait.
            Draining: the worker is closing.
        """
        with self._changed:
            if self._closing:
                raise Draining("the service is shutting down", retry_after_s=1.0)
            if lane is not Lane.URGENT:
                self._make_room()
            ticket = Ticket(function, payload, lane, deadline, self._clock())
            self._metrics.tickets.labels("accepted").inc()
            self._lanes[lane].append(ticket)
            self._changed.notify()
        return ticket

    @property
    def ticket_s(self) -> float:
        """Seconds from one interactive ticket that is done to the next, as long as some wait."""
        return self._pace.each_s

    def forget_pace(self) -> None:
        """What was done so far, loading models, says nothing of what comes."""
        self._pace = Pace(_FIRST_GUESS_S)

    def retry_after_s(self, waiting: int) -> float:
        """Seconds until that many tickets are done, by the measured time per ticket; at least 1."""
        return min(max(1.0, waiting * self.ticket_s), _MAX_RETRY_AFTER_S)

    def close(self, timeout_s: float | None = None) -> bool:
        """Refuse new tickets, finish those that wait, stop the thread.

        Returns:
            Whether the thread ended within the timeout.
        """
        with self._changed:
            self._closing = True
            self._changed.notify()
        if self._thread.ident is not None:
            self._thread.join(timeout_s)
        return not self.alive

    def _make_room(self) -> None:
        if self.waiting < self._queue_size:
            return
        self._drop_dead()
        if self.waiting >= self._queue_size:
            raise QueueFull(
                f"{self.waiting} tickets wait, as many as may",
                retry_after_s=self.retry_after_s(self.waiting),
            )

    def _drop_dead(self) -> None:
        """Free the places of tickets whose client has gone."""
        for queue in self._lanes.values():
            for ticket in [each for each in queue if each.future.cancelled()]:
                queue.remove(ticket)
                self._count("cancelled")

    def _loop(self) -> None:
        try:
            while batch := self._next_batch():
                if tickets := [ticket for ticket in batch if self._starts(ticket)]:
                    with self._measured(tickets) as started:
                        self._run(tickets, started)
        except BaseException:
            _log.critical("the worker thread died", exc_info=True)
            raise
        finally:
            self._abandon()

    def _next_batch(self) -> list[Ticket]:
        """The tickets to run next; empty when the worker is to stop."""
        with self._changed:
            while not self.waiting and not self._closing:
                self._changed.wait()
            return self._take(self._choose_lane()) if self.waiting else []

    def _choose_lane(self) -> deque[Ticket]:
        urgent, interactive, bulk = (self._lanes[lane] for lane in Lane)
        if urgent:
            return urgent
        if not bulk:
            self._interactive_run = 0
            return interactive
        if interactive and self._interactive_run < _INTERACTIVE_RUN:
            self._interactive_run += 1
            return interactive
        self._interactive_run = 0
        return bulk

    @staticmethod
    def _take(queue: deque[Ticket]) -> list[Ticket]:
        """The oldest ticket and those that share its function, oldest first."""
        function = queue[0].function
        batch: list[Ticket] = []
        passed: list[Ticket] = []
        while queue and len(batch) < function.max_batch:
            ticket = queue.popleft()
            (batch if ticket.function == function else passed).append(ticket)
        queue.extendleft(reversed(passed))
        return batch

    @contextmanager
    def _measured(self, tickets: list[Ticket]) -> Iterator[float]:
        """Count a batch and its time; gives the time at which it started."""
        started = self._clock()
        for ticket in tickets:
            ticket.queue_s = started - ticket.submitted
            self._metrics.queue_s.labels(ticket.lane.value).observe(ticket.queue_s)
        self._metrics.batch_rows.observe(len(tickets))
        try:
            yield started
        except BaseException:  # it ends this thread, but not in silence
            fail([ticket for ticket in tickets if not ticket.future.done()])
            raise
        lane, now = tickets[0].lane, self._clock()
        self._metrics.forward_s.labels(lane.value).observe(now - started)
        if lane is Lane.INTERACTIVE:
            self._pace.left(len(tickets), tickets[0].submitted, now)

    def _starts(self, ticket: Ticket) -> bool:
        """Whether the ticket is still wanted; one that is not ends here and never runs."""
        if not ticket.future.set_running_or_notify_cancel():
            self._count("cancelled")
            return False
        if ticket.deadline <= self._clock():
            ticket.future.set_exception(DeadlinePassed("the deadline passed while queued"))
            self._count("expired")
            return False
        return True

    def _run(self, tickets: list[Ticket], started: float) -> None:
        """Run a batch; if it fails, run its halves, until a culprit stands alone."""
        try:
            results = tickets[0].function([ticket.payload for ticket in tickets])
            if len(results) != len(tickets):
                raise RuntimeError(f"{len(results)} results for {len(tickets)} payloads")
        except ANY_FAILURE as error:  # the one place where anything may happen and one must pay
            if len(tickets) > 1:
                middle = len(tickets) // 2
                self._run(tickets[:middle], started)
                self._run(tickets[middle:], started)
                return
            self._end(tickets[0], started)
            tickets[0].future.set_exception(ordinary(error))
            self._count("failed")
            return
        for ticket, result in zip(tickets, results, strict=True):
            self._end(ticket, started)
            self._count("answered")
            ticket.future.set_result(result)

    def _end(self, ticket: Ticket, started: float) -> None:
        ticket.run_s = self._clock() - started

    def _count(self, outcome: str) -> None:
        self._metrics.tickets.labels(outcome).inc()

    def _abandon(self) -> None:
        """End every ticket that is left; there are some only if the thread died."""
        with self._changed:
            self._closing = True
            for queue in self._lanes.values():
                fail([each for each in queue if each.future.set_running_or_notify_cancel()])
                self._metrics.tickets.labels("cancelled").inc(len(queue))
                queue.clear()
