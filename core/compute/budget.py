"""`Budget`: how many bytes requests under way may hold together. Used on the event loop only."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from prometheus_client import Gauge

from core.errors import MemoryFull

STEP_BYTES: Final = 262_144
"""What a photo takes: held by so much, a request may have the last quarter of a budget."""
_LARGE_SHARE: Final = 0.75
_RETRY_AFTER_S: Final = 1.0


class Budget:
    """Bytes that are taken before they are there, and given back when they are gone.

    Large requests may fill three quarters of it: small ones are served when they have.

    Args:
        limit_bytes: of all holds together.
        held: shows how many are taken.
    """

    def __init__(self, limit_bytes: int, held: Gauge) -> None:
        self.limit_bytes = limit_bytes
        self.held_bytes = 0
        self._shown = held

    @contextmanager
    def hold(self) -> Iterator["Hold"]:
        """A request's share, empty at first; all of it is given back at the end."""
        hold = Hold(self)
        try:
            yield hold
        finally:
            hold.give(hold.bytes)

    def change(self, count: int) -> None:
        """Take so many bytes, or give them back where there are fewer than none."""
        self.held_bytes += count
        self._shown.set(self.held_bytes)


class Hold:
    """One request's share of a budget."""

    def __init__(self, budget: Budget) -> None:
        self.bytes = 0
        self._budget = budget

    def require(self, more: int) -> None:
        """That so many bytes more could be taken now.

        Raises:
            MemoryFull: they could not.
        """
        budget = self._budget
        small = self.bytes + more <= STEP_BYTES
        limit = budget.limit_bytes * (1.0 if small else _LARGE_SHARE)
        if budget.held_bytes + more > limit:
            raise MemoryFull(
                f"requests under way hold {budget.held_bytes} bytes; {more} more are too many",
                retry_after_s=_RETRY_AFTER_S,
            )

    def take(self, more: int) -> None:
        """Hold so many bytes more.

        Raises:
            MemoryFull: there are not so many left.
        """
        self.require(more)
        self.bytes += more
        self._budget.change(more)

    def give(self, count: int) -> None:
        """Give so many of them back; after the end there are none."""
        count = min(count, self.bytes)
        self.bytes -= count
        self._budget.change(-count)
