"""`Gate` and `GatedProtocol`: while all is busy, what asks a network is refused before it is read.

To route a request and resolve its dependencies takes a millisecond of the one event loop; ten times
as many as can be answered would leave little for those that are, and none for health.
"""

import asyncio
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any, Final

from pydantic import SecretStr
from starlette.datastructures import Headers
from starlette.routing import compile_path

from core.compute.metrics import Metrics
from core.errors import SeethroughError, Unavailable
from service.connections import Connections
from service.errors import answer_of
from service.hosts import Hosts
from service.protocol import BoundedProtocol
from service.requests.deps import number_of_key
from service.upgrades import NoUpgrades

_WITH_PICTURES: Final = (b"POST", b"PUT")
_FORM: Final = "multipart/form-data"
_LINES: Final = "application/x-ndjson"
_OF_BROWSERS: Final = frozenset({"origin", "sec-fetch-site"})
_PROXIED: Final = (b"x-forwarded-for", b"forwarded", b"via")
_PAUSE_S: Final = 0.5
"""Half of the least that `Retry-After` says: who keeps to that never waits for it."""

Heads = Sequence[tuple[bytes, bytes]]


class Gate:
    """Knows which requests would be refused by the application, however it reads them.

    Args:
        check: raises Unavailable if a request that asks a network would be refused now, given how
            many others are about to be let in.
        paths: of the OpenAPI document, asked for when a request is first refused.
        prefix: below which the service is published.
        keys: of those who may call; others are told so by the application.
        hosts: by which the service may be addressed.
        max_body_bytes: of a body that is not refused for its length.
        metrics: where refusals are counted.

    Attributes:
        coming: requests that were let in, and have not been taken up yet.
    """

    def __init__(
        self,
        check: Callable[[int], None],
        paths: Callable[[], Mapping[str, Any]],
        *,
        metrics: Metrics,
        prefix: str = "",
        keys: Sequence[SecretStr] = (),
        hosts: Hosts,
        max_body_bytes: int = sys.maxsize,
    ) -> None:
        self.coming = 0
        self._check = check
        self._paths = paths
        self._metrics = metrics
        self._prefix = prefix
        self._keys = keys
        self._hosts = hosts
        self._max_body_bytes = max_body_bytes

    def refusal(self, method: bytes, target: bytes, headers: Heads) -> Unavailable | None:
        """Why a request is refused, which is counted; None: the application looks at it.

        Args:
            method: such as b"POST".
            target: path and query, as sent.
            headers: names in lower case.
        """
        if method not in _WITH_PICTURES:
            return None
        try:
            self._check(self.coming)
        except Unavailable as error:
            path = target.partition(b"?")[0].decode("latin-1").removeprefix(self._prefix)
            template = self._template_of(method.decode(), path)
            if template is None or not self._is_plain(Headers(raw=list(headers))):
                return None
            self._count(template, method.decode(), error)
            return error
        return None

    def _template_of(self, method: str, path: str) -> str | None:
        """The path as the document has it, if it asks a network."""
        for asking, template, shape in self._asking:
            if asking == method and shape.match(path):
                return template
        return None

    @cached_property
    def _asking(self) -> list[tuple[str, str, re.Pattern[str]]]:
        """What takes pictures, but for that whose pictures wait for their turn one by one."""
        return [
            (method.upper(), path, compile_path(path)[0])
            for path, operations in self._paths().items()
            for method, operation in operations.items()
            if _FORM in (taken := operation.get("requestBody", {}).get("content", {}))
            and _LINES not in taken
        ]

    def _is_plain(self, headers: Headers) -> bool:
        """Whether the application would say the same, and no more.

        What a browser sends goes on: its page may be another's, or may read no answer without
        headers that the application adds.
        """
        if not _OF_BROWSERS.isdisjoint(headers):
            return False
        length = headers.get("content-length", "0")
        if not length.isdecimal() or int(length) > self._max_body_bytes:
            return False
        try:
            self._hosts.require({"headers": headers.raw, "http_version": "1.1"})
            if self._keys:
                number_of_key(headers, self._keys)
        except SeethroughError:
            return False
        return True

    def _count(self, template: str, method: str, error: Unavailable) -> None:
        answer = answer_of(error)
        self._metrics.accepted.inc()
        self._metrics.answered.labels(template, method, str(answer.status)).inc()
        self._metrics.latency_s.labels(template).observe(0)
        self._metrics.shed.labels(answer.code).inc()


class _TurnedAway:
    """Stands where uvicorn keeps the request that is being answered: its answer is written."""

    response_started = response_complete = True
    more_body = True
    keep_alive = True
    disconnected = False

    def __init__(self) -> None:
        self.message_event = asyncio.Event()


class GatedProtocol(BoundedProtocol):
    """The same with a gate: a request that is turned away costs a fifth of one that is routed.

    It is answered at once, and its body dropped as it comes. A client that asks again at once, and
    not when `Retry-After` said, is read a moment later: its next answer would be the same, and
    those under way would pay for it. A proxy's connection, by which others ask as well, is read on.
    """

    def __init__(self, of: Connections, gate: Gate, **given: Any) -> None:
        super().__init__(of, **given)
        self._gate = gate
        self._turned_away: _TurnedAway | None = None

    def on_headers_complete(self) -> None:
        """Turn the request away, or hand it on."""
        error = None
        if self._is_between_requests():
            error = self._gate.refusal(self.parser.get_method(), self.url, self.headers)
        if error is None:
            self._let_in()
            return
        self._take_head()
        away = _TurnedAway()
        away.keep_alive = self.parser.should_keep_alive()
        self.cycle = self._turned_away = away  # type: ignore[assignment]
        self._drop_body()
        self.transport.write(self._answer(error, close=not away.keep_alive))

    def _let_in(self) -> None:
        """Hand the request on; it counts until its task has run, and has a place or has none."""
        super().on_headers_complete()
        if self.parser.get_method() in _WITH_PICTURES:
            self._gate.coming += 1
            self.loop.call_soon(self._has_come)  # behind the task, which was made just now

    def _has_come(self) -> None:
        self._gate.coming -= 1

    def on_message_complete(self) -> None:
        """The rest of it is here."""
        super().on_message_complete()
        away, self._turned_away = self._turned_away, None
        if away is None:
            return
        if not away.keep_alive:
            self.transport.close()
        elif not self._is_of_many():
            self.flow.pause_reading()
            self.loop.call_later(_PAUSE_S, self._read_on)

    def _is_of_many(self) -> bool:
        said = {name for name, _ in self.headers}
        return self._of.is_trusted(self.address) and not said.isdisjoint(_PROXIED)

    def _read_on(self) -> None:
        if not self.transport.is_closing():
            self.flow.resume_reading()


class Protocol(NoUpgrades, GatedProtocol):
    """What the service speaks: HTTP/1.1 within bounds, behind a gate, without upgrades."""
