"""`Shares`: when each client is due next, so that one that asks for much makes way for others."""

from typing import Final

_MOST_S: Final = 60.0
"""So much later than another client's nothing is due, whatever its client has asked for before."""
_MOST_CLIENTS: Final = 1000
"""Remembered; those who are behind none are forgotten first."""


class Shares:
    """A clock for each client, which what it asks for moves on.

    Fair queueing (Demers et al. 1989) with the wall clock for virtual time: who asks for more than
    its share is due later and later, who comes anew is due at once.
    """

    def __init__(self) -> None:
        self._due: dict[str, float] = {}

    def due(self, client: str, now: float) -> float:
        """When a client is due next; now: seconds on a clock."""
        return min(max(now, self._due.get(client, now)), now + _MOST_S)

    def take(self, client: str, now: float, cost_s: float) -> float:
        """When a client is due that takes its turn now; it is next due by the cost later.

        Args:
            client: whose turn it is.
            now: seconds on a clock.
            cost_s: how long it is thought to take.
        """
        due = self.due(client, now)
        if len(self._due) >= _MOST_CLIENTS:
            self._due = {name: each for name, each in self._due.items() if each > now}
        self._due[client] = due + cost_s
        return due
