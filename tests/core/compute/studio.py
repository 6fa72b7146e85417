"""Decoders whose work is noted, and can be held up."""

import threading
from collections.abc import Callable

from core.compute.decoders import Decoders
from core.compute.metrics import Metrics
from core.images.cost import Cost, Reserve

MEGA = 10**6
BUDGET = 100 * MEGA


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


class Studio:
    """Decoders whose work is noted, and waits for a gate where it is asked to."""

    def __init__(self, threads: int = 1, budget_bytes: int = BUDGET) -> None:
        self.clock, self.metrics = Clock(), Metrics()
        self.decoders = Decoders(threads, budget_bytes, self.metrics, self.clock)
        self.opened: list[str] = []
        self.done: list[str] = []
        self.at_once: list[int] = [0]
        self._lock = threading.Lock()

    def picture(
        self, name: str, pixels: int, bytes: int = 10, then: Callable[[], object] = lambda: None
    ) -> Callable[[Reserve], str]:
        def work(reserve: Reserve) -> str:
            self.opened.append(name)
            reserve(Cost(pixels, bytes))
            with self._lock:
                self.at_once.append(self.at_once[-1] + bytes)
            then()
            with self._lock:
                self.at_once.append(self.at_once[-1] - bytes)
            self.done.append(name)
            return name

        return work

    def sample(self, name: str, **labels: str) -> float:
        return self.metrics.registry.get_sample_value(name, labels) or 0.0

    def waits(self, count: int) -> bool:
        return self.sample("seethrough_decode_waiting", size="large") == count

    def until(self, done: Callable[[], bool]) -> None:
        for _ in range(20_000):
            if done():
                return
            threading.Event().wait(0.001)
        raise AssertionError("it never happened")


class Gate:
    """Keeps a thread busy until opened."""

    def __init__(self) -> None:
        self.entered = threading.Event()
        self._opened = threading.Event()

    def __call__(self) -> None:
        self.entered.set()
        assert self._opened.wait(30)

    def open(self) -> None:
        self._opened.set()
