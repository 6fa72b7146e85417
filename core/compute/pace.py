"""`Pace`: how fast a queue gets shorter, as it did in the last seconds it was not empty."""

import math
from typing import Final

_MEMORY_S: Final = 5.0
"""Of time that is not idle: what lies further back counts less and less."""


class Pace:
    """Seconds from one that leaves a queue to the next.

    Sums and not a mean of quotients: one that took long counts as long as it took, and not for all
    that come after it.

    Args:
        guess_s: what each is thought to take before any has left.
        count: how many that guess weighs as much as.
    """

    def __init__(self, guess_s: float, count: float = 5.0) -> None:
        self._seconds = guess_s * count
        self._count = count
        self._last = -math.inf

    @property
    def each_s(self) -> float:
        """Seconds for each that leaves."""
        return self._seconds / self._count

    def left(self, count: float, came: float, now: float) -> None:
        """So many have left together.

        Args:
            count: how many, or how much.
            came: when the first of them came, in seconds on a clock.
            now: when they left, on the same clock.
        """
        passed = max(now - max(self._last, came), 0.0)
        self._last = now
        kept = math.exp(-passed / _MEMORY_S)
        self._seconds = self._seconds * kept + passed
        self._count = self._count * kept + count
