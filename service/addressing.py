"""Path prefixes, forwarded headers and trailing slashes: where a request is addressed.

A proxy may publish the service below a prefix and take it off before it passes a request on, or
leave it there: both work, unless the prefix is also the beginning of a path here, as /v1 is. What
the service writes (Location, `servers` in the OpenAPI document) begins with the prefix.
"""

import re
from collections.abc import Sequence
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from service.hosts import FORWARDED_HOST

_PREFIX_HEADER: Final = b"x-forwarded-prefix"
_HOST_HEADER: Final = b"x-forwarded-host"
_IPV4_IN_IPV6: Final = "::ffff:"  # how a socket for both families names an IPv4 client
_PREFIX: Final = re.compile(r"(/[A-Za-z0-9._~-]+)*/?")


class Addressing(ProxyHeadersMiddleware):
    """Pure ASGI middleware in front of routing.

    Client, scheme, prefix and host are taken from `X-Forwarded-For`, `-Proto`, `-Prefix` and
    `-Host` of a trusted proxy, and from nobody else. A slash at the end of a path changes nothing.

    Args:
        app: what serves the request.
        prefix: the path below which the service is published, where no proxy says it.
        trusted_proxies: addresses and networks of proxies; "*" = whoever connects.
    """

    def __init__(self, app: ASGIApp, prefix: str, trusted_proxies: Sequence[str]) -> None:
        super().__init__(_Routed(app), list(trusted_proxies))  # type: ignore[arg-type]
        self._prefix = prefix

    async def __call__(  # type: ignore[override]
        self, scope: Scope, receive: Receive, send: Send
    ) -> None:
        """Serve one request; other scopes pass through."""
        if scope["type"] == "http":
            if scope.get("client"):
                host, port = scope["client"]
                scope["client"] = (host.removeprefix(_IPV4_IN_IPV6), port)
            # Before the client's address is replaced by the one that the proxy names.
            self._believe(scope)
        await super().__call__(scope, receive, send)  # type: ignore[arg-type]

    def _believe(self, scope: Scope) -> None:
        """Take prefix and host from the headers of a trusted proxy."""
        client = scope.get("client")
        trusted = client is not None and client[0] in self.trusted_hosts
        said = _first_of_each(scope) if trusted else {}
        prefix = clean_prefix(said.get(_PREFIX_HEADER, self._prefix))
        scope["root_path"] = self._prefix if prefix is None else prefix
        if _HOST_HEADER in said:  # of several proxies the outermost writes first
            host = said[_HOST_HEADER].partition(",")[0].strip()
            scope.setdefault("state", {})[FORWARDED_HOST] = host


class _Routed:
    """Routes find their paths, and answers lead back to where the client came from."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        prefix: str = scope["root_path"]
        scope["path"] = _path(scope["path"], prefix)

        async def send_with_prefix(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [_prefixed(each, prefix) for each in message["headers"]]
            await send(message)

        await self._app(scope, receive, send_with_prefix if prefix else send)


def _first_of_each(scope: Scope) -> dict[bytes, str]:
    """Headers by name; of several of one name the first."""
    return {name: value.decode("latin-1") for name, value in reversed(scope["headers"])}


def clean_prefix(text: str) -> str | None:
    """A prefix as paths are built from it: "/a/b", or "" for none; None if it is not one.

    Several proxies, each of which takes its own prefix off, write a list, the outermost first.
    """
    prefixes = [each.strip() for each in text.split(",")]
    if not all(_PREFIX.fullmatch(each) and "/." not in each for each in prefixes):
        return None
    return "".join(each.rstrip("/") for each in prefixes)


def _path(path: str, prefix: str) -> str:
    """The path in full, prefix included, without slashes at its end."""
    if prefix and path != prefix and not path.startswith(prefix + "/"):
        path = prefix + path
    return path.rstrip("/") if len(path) > len(prefix) + 1 else prefix + "/"


def _prefixed(header: tuple[bytes, bytes], prefix: str) -> tuple[bytes, bytes]:
    name, value = header
    if name.lower() == b"location" and value.startswith(b"/") and not value.startswith(b"//"):
        return name, prefix.encode() + value
    return name, value
