"""Pages of other origins may write, and read answers (CORS), only where the operator names them."""

import logging
from collections.abc import Sequence
from typing import Final

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from core.errors import RequestUnreadable, SeethroughError, shown
from service.errors import OriginRefused, respond
from service.hosts import FORWARDED_HOST, Hosts, split_authority

_log = logging.getLogger("seethrough")

_SAFE: Final = ("GET", "HEAD", "OPTIONS")
_OWN_SITE: Final = (b"same-origin", b"none")  # none: typed, bookmarked, or a browser's own
_PORTS: Final = {"http": 80, "https": 443}
_METHODS: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
# What a script in a page may read of an answer besides its body.
_EXPOSED: Final = (
    "ETag",
    "Idempotency-Replayed",
    "Location",
    "Preference-Applied",
    "Retry-After",
    "Server-Timing",
    "X-Applied-Seq",
    "X-Request-ID",
)


class CrossOrigin(CORSMiddleware):
    """Answers preflights, which a body of `image/*` and every key need, and marks answers.

    Args:
        app: what serves the request.
        origins: such as "https://app.example"; "*" = every page anywhere.
    """

    def __init__(self, app: ASGIApp, origins: Sequence[str]) -> None:
        super().__init__(
            app,
            allow_origins=origins,
            allow_methods=_METHODS,
            allow_headers=("*",),
            expose_headers=_EXPOSED,
        )

    def preflight_response(self, request_headers: Headers) -> Response:
        """As Starlette's; a refusal is a problem that names the origin and those allowed."""
        answer = super().preflight_response(request_headers)
        if answer.status_code < 400:
            return answer
        method = shown(request_headers["access-control-request-method"])
        origin = shown(request_headers["origin"])
        allowed = f"{', '.join(_METHODS)} from {', '.join(self.allow_origins)}"
        return respond(OriginRefused(f"{method} from {origin} is not allowed; allowed: {allowed}"))


class Admission:
    """Pure ASGI middleware: refuses what is addressed to another name, and writes of other pages.

    Browsers send a form, or a body without a type, to any address without asking there first, and
    keep the answer from the page only after it was carried out.

    Args:
        app: what serves the request.
        hosts: by which the service may be addressed.
        origins: whose pages may write; "*" = every page anywhere.
    """

    def __init__(self, app: ASGIApp, hosts: Hosts, origins: Sequence[str] = ()) -> None:
        self._app = app
        self._hosts = hosts
        self._origins = frozenset(each.encode("latin-1") for each in origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request; other scopes pass through."""
        if scope["type"] == "http":
            try:
                self._hosts.require(scope)
                self._require_own_page(scope)
            except SeethroughError as error:
                _log.warning("refused: %s", error)
                await respond(error)(scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _require_own_page(self, scope: Scope) -> None:
        """Raise OriginRefused for a write that a page of another origin has sent.

        `Sec-Fetch-Site` is the browser's own word, and is there wherever it trusts the address
        (https, localhost); elsewhere `Origin` is compared with the host. Programs send neither.
        """
        if scope["method"] in _SAFE or b"*" in self._origins:
            return
        headers = dict(scope["headers"])
        origin, site = headers.get(b"origin"), headers.get(b"sec-fetch-site")
        if origin is not None and origin.lower() in self._origins:
            return
        if site is None:
            own = origin is None or _is_host_of(scope, headers, origin.decode("latin-1"))
        else:
            own = site in _OWN_SITE
        if not own:
            page = "another site" if origin is None else shown(origin.decode("latin-1"))
            raise OriginRefused(
                f"{scope['method']} from a page of {page} is not allowed; if it is yours, list its "
                "origin in SEETHROUGH_CORS_ORIGINS, or have the proxy pass Host on as it came"
            )


def _is_host_of(scope: Scope, headers: dict[bytes, bytes], origin: str) -> bool:
    """Whether an origin is the one that the request was sent to.

    The scheme that the browser sees is not known behind every proxy: it only gives the port.
    """
    scheme, _, authority = origin.lower().partition("://")
    said = scope.get("state", {}).get(FORWARDED_HOST) or headers.get(b"host", b"").decode("latin-1")
    try:
        (host, port), (own_host, own_port) = split_authority(authority), split_authority(said)
    except RequestUnreadable:  # "null" is the origin of files and of frames without rights
        return False
    usual = _PORTS.get(scheme)
    return (host, port or usual) == (own_host, own_port or usual)
