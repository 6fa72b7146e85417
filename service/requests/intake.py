"""`Intake`: the bytes of one request's body, within its limits of size, time and memory."""

import asyncio
import math
import re
from collections.abc import AsyncIterator, Callable
from typing import Final, NamedTuple

from starlette.requests import ClientDisconnect, Request

from core.compute.budget import STEP_BYTES, Hold
from core.compute.call import Call
from core.errors import DeadlinePassed, RequestUnreadable
from service.errors import BodyTooLarge, BodyTooSlow, ClientGone
from service.requests.grammar import MAX_NUMBERS

# JSON without a picture: 25 characters and a comma are the longest that a number is written in.
_MAX_BARE_BYTES: Final = 26 * MAX_NUMBERS
_PICTURE: Final = re.compile(rb'(\xef\xbb\xbf)?\s*\{\s*"image"\s*:')
_HEAD_BYTES: Final = 1024
# The deadline is counted by the clock, the wait by the loop, which looks at it now and then.
_CLOCKS_DIFFER_S: Final = 0.01


class BodyLimits(NamedTuple):
    """What one body may take.

    Attributes:
        bytes: its length.
        whole_s: for all of it to arrive.
        silence_s: without a byte of it.
    """

    bytes: int
    whole_s: float
    silence_s: float


class Intake:
    """Reads one request's body.

    Args:
        request: whose key has been checked.
        call: its deadline and stopwatch.
        hold: its share of the memory for bodies.
        limits: of the body.
        admit: raises where the request could not be served now, whatever its body is.
    """

    def __init__(
        self,
        request: Request,
        call: Call,
        hold: Hold,
        limits: BodyLimits,
        admit: Callable[[], None],
    ) -> None:
        self.request = request
        self.call = call
        self.hold = hold
        self.limits = limits
        self.admit = admit

    def at_most(self, limit_bytes: int) -> "Intake":
        """The same, of a body that may be no longer than that."""
        limits = self.limits._replace(bytes=min(limit_bytes, self.limits.bytes))
        return Intake(self.request, self.call, self.hold, limits, self.admit)

    async def whole(self, *, is_json: bool = False) -> bytes:
        """All of the body, for which memory is taken before it is read.

        Args:
            is_json: whether it may be long only with a picture in it.

        Raises:
            BodyTooLarge, BodyTooSlow, ClientGone, DeadlinePassed, RequestUnreadable.
            Unavailable: there is no room for it now, or for the work it asks for.
        """
        announced = self._announced()
        if announced is not None and announced > self.limits.bytes:
            raise _too_large(announced, self.limits.bytes)
        self.admit()
        self.hold.require(announced or 0)
        with self.call.measure("body"):
            return await self._collect(announced, is_json)

    async def chunks(self, within_s: float = math.inf) -> AsyncIterator[bytes]:
        """The body as it arrives.

        Args:
            within_s: for all of it.

        Raises:
            BodyTooSlow, ClientGone.
        """
        loop = asyncio.get_running_loop()
        until_s, silence_s = loop.time() + within_s, self.limits.silence_s
        chunks = self.request.stream()
        while True:
            due_s = min(until_s, loop.time() + silence_s)
            try:
                async with asyncio.timeout_at(due_s):
                    chunk = await anext(chunks)
            except StopAsyncIteration:
                return
            except TimeoutError as error:
                said = f"the body took longer than {within_s:g} s to arrive"
                if due_s < until_s:
                    said = f"nothing of the body came for {silence_s:g} s"
                raise BodyTooSlow(said) from error
            except ClientDisconnect as error:
                raise ClientGone("the client hung up before its body was here") from error
            yield chunk

    def _announced(self) -> int | None:
        """The body's length, where its header says it."""
        text = self.request.headers.get("content-length", "")
        return int(text) if text.isascii() and text.isdecimal() else None

    async def _collect(self, announced: int | None, is_json: bool) -> bytes:
        left_s, whole_s = self.call.remaining_s, self.limits.whole_s
        try:
            found = [each async for each in self._paid(min(left_s, whole_s), announced, is_json)]
        except BodyTooSlow as error:
            if left_s < whole_s and self.call.remaining_s < _CLOCKS_DIFFER_S:
                raise DeadlinePassed("the deadline passed before the body was here") from error
            raise
        body = b"".join(found)
        if not body:
            raise RequestUnreadable("the body is empty; send a picture, or JSON where it is taken")
        return body

    async def _paid(
        self, within_s: float, announced: int | None, is_json: bool
    ) -> AsyncIterator[bytes]:
        """The body as it arrives, each step of it paid for in advance."""
        most = self.limits.bytes if announced is None else announced
        limit_bytes = min(_MAX_BARE_BYTES, self.limits.bytes) if is_json else self.limits.bytes
        head, length = b"", 0
        self.hold.take(min(STEP_BYTES, most))
        async for chunk in self.chunks(within_s):
            head = head if len(head) >= _HEAD_BYTES else head + chunk[:_HEAD_BYTES]
            length += len(chunk)
            if length > limit_bytes:
                if length > self.limits.bytes or not _PICTURE.match(head):
                    raise _too_large(length, limit_bytes)
                limit_bytes = self.limits.bytes
            yield chunk
            short = length - self.hold.bytes
            if short > 0 or (short == 0 and length < most):
                self.hold.take(min(max(STEP_BYTES, short), most - self.hold.bytes))


def _too_large(length: int, limit_bytes: int) -> BodyTooLarge:
    return BodyTooLarge(f"a body of {length} bytes or more; at most {limit_bytes} are taken")
