"""`Task`: long work in steps, between which the worker can run other batches."""

from collections.abc import Generator, Sequence
from typing import Any, Generic, TypeVar

from core.types import BatchFunction

T = TypeVar("T")

Steps = Generator[float, None, T]
"""Long work in pieces: yields its progress (0..1) where other work may go first, returns its
result."""


def exhaust(steps: Steps[T]) -> T:
    """Run long work to its end, here and now."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            result: T = end.value
            return result


class Task(Generic[T]):
    """Long work for the worker, of which each call does one piece.

    Attributes:
        steps: the work.
        result: what it returned, once it has.
    """

    max_batch = 1

    def __init__(self, steps: Steps[T]) -> None:
        self.steps = steps
        self.result: T | None = None

    def __call__(self, payloads: Sequence[Any]) -> Sequence[bool]:
        """Do one piece; whether that was the last. The one payload is not looked at."""
        try:
            next(self.steps)
        except StopIteration as end:
            self.result = end.value
            return [True]
        return [False]


Work = tuple[BatchFunction, Any] | Task[Any]
"""For the worker: (function, payload) for the interactive lane, or a task for the bulk lane."""
