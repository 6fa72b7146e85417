"""`Ticket`: one payload that waits for the worker, and how it ends."""

from collections.abc import Iterable
from concurrent.futures import Future
from enum import Enum
from typing import Any

from core.errors import Draining, summary
from core.types import BatchFunction


class Lane(Enum):
    """Who waits for whom: probes of health go before interactive tickets, those before bulk."""

    URGENT = "urgent"
    INTERACTIVE = "interactive"
    BULK = "bulk"


class Ticket:
    """One payload on its way; its `future` ends with a result, an error, or cancelled.

    Attributes:
        queue_s: seconds it waited for the worker.
        run_s: seconds its batch took.
    """

    __slots__ = (
        "deadline", "function", "future", "lane", "payload", "queue_s", "run_s", "submitted"
    )  # fmt: skip

    def __init__(
        self, function: BatchFunction, payload: Any, lane: Lane, deadline: float, submitted: float
    ) -> None:
        self.function = function
        self.payload = payload
        self.lane = lane
        self.deadline = deadline
        self.submitted = submitted
        self.future: Future[Any] = Future()
        self.queue_s = 0.0
        self.run_s = 0.0


def ordinary(error: BaseException) -> Exception:
    """The error; an exit as one that does not end the event loop that waits for it."""
    if isinstance(error, Exception):
        return error
    ordinary = RuntimeError(summary(error))
    ordinary.__cause__ = error
    return ordinary


def fail(tickets: Iterable[Ticket]) -> None:
    """End them: the worker has stopped."""
    for ticket in tickets:
        ticket.future.set_exception(Draining("the worker stopped", retry_after_s=1.0))
