"""What a client was told, and so what a server has to know after a crash."""

import threading
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from tests.crash.network import Picture


@dataclass(frozen=True)
class State:
    """What an item is."""

    sha256: str
    label: str | None


@dataclass(frozen=True)
class Promise:
    """A request with an Idempotency-Key, which makes the id."""

    picture: Picture
    label: str
    id: str | None = None


@dataclass
class Ledger:
    """Every id that was ever sent. None stands for an item that is not there.

    Attributes:
        told: by the last answer.
        open: what a request without an answer would have made.
        promises: by their keys; an id once it is known.
        pictures: of every content, by its digest.
        acknowledged: how many answers of each kind there were.
    """

    told: dict[str, State | None] = field(default_factory=dict)
    open: dict[str, State | None] = field(default_factory=dict)
    promises: dict[str, Promise] = field(default_factory=dict)
    pictures: dict[str, Picture] = field(default_factory=dict)
    acknowledged: Counter[str] = field(default_factory=Counter)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def begin(self, id: str, state: State | None) -> None:
        """A request is about to be sent."""
        with self._lock:
            self.told.setdefault(id, None)
            self.open[id] = state

    def end(self, id: str, kind: str) -> None:
        """It was answered: it is done."""
        with self._lock:
            self.told[id] = self.open.pop(id)
            self.acknowledged[kind] += 1

    def keep(self, picture: Picture) -> None:
        """Remember a content, to ask for its neighbors when it is gone."""
        with self._lock:
            self.pictures[picture.sha256] = picture

    def promise(self, key: str, promise: Promise, kind: str | None = None) -> None:
        """A request with a key is about to be sent or, where the id is known, was answered."""
        with self._lock:
            self.promises[key] = promise
            if promise.id is not None:
                self.told[promise.id] = State(promise.picture.sha256, promise.label)
            if kind is not None:
                self.acknowledged[kind] += 1

    @property
    def in_flight(self) -> int:
        """Requests without an answer."""
        return len(self.open) + len(self.unanswered)

    @property
    def unanswered(self) -> dict[str, Promise]:
        """Promises without an answer."""
        return {key: each for key, each in self.promises.items() if each.id is None}

    @property
    def living(self) -> list[str]:
        """Ids that must be found, as far as answers say."""
        with self._lock:
            return [id for id, state in self.told.items() if state]

    @property
    def gone(self) -> list[str]:
        """Ids that must not be found."""
        return [id for id, state in self.told.items() if state is None]

    def settle(self, found: Mapping[str, State]) -> tuple[int, int]:
        """Compare with what a server has, and take over what became of open requests.

        Returns:
            How many open requests were done, and how many were not.

        Raises:
            AssertionError: the server lost something, or has what it should not have.
        """
        done = left = 0
        for id, told in self.told.items():
            now = found.get(id)
            allowed = {told, self.open.get(id, told)}
            assert now in allowed, f"{id}: told {told}, in flight {self.open.get(id)}, found {now}"
            if id in self.open:
                made = now == self.open[id]
                done, left = done + made, left + (not made)
            self.told[id] = now
        self.open.clear()
        strangers = {id: state for id, state in found.items() if id not in self.told}
        kept = self._recognize(strangers)
        return done + kept, left + len(self.unanswered) - kept

    def _recognize(self, strangers: Mapping[str, State]) -> int:
        """Ids nobody was told: they can only be those of open promises, each once."""
        promised = {State(p.picture.sha256, p.label) for p in self.unanswered.values()}
        for id, state in strangers.items():
            assert state in promised, f"nobody sent {id}: {state}"
            promised.discard(state)
            self.told[id] = state
        return len(strangers)
