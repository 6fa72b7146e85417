"""The HTTP server: a uvicorn that drains before it closes, and exits with 0."""

import asyncio
import logging
import os
import signal
import socket
import sys
from collections.abc import Callable
from ipaddress import ip_address
from types import FrameType

import uvicorn

_log = logging.getLogger("seethrough")

# Once new connections are refused: how long handshakes under way, and requests of connections that
# have not sent them yet, are waited for.
_LAST_REQUESTS_S = 0.25
_TICKS_A_SECOND = 10
_ACCEPTED_AT_ONCE = 16
_SO_BINDTOIFINDEX = 62  # Linux 5.0; Python names it from 3.14 on
_NO_SUCH_INTERFACE = 2**31 - 1  # the kernel numbers them from 1 on


def refuse_new_connections(descriptor: int, option: int = _SO_BINDTOIFINDEX) -> None:
    """Have the kernel refuse new connections to a listener that goes on accepting the others.

    Closing a listener resets the connections in its backlog, whose clients believe themselves
    connected. Bound to a network interface that does not exist, it is found by no new handshake,
    whose client is refused as by a closed port; handshakes under way end, the loop accepts what
    waits, and closing it afterwards resets nobody. Linux, from 5.7 on without any privilege;
    elsewhere the backlog of the last few milliseconds is reset.

    Args:
        descriptor: of a listening TCP socket, which stays open and the caller's.
        option: of sockets, by which the kernel binds one to an interface.
    """
    if sys.platform != "linux":
        return
    with socket.socket(fileno=os.dup(descriptor)) as listener:
        try:
            listener.setsockopt(socket.SOL_SOCKET, option, _NO_SUCH_INTERFACE)
        except OSError as error:  # an older kernel, or a sandbox that imitates one
            _log.warning("connections of the last milliseconds may be reset: %s", error)


class DrainingServer(uvicorn.Server):
    """On SIGTERM or SIGINT: refuse new work, keep answering for a while, then close.

    Plain uvicorn closes its sockets at once (uvicorn #2414): what waits in the kernel's backlog or
    is on its way over an open connection is reset. It also ends by raising the signal again, so
    that an orderly shutdown exits with 143.

    Args:
        config: uvicorn's.
        drain: called once, when the first signal arrives.
        drain_delay_s: how long new requests are still answered after it.
        each_second: called with the loop's time.
        refuse: has a listener, given by its descriptor, take no new connections.
    """

    def __init__(
        self,
        config: uvicorn.Config,
        *,
        drain: Callable[[], None],
        drain_delay_s: float,
        each_second: Callable[[float], None] = lambda _now: None,
        refuse: Callable[[int], None] = refuse_new_connections,
    ) -> None:
        super().__init__(config)
        self._refuse = refuse
        self._drain = drain
        self._each_second = each_second
        self._drain_delay_s = drain_delay_s
        self._draining = False
        self._loop: asyncio.AbstractEventLoop | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Remember the loop that signals will have to reach, and take connections in good time."""
        self._loop = asyncio.get_running_loop()
        await super().startup(sockets=sockets)
        if type(self._loop).__module__ == "uvloop":
            await self._accept_more_at_once(self._loop)

    async def _accept_more_at_once(self, loop: asyncio.AbstractEventLoop) -> None:
        """Have several accept from each listener.

        libuv accepts one connection each time that its loop comes around: a newcomer, which may be
        a probe of health, waits for as many rounds as connections came before it.
        """
        for server in list(self.servers):
            for listener in server.sockets:
                for _ in range(_ACCEPTED_AT_ONCE - 1):
                    copy = socket.socket(fileno=os.dup(listener.fileno()))
                    copy.setblocking(False)
                    self.servers.append(
                        await loop.create_server(
                            self._new_protocol, sock=copy, backlog=self.config.backlog
                        )
                    )

    def _new_protocol(self) -> asyncio.Protocol:
        """As uvicorn makes one."""
        return self.config.http_protocol_class(  # type: ignore[call-arg]
            config=self.config, server_state=self.server_state, app_state=self.lifespan.state
        )

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

    async def on_tick(self, counter: int) -> bool:
        """What uvicorn does ten times a second."""
        if self._loop is not None and counter % _TICKS_A_SECOND == 0:
            # A callback of its own: should it fail, the server goes on.
            self._loop.call_soon(self._each_second, self._loop.time())
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Take no new connection, answer what the accepted ones still send, then close."""
        for server in self.servers:
            for listener in server.sockets:
                self._refuse(listener.fileno())
        await asyncio.sleep(_LAST_REQUESTS_S)
        await super().shutdown(sockets=sockets)

    def _close(self) -> None:
        self.should_exit = True


def connections_that_fit(wanted: int) -> int:
    """How many connections may be open, with the files that the process needs besides.

    The system's usual limit of 1024 files is raised as far as it may be.
    """
    if sys.platform == "win32":
        return wanted
    import resource  # which Windows lacks

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = wanted + _OTHER_FILES
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return wanted
    allowed = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
    if allowed < needed:
        _log.warning(
            "at most %d open files are allowed here: %d connections instead of %d",
            *(allowed, max(1, allowed - _OTHER_FILES), wanted),
        )
    return max(1, allowed - _OTHER_FILES)


_OTHER_FILES = 256  # models, database, pipes, connections on their way out
_BACKLOG = 2048  # as uvicorn's own


def sockets_for(host: str, port: int) -> list[socket.socket] | None:
    """A listener for IPv6 and IPv4 both, if the host is `::`; None: leave it to the server.

    asyncio makes a socket on `::` refuse IPv4, whatever the system's default is.

    Raises:
        OSError: the port is taken, or this machine has no IPv6.
    """
    if host.strip("[]") != "::":
        return None
    both = socket.has_dualstack_ipv6()
    try:
        listener = socket.create_server(
            ("::", port), family=socket.AF_INET6, backlog=_BACKLOG, dualstack_ipv6=both
        )
    except OSError as error:
        raise OSError(error.errno, f"cannot listen on [::]:{port}: {error.strerror}") from error
    return [listener]


def url_of(host: str, port: int) -> str:
    """Where a browser on this machine finds the service."""
    host = host.strip("[]")
    try:
        address = ip_address(host)
    except ValueError:
        return f"http://{host}:{port}"
    if address.is_unspecified:
        return f"http://localhost:{port}"
    return f"http://[{host}]:{port}" if address.version == 6 else f"http://{host}:{port}"
