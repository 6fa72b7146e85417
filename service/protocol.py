"""`BoundedProtocol`: uvicorn's HTTP/1.1, with an end to whatever a client may leave open."""

import asyncio
import secrets
import socket
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from core.errors import RequestUnreadable, SeethroughError
from service.connections import IDLE, Connections
from service.errors import HeadTooLarge, HeadTooSlow, TooManyConnections, answer_of, respond
from service.logs import request_id

_FIELD_BYTES: Final = 32  # what a header costs besides its text, as HTTP/2 counts (RFC 9113, 6.5.2)
_LINGER_S: Final = 2.0  # how long a refused client may go on sending, so that it reads the answer
_LINGER_BYTES: Final = 2**20
_PATIENCE_S: Final = 0.25  # most answers are there by then
_PROBE_S: Final = 0.05
_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
_IPV4_IN_IPV6: Final = "::ffff:"


class BoundedProtocol(HttpToolsProtocol):
    """One connection. Its bounds are those of `Connections`, which asks it once a second.

    What cannot be read, is too long or too slow is answered with a problem, if no answer to an
    earlier request is under way; that one is finished first, and nothing further is read.

    A client that has ended its side may still read (`shutdown(SHUT_WR)`) or be gone (`close()`):
    the kernel tells them apart only once something is sent, so an answer that takes long is
    announced by `100 Continue`, which every client of HTTP/1.1 has to skip.
    """

    def __init__(self, of: Connections, **given: Any) -> None:
        super().__init__(**given)
        self.address = ""
        self._of = of
        self._head_since: float | None = None  # while a head is due or on its way
        self._heard = False  # whether any of it has come
        self._head_bytes = 0
        self._handed_on = False
        self._held_bytes = 0  # since the parser last handed on a head, a piece or an end of a body
        self._failure: SeethroughError | None = None
        self._refused = False
        self._end_at: float | None = None  # while the body of an answered request is dropped
        self._dropped_bytes = 0
        self._unread_since: float | None = None
        self._unread_bytes = 0
        self._closing_since: float | None = None
        self._half_closed = False
        self._probed = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take the connection, or refuse it with 503."""
        super().connection_made(transport)
        self.address = self.client[0].removeprefix(_IPV4_IN_IPV6) if self.client else ""
        self._head_since = self.loop.time()
        try:
            self._of.admit(self)
        except TooManyConnections as error:
            self._refuse(error)

    def connection_lost(self, exc: Exception | None) -> None:
        """Count it out."""
        self._of.release(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse what has come, unless the connection is as good as ended."""
        if self._refused:
            self._dropped_bytes += len(data)
            if self._dropped_bytes > _LINGER_BYTES:
                self.transport.abort()
            return
        if self._end_at is not None:
            self._dropped_bytes += len(data)
            if self._dropped_bytes > self._of.limits.dropped_bytes:
                self.drop("body_unread")
                return
        self._of.works(self)
        if self._head_since is None and self._is_between_requests():
            self._head_since = self.loop.time()
        self._heard = self._head_since is not None
        self._handed_on = False
        super().data_received(data)
        self._held_bytes = 0 if self._handed_on else self._held_bytes + len(data)
        if self._held_bytes > self._of.limits.head_bytes and not self._refused:
            self._refuse(self._too_large())

    def eof_received(self) -> bool | None:  # type: ignore[override]
        """Go on where a complete request waits for its answer; else the connection closes."""
        if self._refused or self._is_between_requests():
            return None
        if self.cycle is None or self.cycle.more_body or self.cycle.response_started:
            return None
        self._half_closed = True
        self.loop.call_later(_PATIENCE_S, self._probe)
        return True

    def on_message_begin(self) -> None:
        """The first byte of a request."""
        super().on_message_begin()
        self._unset_keepalive_if_required()  # set behind a dropped body, in the same bytes perhaps
        self._head_bytes = 0
        if self._head_since is None:  # behind another one that is not answered yet
            self._head_since = self.loop.time()
            self._heard = True

    def on_url(self, url: bytes) -> None:
        """A piece of the request's target."""
        self._count_head(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header, or one that follows a body in chunks."""
        self._count_head(len(name) + len(value) + _FIELD_BYTES)
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """The head is here."""
        self._take_head()
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """A piece of the body."""
        self._handed_on = True
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The request is here; perhaps its answer is, too, which did not need the body."""
        super().on_message_complete()
        self._handed_on = True
        if self.cycle.response_complete and self._end_at is not None:
            self.cycle.more_body = False
            self._end_at = None
            self.timeout_keep_alive_task = self.loop.call_later(
                self.timeout_keep_alive, self.timeout_keep_alive_handler
            )
            self._of.waits(self)

    def on_response_complete(self) -> None:
        """The answer is written: wait for the next request, or for the rest of this one."""
        others = bool(self.pipeline)
        super().on_response_complete()
        if others or self.transport.is_closing():
            return
        if self._half_closed:
            self.transport.close()
        elif self.cycle.more_body:
            self._unset_keepalive_if_required()
            self._drop_body()
        elif self._head_since is None:
            self._of.waits(self)

    def pause_writing(self) -> None:
        """The client reads more slowly than is written."""
        super().pause_writing()
        self._unread_since = self.loop.time()
        self._unread_bytes = self.transport.get_write_buffer_size()

    def resume_writing(self) -> None:
        """It has read most of it."""
        super().resume_writing()
        self._unread_since = None

    def timeout_keep_alive_handler(self) -> None:
        """No further request has come."""
        self.drop(IDLE)

    def send_400_response(self, msg: str) -> None:
        """Answer what is not HTTP, or breaks a bound, with a problem instead of a plain text."""
        self._refuse(self._failure or RequestUnreadable("what was sent is not HTTP/1.1"))

    def expire(self, now: float) -> None:
        """End the connection if it has used up its time."""
        limits = self._of.limits
        if self._end_at is not None:
            if now >= self._end_at:
                self.drop("body_unread")
        elif self._unread_since is not None and now - self._unread_since > limits.stall_s:
            left = self.transport.get_write_buffer_size()
            if left >= self._unread_bytes:
                self._of.ended("answer_unread", self.address)
                self.transport.abort()
            self._unread_since, self._unread_bytes = now, left
        elif self.transport.is_closing():
            self._closing_since = self._closing_since or now
            if now - self._closing_since > limits.stall_s:  # what is written is never read
                self._of.ended("answer_unread", self.address)
                self.transport.abort()
        elif self._refused:
            return  # answered, or about to be: its end is on its way
        elif self._head_since is not None and now - self._head_since > limits.head_s:
            if self._heard:
                self._refuse(HeadTooSlow(f"the headers took longer than {limits.head_s:g} s"))
            else:
                self.drop(IDLE)

    def drop(self, reason: str) -> None:
        """Close it, answering nothing."""
        if not self.transport.is_closing():
            self._of.ended(reason, self.address)
            self.transport.close()

    def _is_between_requests(self) -> bool:
        return self.cycle is None or (self.cycle.response_complete and not self.cycle.more_body)

    def _take_head(self) -> None:
        self._handed_on = True
        self._head_since = None

    def _drop_body(self) -> None:
        """Read the rest of an answered request for a while, so that its answer is read, too."""
        self._end_at = self.loop.time() + self._of.limits.stall_s
        self._dropped_bytes = 0

    def _count_head(self, more_bytes: int) -> None:
        self._head_bytes += more_bytes
        if self._head_bytes > self._of.limits.head_bytes:
            self._failure = self._too_large()
            raise self._failure  # the parser stops, and `send_400_response` says so

    def _too_large(self) -> HeadTooLarge:
        return HeadTooLarge(
            f"the request's line and headers are longer than {self._of.limits.head_bytes} bytes, "
            f"each header counted with {_FIELD_BYTES} more"
        )

    def _refuse(self, error: SeethroughError) -> None:
        """Read nothing more; answer, unless the answer to an earlier request is under way."""
        self._refused = True
        self._of.works(self)
        self._of.ended(answer_of(error).code, self.address)
        if self._is_between_requests():
            self._end_with(error)
        elif not self.cycle.more_body or self.pipeline:
            self.cycle.keep_alive = False  # closes once its answer is written
        elif self.cycle.response_started:
            self.transport.close()
        else:
            self.cycle.disconnected = True  # whoever waits for the rest of the body
            self.cycle.message_event.set()
            self._end_with(error)

    def _end_with(self, error: SeethroughError) -> None:
        """Answer, and read on for a while: closed with bytes unread, the answer would be lost."""
        self.transport.write(self._answer(error, close=True))
        if not self._of.linger(self):
            self.transport.close()
            return
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self.loop.call_later(_LINGER_S, self.transport.abort)

    def _answer(self, error: SeethroughError, *, close: bool) -> bytes:
        token = request_id.set(secrets.token_hex(8))
        answer = respond(error)
        headers = [
            *self.server_state.default_headers,
            *(each for each in answer.raw_headers if each[0] != b"connection"),
            (b"x-request-id", request_id.get().encode()),
            (b"x-content-type-options", b"nosniff"),
        ]
        if close:
            headers.append((b"connection", b"close"))
        request_id.reset(token)
        lines = (b"%s: %s\r\n" % each for each in headers)
        return b"".join([STATUS_LINE[answer.status_code], *lines, b"\r\n", bytes(answer.body)])

    def _probe(self) -> None:
        """See whether a client that ended its side still reads."""
        if self.transport.is_closing() or self.cycle.response_complete:
            return
        if self.transport.get_extra_info("socket").getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            self.transport.abort()
            return
        begun = self.pipeline or self.cycle.response_started
        if not self._probed and not begun and self.cycle.scope["http_version"] == "1.1":
            self._probed = True
            self.transport.write(_CONTINUE)
        self.loop.call_later(_PROBE_S, self._probe)
