"""Threads of the compute libraries give way to Python's, which share a lock.

Whoever holds that lock and is not run, because libraries' threads have the cores, holds up all
others: the event loop stood still for 25 to 100 ms at a time.
"""

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

_STEPS: Final = 5
"""Of niceness: a third of the weight, where both would run. With 19 a third of the pictures a
second was lost, with 5 none."""

_TASKS: Final = Path("/proc/self/task")


@contextmanager
def libraries_give_way() -> Iterator[None]:
    """What the block starts, and is no thread of Python's, is run after those that are.

    Linux; elsewhere nothing changes.
    """
    before = _threads()
    yield
    ours = {each.native_id for each in threading.enumerate()}
    for thread in _threads() - before - ours:
        try:
            nice = os.getpriority(os.PRIO_PROCESS, thread)
            os.setpriority(os.PRIO_PROCESS, thread, nice + _STEPS)
        except OSError:  # it has ended, or may not be asked: then it is as it was
            continue


def _threads() -> set[int]:
    if sys.platform != "linux":
        return set()
    return {int(each.name) for each in _TASKS.iterdir()}
