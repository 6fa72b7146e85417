"""Owns the process's HTTP server: a uvicorn that drains before it closes, and exits with 0."""

import asyncio
import signal
from collections.abc import Callable
from types import FrameType

import uvicorn


class DrainingServer(uvicorn.Server):
    """On SIGTERM or SIGINT: refuse new work, keep answering for a while, then close.

    Plain uvicorn closes its sockets at once (uvicorn #2414): what waits in the kernel's backlog or
    arrives on a kept connection is reset. It also ends by raising the signal again, so that an
    orderly shutdown exits with 143.
    """

    def __init__(
        self, config: uvicorn.Config, *, drain: Callable[[], None], drain_delay_s: float
    ) -> None:
        super().__init__(config)
        self._drain = drain
        self._drain_delay_s = drain_delay_s
        self._draining = False

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to drain; a second signal closes at once."""
        if self._draining:
            self.should_exit = True
            self.force_exit = sig == signal.SIGINT
            return
        self._draining = True
        self._drain()
        # The handler interrupts the loop's own thread, but not at a point of its choosing.
        self._loop.call_soon_threadsafe(self._loop.call_later, self._drain_delay_s, self._close)

    async def startup(self, sockets: list[object] | None = None) -> None:  # type: ignore[override]
        """Remember the loop that signals will have to reach."""
        self._loop = asyncio.get_running_loop()
        await super().startup(sockets=sockets)  # type: ignore[arg-type]

    def _close(self) -> None:
        self.should_exit = True
