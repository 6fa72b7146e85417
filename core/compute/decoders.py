"""`Decoders`: threads for pixels; small pictures first, large ones within a budget of memory."""

import heapq
import math
import os
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from ctypes import CDLL
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final, TypeVar

from core.compute.call import Call
from core.compute.metrics import Metrics
from core.compute.pace import Pace
from core.compute.shares import Shares
from core.errors import QueueFull
from core.images.cost import Cost, Reserve

T = TypeVar("T")
Clock = Callable[[], float]

LIGHT_PIXELS: Final = 2**20
LIGHT_BYTES: Final = 2**25
"""A picture of no more is decoded by whoever has opened it, and takes nothing of the budget."""

_GUESS_S: Final = 0.01
"""Of work whose cost is not known yet: how much later the next of the same request, and the next
request of the same client, is due."""
_S_PER_PIXEL: Final = 2e-7
"""How much later a large picture is due than a small one: ten seconds at 50 megapixels."""

_LIGHT_S: Final = 0.002
_LARGE_S_PER_PIXEL: Final = 1e-8
"""What decoding is thought to take before any has been done."""

_NOTHING: Final = Cost(0, 0)


class _Postponed(BaseException):
    """No error: the work begins anew when there is room for it."""


class _Unwanted(BaseException):
    """No error: nobody waits for it any more."""


@dataclass(slots=True, order=True)
class _Piece:
    """Work that waits, the first due first.

    Attributes:
        due: seconds on the clock.
        number: of those due at once the first that came goes first.
        came: seconds on the clock.
        cost: what is reserved, or waited for; nothing as long as it is not known to be large.
    """

    due: float
    number: int
    work: Callable[[Reserve], Any] = field(compare=False)
    future: "Future[Any]" = field(compare=False)
    call: Call = field(compare=False)
    came: float = field(compare=False)
    cost: Cost = field(default=_NOTHING, compare=False)


