"""Owns the process's HTTP server: a uvicorn that drains before it closes, and exits with 0."""

import asyncio
import ctypes
import os
import signal
import socket
import struct
import sys
from collections.abc import Callable
from types import FrameType

import uvicorn

# After the listener has gone deaf: how long a connection that was accepted, but has not sent its
# request yet, is waited for.
_LAST_REQUESTS_S = 0.25
_SO_ATTACH_FILTER = 26


class DrainingServer(uvicorn.Server):
    """On SIGTERM or SIGINT: refuse new work, keep answering for a while, then close.

    Plain uvicorn closes its sockets at once (uvicorn #2414): what waits in the kernel's backlog or
    is on its way over an open connection is reset. It also ends by raising the signal again, so
    that an orderly shutdown exits with 143.

    Args:
        config: uvicorn's.
        drain: called once, when the first signal arrives.
        drain_delay_s: how long new requests are still answered after it.
    """

    def __init__(
        self, config: uvicorn.Config, *, drain: Callable[[], None], drain_delay_s: float
    ) -> None:
        super().__init__(config)
        self._drain = drain
        self._drain_delay_s = drain_delay_s
        self._draining = False
        self._loop: asyncio.AbstractEventLoop | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Remember the loop that signals will have to reach."""
        self._loop = asyncio.get_running_loop()
        await super().startup(sockets=sockets)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to drain; a second signal closes at once."""
        if self._draining or self._loop is None:
            self.should_exit = True
            self.force_exit = sig == signal.SIGINT
            return
        self._draining = True
        self._drain()
        # The handler interrupts the loop's own thread, but not at a point of its choosing.
        self._loop.call_soon_threadsafe(self._loop.call_later, self._drain_delay_s, self._close)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Take no new connection, answer what the accepted ones still send, then close."""
        for server in self.servers:
            for listener in server.sockets:
                _go_deaf(listener.fileno())
        await asyncio.sleep(_LAST_REQUESTS_S)
        await super().shutdown(sockets=sockets)

    def _close(self) -> None:
        self.should_exit = True


def _go_deaf(descriptor: int) -> None:
    """Have the kernel drop what newcomers send to a listener, so that its backlog runs empty.

    Closing a listener resets the connections in its backlog, whose clients believe themselves
    connected. A filter that drops every packet stops new handshakes, the loop accepts what is
    left, and closing then resets nobody. Linux only; elsewhere a small window remains.
    """
    if sys.platform != "linux":
        return
    drop_all = ctypes.create_string_buffer(struct.pack("HBBI", 0x06, 0, 0, 0))  # BPF: return 0
    program = struct.pack("HP", 1, ctypes.addressof(drop_all))
    with socket.socket(fileno=os.dup(descriptor)) as listener:
        listener.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, program)
