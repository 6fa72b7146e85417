"""`Sweep`: compares all that is stored with its checksums, a little at a time, over and over."""

import logging
import os
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from core.errors import GalleryUnusable, SeethroughError
from core.gallery.records import Swept
from core.gallery.sqlite.store import Store

_log = logging.getLogger("seethrough")

_EVERY_S: Final = 1.0
_PAUSE_S: Final = 3600.0
_AGAIN_S: Final = 60.0
_LOWEST_PRIORITY: Final = 19

OnSwept = Callable[[Swept], None]


def nobody(swept: Swept) -> None:
    """Who is told where nobody asked."""


class Sweep:
    """A thread that gives way to all others; what it finds is in the log, and marked.

    Args:
        store: what to read.
        bytes_s: how much of it in a second.
        on_swept: told of each piece, on the sweep's thread.
        every_s: between two pieces.
    """

    def __init__(
        self,
        store: Store,
        bytes_s: int,
        on_swept: OnSwept = nobody,
        *,
        every_s: float = _EVERY_S,
    ) -> None:
        self._store = store
        self._on_swept = on_swept
        self._piece_bytes = max(1, int(bytes_s * every_s))
        self._every_s = every_s
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="seethrough-sweep", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End it; a piece that is being compared is finished."""
        self._closing.set()
        self._thread.join()

    def _loop(self) -> None:
        with suppress(OSError):  # of this thread alone, on Linux
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _LOWEST_PRIORITY)
        after, pause_s = 0, self._every_s
        while not self._closing.wait(pause_s):
            try:
                found = self._store.examine(after, self._piece_bytes)
            except GalleryUnusable as error:  # its own row: nothing can be written, nor marked
                _log.error("%s", error)
                self._on_swept(Swept(items=0, size_bytes=0, damaged=1, ended=False))
                pause_s = _PAUSE_S
                continue
            except SeethroughError as error:  # many writes, a full disk, a folder that is gone
                _log.warning("the sweep waits: %s", error)
                pause_s = _AGAIN_S
                continue
            except Exception:  # the thread's edge: what cannot be compared ends no service
                _log.exception("the sweep ended")
                return
            for each in found.damages:
                _log.error("%s; it can be removed or stored again", each)
            after = found.last or 0
            damaged = len(found.damages)
            self._on_swept(
                Swept(
                    items=found.count, size_bytes=found.size_bytes, damaged=damaged, ended=not after
                )
            )
            pause_s = self._every_s if after else _PAUSE_S
