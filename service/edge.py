"""`Edge`, the outermost middleware: request id, clock, log line, counters, clients that hang up.

HEAD is answered here, too: as GET is, without the body.
"""

import asyncio
import logging
import re
import secrets
import time
from collections.abc import Sequence

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from core.compute.call import Call
from core.compute.metrics import Metrics
from service.connections import client_of
from service.errors import BodyTooSlow, respond
from service.failures import Failures, HeadAnswered
from service.hosts import Hosts
from service.logs import request_id
from service.origins import Admission, CrossOrigin

_log = logging.getLogger("seethrough")

_SANE_ID = re.compile(rb"[A-Za-z0-9._:/+=@-]{1,128}")
_CLIENT_GONE = 499


class Edge:
    """Pure ASGI middleware, the outermost of all.

    Behind Starlette's BaseHTTPMiddleware a handler cannot learn that its client has gone. Here the
    request's task is cancelled when the connection closes, so that its ticket leaves the queue.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        metrics: Metrics,
        hosts: Hosts,
        stall_timeout_s: float,
        origins: Sequence[str] = (),
    ) -> None:
        answering: ASGIApp = Failures(app)
        if origins:
            answering = CrossOrigin(answering, origins)
        self._app = Admission(answering, hosts, origins)
        self._metrics = metrics
        self._stall_timeout_s = stall_timeout_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request; other scopes pass through."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        exchange = _Exchange(scope, receive, send, self._stall_timeout_s)
        token = request_id.set(exchange.id)
        self._metrics.accepted.inc()
        try:
            await exchange.run(self._app)
        finally:
            self._record(exchange)
            request_id.reset(token)

    def _record(self, exchange: "_Exchange") -> None:
        seconds = time.perf_counter() - exchange.started
        method, route, status = exchange.method, exchange.route, exchange.status
        if exchange.answered:
            self._metrics.answered.labels(route, method, str(status)).inc()
            self._metrics.latency_s.labels(route).observe(seconds)
        else:
            self._metrics.cancelled.inc()
        _log.info(
            "%s %s %d %.1f ms",
            method,
            exchange.path,
            status,
            seconds * 1000,
            extra={"route": route, "status": status, "duration_ms": round(seconds * 1000, 1)},
        )


class _Exchange:
    """One request and its answer."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, stall_timeout_s: float) -> None:
        self.started = time.perf_counter()
        self.id = _request_id(scope)
        self.method: str = scope["method"]
        # The path as sent, escaped: a log line cannot be forged with a newline.
        self.path: str = scope.get("raw_path", b"").decode("ascii", "backslashreplace")[:200]
        self.status = _CLIENT_GONE
        self.answered = False
        self.call = Call(client=client_of(scope["client"][0]) if scope.get("client") else "")
        # A copy: the server goes by its own, and knows a HEAD by it.
        self._scope = scope if self.method != "HEAD" else {**scope, "method": "GET"}
        self._receive = receive
        self._send = send
        self._stall_timeout_s = stall_timeout_s
        self._gone = asyncio.Event()
        self._watcher: asyncio.Task[None] | None = None
        self._scope.setdefault("state", {})["call"] = self.call

    @property
    def route(self) -> str:
        """The route's template, so that labels stay few."""
        return getattr(self._scope.get("route"), "path", "unmatched")

    async def run(self, app: ASGIApp) -> None:
        """Serve; a client that is gone, stops sending or only wants the head makes an early end."""
        try:
            await app(self._scope, self.receive, self.send)
        except asyncio.CancelledError:
            if not self._gone.is_set():
                raise
            task = asyncio.current_task()
            if task is not None:
                task.uncancel()
        finally:
            if self._watcher is not None:
                self._watcher.cancel()

    async def receive(self) -> Message:
        """Hand the body on; once it is complete, watch for the client to hang up."""
        if self._watcher is not None:
            await self._gone.wait()
            return {"type": "http.disconnect"}
        message = await self._next()
        if message["type"] == "http.disconnect":
            self._gone.set()
        elif not message.get("more_body", False):
            self._watcher = asyncio.create_task(self._watch(asyncio.current_task()))
        return message

    async def _next(self) -> Message:
        """More of the body; a client that stops sending it is answered, whoever waits here."""
        if self.status != _CLIENT_GONE:  # an answer has begun
            return await self._receive()
        try:
            async with asyncio.timeout(self._stall_timeout_s):
                return await self._receive()
        except TimeoutError:
            error = BodyTooSlow(f"nothing of the body came for {self._stall_timeout_s:g} s")
            await respond(error)(self._scope, self._receive, self.send)
            self._gone.set()
            raise asyncio.CancelledError from error

    async def _watch(self, task: asyncio.Task[object] | None) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        if not self.answered:
            self._gone.set()
            if task is not None:
                task.cancel()

    async def send(self, message: Message) -> None:
        """Add the headers every answer has."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = message.setdefault("headers", [])
            headers.append((b"x-request-id", self.id.encode()))
            headers.append((b"server-timing", self._timing().encode()))
            headers.append((b"x-content-type-options", b"nosniff"))
        elif self.method == "HEAD":
            await self._end_head(message)
            return
        elif not message.get("more_body", False) and not self._gone.is_set():
            self.answered = True
        await self._send(message)

    async def _end_head(self, message: Message) -> None:
        """End the answer where its body would begin, and whoever would go on writing it."""
        self.answered = True
        await self._send({"type": "http.response.body", "body": b"", "more_body": False})
        if message.get("more_body", False):
            raise HeadAnswered

    def _timing(self) -> str:
        stages = self.call.durations_s | {"total": time.perf_counter() - self.started}
        return ", ".join(f"{name};dur={seconds * 1000:.2f}" for name, seconds in stages.items())


def _request_id(scope: Scope) -> str:
    """The caller's id if it sent a sane one, else a new one."""
    for name, value in scope["headers"]:
        if name == b"x-request-id" and _SANE_ID.fullmatch(value):
            return str(value.decode("ascii"))
    return secrets.token_hex(8)
