import _thread
import os
import sys
import threading
from collections.abc import Callable

import pytest

from core.compute.niceness import libraries_give_way


@pytest.mark.skipif(sys.platform != "linux", reason="threads have a niceness of their own on Linux")
def test_only_threads_that_libraries_started_in_the_block_give_way() -> None:
    end, started = threading.Event(), threading.Semaphore(0)
    found: dict[str, int] = {}

    def started_as(name: str) -> Callable[[], None]:
        def run() -> None:
            found[name] = threading.get_native_id()
            started.release()
            end.wait(30)

        return run

    def start_as_a_library_does(name: str) -> None:
        _thread.start_new_thread(started_as(name), ())  # `threading` does not know of it
        assert started.acquire(timeout=30)

    own = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
    start_as_a_library_does("before")
    with libraries_give_way():
        start_as_a_library_does("library")
        python = threading.Thread(target=started_as("python"))
        python.start()
        assert started.acquire(timeout=30)
    nice = {name: os.getpriority(os.PRIO_PROCESS, thread) - own for name, thread in found.items()}
    end.set()
    python.join()
    assert nice == {"before": 0, "library": 5, "python": 0}
