"""`Task`: long work in steps, between which the worker can run other batches."""

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

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
    """Long work that is advanced piece by piece, from whichever thread holds it."""

    def __init__(self, steps: Steps[T]) -> None:
        self._steps = steps
        self.progress = 0.0
        self.result: T | None = None

    def advance(self) -> bool:
        """Do one piece; whether that was the last."""
        try:
            self.progress = next(self._steps)
        except StopIteration as end:
            self.result = end.value
            return True
        return False


@dataclass(frozen=True, slots=True)
class Advance:
    """One piece of a task; the answer is whether it was the last."""

    max_batch: int = 1

    def __call__(self, payloads: Sequence[Task[Any]]) -> Sequence[bool]:
        """One task in, one answer out."""
        return [task.advance() for task in payloads]