class Decoders:
    """Threads that decode pictures and draw.

    What comes is begun at once: until its header is read nobody knows what it costs. A picture that
    turns out to be large goes back, and waits until there is room. Who is due first goes first: the
    larger a picture, the later it is due, and each picture of a request, and each request of a
    client, is due after the one before. Large ones of the client that has had least of late go
    before those of others. So small ones overtake large ones, requests of one picture those of
    many, clients with few those with many, and nothing waits for ever. One thread more than may
    work on large pictures is always there for small ones.

    Args:
        threads: that may work on large pictures at once; 0 = one per core.
        budget_bytes: of memory for large pictures; one that takes more has it to itself.
        metrics: where to count.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        threads: int,
        budget_bytes: int,
        metrics: Metrics,
        clock: Clock = time.monotonic,
    ) -> None:
        self._most_large = threads or os.cpu_count() or 1
        self._budget_bytes = budget_bytes
        self._clock = clock
        self._changed = threading.Condition()
        self._light: list[_Piece] = []
        self._large: list[_Piece] = []
        self._requests = Shares()
        self._pixels = Shares()
        self._numbers = 0
        self._running: dict[int, Cost] = {}  # large ones, by their number
        self._threads: list[threading.Thread] = []
        self._closed = False
        self._light_pace = Pace(_LIGHT_S)
        self._large_pace = Pace(_LARGE_S_PER_PIXEL, count=1e6)
        metrics.decoding.labels("light").set_function(self._light.__len__)
        metrics.decoding.labels("large").set_function(self._large.__len__)
        metrics.decoding_bytes.set_function(lambda: self._used_bytes)

    def submit(self, work: Callable[[Reserve], T], call: Call) -> "Future[T]":
        """Have work on pixels done; cancelled before its pixels are decoded, it never is.

        Args:
            work: calls what it is given with the cost before it takes time or memory, and does
                nothing before that which cannot be done twice.
            call: the request's.
        """
        future: Future[T] = Future()
        with self._changed:
            if self._closed:
                future.cancel()
                return future
            self._start()
            now = self._clock()
            if call.due < now:
                call.due = self._requests.take(call.client, now, _GUESS_S)
            self._numbers += 1
            due = -math.inf if call.urgent else call.due
            heapq.heappush(self._light, _Piece(due, self._numbers, work, future, call, now))
            call.due += _GUESS_S
            self._changed.notify()
        future.add_done_callback(self._forget)
        return future

    @property
    def large(self) -> int:
        """Large pictures that are here."""
        return len(self._large) + len(self._running)

    @property
    def light_s(self) -> float:
        """Seconds from one small picture that is done to the next, as long as some wait."""
        return self._light_pace.each_s

    def close(self) -> None:
        """Cancel what waits; threads end when they have done what they are at."""
        with self._changed:
            self._closed = True
            for job in (*self._light, *self._large):
                job.future.cancel()
            self._light.clear()
            self._large.clear()
            self._changed.notify_all()

    def _start(self) -> None:
        while len(self._threads) <= self._most_large:
            name = f"seethrough-decode-{len(self._threads)}"
            # Daemons, so that a decoder that never returns cannot keep the process from ending.
            self._threads.append(threading.Thread(target=self._loop, name=name, daemon=True))
            self._threads[-1].start()

    @property
    def _used_bytes(self) -> int:
        with self._changed:
            return sum(cost.bytes for cost in self._running.values())

    def _loop(self) -> None:
        while self._work_once():
            pass

    def _work_once(self) -> bool:
        """Do one piece of work; False once there will be no more."""
        with self._changed:
            while (job := self._next()) is None:
                if self._closed:
                    return False
                self._changed.wait()
        self._run(job)
        return True

    def _next(self) -> _Piece | None:
        """What is due first of what may run now."""
        light = self._light
        large = min(self._large, key=self._order, default=None)
        if large and self._fits(large.cost) and not (light and light[0] < large):
            self._large.remove(large)
            self._begin(large)
            return large
        return heapq.heappop(light) if light else None

    def _order(self, job: _Piece) -> tuple[float, _Piece]:
        """Large pictures by the one who asks, and then by what they are due."""
        return self._pixels.due(job.call.client, self._clock()), job

    def _begin(self, job: _Piece) -> None:
        """A large picture takes its room, and the turn of its client."""
        cost_s = job.cost.pixels * self._large_pace.each_s
        self._pixels.take(job.call.client, self._clock(), cost_s)
        self._running[job.number] = job.cost

    def _fits(self, cost: Cost) -> bool:
        if not self._running:
            return True
        has_room = self._used_bytes + cost.bytes <= self._budget_bytes
        return has_room and len(self._running) < self._most_large

    def _run(self, job: _Piece) -> None:
        future = job.future
        try:
            result = job.work(partial(self._reserve, job))
        except _Postponed:
            return
        except BaseException as error:
            if future.set_running_or_notify_cancel():
                future.set_exception(error)
        else:
            if future.set_running_or_notify_cancel():
                future.set_result(result)
        now = self._clock()
        if job.number in self._running:
            give_memory_back()
            with self._changed:
                del self._running[job.number]
                self._large_pace.left(job.cost.pixels, job.came, now)
                self._changed.notify_all()
        else:
            with self._changed:
                self._light_pace.left(1, job.came, now)

    def _reserve(self, job: _Piece, cost: Cost) -> None:
        """Room for a picture that has been opened; where there is none now, it waits."""
        with self._changed:
            if job.future.cancelled():
                raise _Unwanted
            if cost.pixels <= LIGHT_PIXELS and cost.bytes <= LIGHT_BYTES:
                return
            held = self._running.pop(job.number, None)
            if held is None:
                job.call.due += cost.pixels * _S_PER_PIXEL
                job.due = job.call.due
                held = _NOTHING
            job.cost = Cost(cost.pixels, max(cost.bytes, held.bytes))
            before = self._before(job)
            if held.bytes < cost.bytes and (before or not self._fits(job.cost)):
                self._changed.notify_all()  # there is more room if it held some
                self._require_time(job, before)
                self._large.append(job)
                raise _Postponed
            if held is _NOTHING:
                self._begin(job)
            else:
                self._running[job.number] = job.cost

    def _before(self, job: _Piece) -> list[_Piece]:
        """The large pictures that go before another one."""
        own = self._order(job)
        return [each for each in self._large if self._order(each) < own]

    def _require_time(self, job: _Piece, before: list[_Piece]) -> None:
        """Refuse what would not be begun before its deadline."""
        costs = [*self._running.values(), *(each.cost for each in before)]
        wait_s = sum(cost.pixels for cost in costs) * self._large_pace.each_s
        if wait_s > job.call.deadline - self._clock():
            raise QueueFull(
                f"large pictures before this one take {wait_s:.0f} s: its deadline comes first",
                retry_after_s=max(1.0, wait_s / 2),
            )

    def _forget(self, future: "Future[Any]") -> None:
        """Let go of work that nobody waits for any more, and of the file that it holds."""
        if not future.cancelled():
            return
        with self._changed:
            for waiting in (self._light, self._large):
                left = [each for each in waiting if each.future is not future]
                if len(left) < len(waiting):
                    waiting[:] = left
                    heapq.heapify(self._light)
                    self._changed.notify_all()


def _found_trim() -> Callable[[int], int] | None:
    """glibc's; None where there is another allocator."""
    return getattr(CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None


_TRIM: Final = _found_trim()


def give_memory_back() -> None:
    """What has been freed goes back to the system, which the allocator puts off."""
    if _TRIM is not None:
        _TRIM(0)
