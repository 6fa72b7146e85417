"""CORS: pages of other origins may call only where the operator names them."""

from collections.abc import Sequence
from typing import Final

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response
from starlette.types import ASGIApp

from core.errors import shown
from service.errors import OriginRefused, respond

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
