"""Errors that nobody expected: a 500 with a fixed text, a traceback in the log."""

import logging

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.errors import respond

_log = logging.getLogger("seethrough")


class HeadAnswered(OSError):
    """The rest of an answer is not wanted; streams end on an OSError."""


class Failures:
    """Pure ASGI middleware, the innermost: around it answers get the headers all of them have."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request; nothing but a cancellation escapes."""
        begun = False

        async def note(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await self._app(scope, receive, note)
        except Exception as error:
            if _is_head_answered(error):
                return
            path = scope.get("raw_path", b"").decode("ascii", "backslashreplace")[:200]
            _log.exception("unexpected error in %s %s", scope.get("method"), path)
            if not begun:
                await respond(_Unexpected())(scope, receive, send)


def _is_head_answered(error: BaseException | None) -> bool:
    """Streams raise an error of their own from it."""
    while error is not None:
        if isinstance(error, HeadAnswered):
            return True
        error = error.__cause__ or error.__context__
    return False


class _Unexpected(Exception):
    """Answered with a fixed text."""
