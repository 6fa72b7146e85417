"""`Call`: a request's deadline, and the time it spent in each stage."""

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from core.errors import DeadlinePassed


@dataclass(slots=True)
class Call:
    """One request's deadline (monotonic seconds) and the time it spent in each stage.

    Attributes:
        urgent: goes before all others, and is let in where they are not: a probe of health.
        admitted: of its pictures, how many are under way.
        due: when its next picture is to be decoded, if all get what they are due; monotonic too.
        client: whose it is: with others of the same client it shares what the client is due.
    """

    deadline: float = math.inf
    durations_s: dict[str, float] = field(default_factory=dict)
    urgent: bool = False
    admitted: int = 0
    due: float = -math.inf
    client: str = ""

    @classmethod
    def within(cls, seconds: float) -> "Call":
        """A call whose deadline is that many seconds from now."""
        return cls(deadline=time.monotonic() + seconds)

    @property
    def unbounded(self) -> bool:
        """Whether there is no deadline."""
        return self.deadline == math.inf

    @property
    def remaining_s(self) -> float:
        """Seconds left; negative once the deadline has passed."""
        return self.deadline - time.monotonic()

    def check(self) -> None:
        """Raise DeadlinePassed if there is no time left."""
        if self.remaining_s <= 0:
            raise DeadlinePassed("the deadline passed before the work was done")

    def abandon(self) -> None:
        """Nobody waits any more: from now on `check` raises, also on another thread."""
        self.deadline = -math.inf

    def add(self, stage: str, seconds: float) -> None:
        """Count time spent in a stage; a stage entered twice sums up."""
        self.durations_s[stage] = self.durations_s.get(stage, 0.0) + seconds

    @contextmanager
    def measure(self, stage: str) -> Iterator[None]:
        """Time the block as part of a stage, also when it raises."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.add(stage, time.perf_counter() - start)
