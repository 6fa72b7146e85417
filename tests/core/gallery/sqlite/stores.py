"""Stores to test with, and what they told of their commits."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.gallery import changes
from core.gallery.sqlite.store import Store
from tests.core.gallery.records import Clock, spec

WAIT_S = 60


class Recorder:
    """Notes what a store tells of its commits; can make its writer wait."""

    def __init__(self) -> None:
        self.commits: list[tuple[list[changes.Change], int]] = []
        self.gate = threading.Event()
        self.gate.set()
        self.entered = threading.Event()

    def __call__(self, told: Sequence[changes.Change], seq: int) -> None:
        self.commits.append((list(told), seq))
        self.entered.set()
        assert self.gate.wait(WAIT_S)

    @property
    def changes(self) -> list[changes.Change]:
        return [change for told, _ in self.commits for change in told]

    def vectors(self) -> dict[int, tuple[str | None, NDArray[np.float32]]]:
        """What an index would hold that knows nothing but these changes."""
        held: dict[int, tuple[str | None, NDArray[np.float32]]] = {}
        for change in self.changes:
            match change:
                case changes.Added(number=number, label=label, vector=vector):
                    assert number not in held
                    held[number] = (label, vector)
                case changes.Removed(number=number):
                    del held[number]
                case changes.Relabeled(number=number, label=label):
                    held[number] = (label, held[number][1])
        return held


@contextmanager
def opened(
    file: Path, recorder: Recorder | None = None, clock: Clock | None = None, **given: Any
) -> Iterator[Store]:
    """A store that is closed in the end, with an empty collection "c" if the file is new."""
    new = not file.exists()
    store = Store(file, recorder or Recorder(), clock or Clock(), **given)
    try:
        if new:
            store.create(spec()).result(WAIT_S)
        yield store
    finally:
        store.close()


_gates = count()


@contextmanager
def one_group(store: Store, recorder: Recorder) -> Iterator[None]:
    """What is written inside shares one commit: the writer is busy with another until the end."""
    recorder.gate.clear()
    recorder.entered.clear()
    try:
        store.create(spec(f"gate {next(_gates)}"))
        assert recorder.entered.wait(WAIT_S)
        yield
    finally:
        recorder.gate.set()
