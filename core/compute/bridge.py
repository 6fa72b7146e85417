"""`Bridge` from asyncio to the threads: admission, decoder pool, worker. Knows no models."""

import asyncio
import enum
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Final, TypeVar

from core.compute.call import Call
from core.compute.decoders import Decoders
from core.compute.metrics import Metrics
from core.compute.pace import Pace
from core.compute.worker import BatchWorker, Lane
from core.errors import DeadlinePassed, Draining, NotReady, QueueFull
from core.explain.steps import Task, Work
from core.images.cost import Reserve
from core.types import BatchFunction

T = TypeVar("T")

_LOADING_RETRY_AFTER_S = 2.0
_DRAINING_RETRY_AFTER_S = 1.0
_TASK_S: Final = 1.0
"""What a long explanation is thought to take before any has been made."""


class State(enum.Enum):
    """Where an engine is in its life; it only ever moves forward."""

    LOADING = "loading"
    READY = "ready"
    DRAINING = "draining"


class Bridge:
    """Lets a bounded number of requests in and carries their work to the threads.

    Args:
        queue_size: requests under way at once, and tickets that may wait.
        decoders: threads for pixels.
        max_wait_s: a request that others would hold up for longer is not let in.
        metrics: where to count.
    """

    def __init__(
        self, queue_size: int, decoders: Decoders, max_wait_s: float, metrics: Metrics
    ) -> None:
        self.state = State.LOADING
        self.worker = BatchWorker(queue_size, metrics)
        self._queue_size = queue_size
        self._metrics = metrics
        self._max_wait_s = max_wait_s
        self._pending = 0
        self._aside = 0  # of those, they let the others go first
        self._tasks = 0
        self._task_pace = Pace(_TASK_S, count=1.0)
        self._decoders = decoders

    def open(self) -> None:
        """Let requests in, unless draining has begun."""
        if self.state is State.LOADING:
            self.worker.forget_pace()
            self.state = State.READY

    def drain(self) -> None:
        """Let no new request in; those under way go on to their end."""
        self.state = State.DRAINING

    async def close(self, timeout_s: float) -> bool:
        """Drain, let the worker finish what it holds, end all threads.

        Returns:
            Whether the worker ended within the timeout.
        """
        self.drain()
        ended = await asyncio.to_thread(self.worker.close, timeout_s)
        self._decoders.close()
        return ended

    def require_loaded(self) -> None:
        """Raise NotReady while models are still loading."""
        if self.state is State.LOADING:
            raise NotReady("models are still loading", retry_after_s=_LOADING_RETRY_AFTER_S)

    def require_working(self) -> None:
        """Raise where no request can be answered now, however little there is to do.

        Raises:
            NotReady: models are still loading, or the worker has died.
            Draining: the process is shutting down.
        """
        if self.state is State.DRAINING:
            raise Draining("the service is shutting down", retry_after_s=_DRAINING_RETRY_AFTER_S)
        self.require_loaded()
        if not self.worker.alive:
            raise NotReady("the worker has stopped", retry_after_s=_LOADING_RETRY_AFTER_S)

    def check_admission(self, call: Call | None = None, coming: int = 0) -> None:
        """Raise if a new request would be refused now.

        Args:
            call: the request's, where it is known.
            coming: others that are about to be let in.

        Raises:
            NotReady: models are still loading, or the worker has died.
            Draining: the process is shutting down.
            QueueFull: as many requests are under way as may be, or they take too long.
        """
        self.require_working()
        if call is not None and call.urgent:
            return
        under_way = self._pending + coming
        if under_way >= self._queue_size:
            raise QueueFull(
                f"{under_way} requests are under way, as many as may be",
                retry_after_s=self.worker.retry_after_s(under_way),
            )
        wait_s = self._wait_s(under_way - (0 if call is None else call.admitted))
        longest_s = self._max_wait_s if call is None else min(self._max_wait_s, call.remaining_s)
        if wait_s > longest_s:
            raise QueueFull(
                f"requests before this one take {wait_s:.1f} s, and it may wait {longest_s:.1f} s",
                retry_after_s=max(1.0, wait_s - longest_s),
            )

    def _wait_s(self, others: int) -> float:
        """How long others that are under way hold up one that comes now."""
        before = others - self._aside - self._decoders.large
        return max(before, 0) * max(self.worker.ticket_s, self._decoders.light_s)

    @asynccontextmanager
    async def admitted(self, call: Call) -> AsyncIterator[None]:
        """Hold one of the places for requests under way; no longer than the deadline."""
        call.check()
        self.check_admission(call)
        self._pending += 1
        call.admitted += 1
        try:
            async with in_time(call):
                yield
        finally:
            self._pending -= 1
            call.admitted -= 1

    async def decode(self, work: Callable[[Reserve], T], call: Call) -> T:
        """Run work on pixels on a decoder thread."""
        with call.measure("decode"), self._metrics.decode_s.time():
            return await asyncio.wrap_future(self._decoders.submit(work, call))

    async def draw(self, work: Callable[[], T], call: Call) -> T:
        """Run the drawing of an answer on a decoder thread."""
        return await self.draw_large(lambda _reserve: work(), call)

    async def draw_large(self, work: Callable[[Reserve], T], call: Call) -> T:
        """The same of an answer that may be large, which the work says before it is."""
        with call.measure("draw"):
            async with in_time(call):
                return await asyncio.wrap_future(self._decoders.submit(work, call))

    async def run(
        self, function: BatchFunction, payload: object, call: Call, lane: Lane = Lane.INTERACTIVE
    ) -> Any:
        """Have the worker run a payload; if the caller gives up, its ticket leaves the queue."""
        lane = Lane.URGENT if call.urgent else lane
        with self._standing_aside(lane), self._submitted(function, payload, call, lane) as answer:
            return await answer

    async def finish(self, work: Work, call: Call) -> Any:
        """Have the worker do one payload, or a task piece by piece, in the bulk lane.

        Between two pieces interactive work goes first, and a deadline that has passed or a caller
        that has gone ends the work.

        Raises:
            QueueFull: such work of others takes longer than until the deadline.
        """
        if not isinstance(work, Task):
            return await self.run(*work, call)
        wait_s = self._tasks * self._task_pace.each_s
        if wait_s > call.remaining_s:
            raise QueueFull(
                f"{self._tasks} long explanations are under way and take {wait_s:.0f} s",
                retry_after_s=max(1.0, wait_s - call.remaining_s),
            )
        self._tasks += 1
        began = time.monotonic()
        done = False
        try:
            with self._standing_aside(Lane.BULK):
                while not done:
                    call.check()
                    with self._submitted(work, None, call, Lane.BULK) as answer:
                        done = await answer
        finally:
            self._tasks -= 1
        self._task_pace.left(1, began, time.monotonic())
        return work.result

    @contextmanager
    def _standing_aside(self, lane: Lane) -> Iterator[None]:
        """Bulk work holds up nobody who comes to the other lanes."""
        aside = int(lane is Lane.BULK)
        self._aside += aside
        try:
            yield
        finally:
            self._aside -= aside

    @contextmanager
    def _submitted(
        self, function: BatchFunction, payload: object, call: Call, lane: Lane
    ) -> Iterator["asyncio.Future[Any]"]:
        """A ticket's answer to wait for, the wait counted."""
        ticket = self.worker.submit(function, payload, lane=lane, deadline=call.deadline)
        try:
            yield asyncio.wrap_future(ticket.future)
        finally:
            call.add("queue", ticket.queue_s)
            call.add("forward", ticket.run_s)


@asynccontextmanager
async def in_time(call: Call) -> AsyncIterator[None]:
    """Raise DeadlinePassed where the block takes longer than until the call's deadline."""
    try:
        async with asyncio.timeout(None if call.unbounded else call.remaining_s):
            yield
    except TimeoutError as error:
        raise DeadlinePassed("the deadline passed before the work was done") from error


_MAX_WAIT_S: Final = 1.0


async def patiently(work: Callable[[], Awaitable[T]]) -> T:
    """What the work answers, tried until it gets a place in the queue.

    Args:
        work: does nothing before it has its place.
    """
    while True:
        try:
            return await work()
        except QueueFull as error:
            await asyncio.sleep(min(error.retry_after_s, _MAX_WAIT_S))
