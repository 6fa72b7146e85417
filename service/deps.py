"""Owns what a router may ask for: the engine, the call, the picture, the form of the answer."""

import hmac
import time
from collections.abc import Awaitable, Callable
from typing import Annotated

from fastapi import Depends, Query, Request, Security
from fastapi.security import APIKeyHeader, HTTPAuthorizationCredentials, HTTPBearer

from core.call import Call
from core.engine import Engine
from core.errors import InvalidValue
from service.body import read_image, read_images
from service.errors import KeyMissing, KeyRefused
from service.negotiation import MEDIA_TYPES, choose
from service.settings import Settings

_bearer = HTTPBearer(auto_error=False, description="`Authorization: Bearer KEY`")
_key_header = APIKeyHeader(name="X-API-Key", auto_error=False, description="`X-API-Key: KEY`")


def get_engine(request: Request) -> Engine:
    """The application's engine."""
    engine: Engine = request.app.state.engine
    return engine


def get_settings(request: Request) -> Settings:
    """The application's settings."""
    settings: Settings = request.app.state.settings
    return settings


EngineDep = Annotated[Engine, Depends(get_engine)]
SettingsDep = Annotated[Settings, Depends(get_settings)]


async def require_key(
    settings: SettingsDep,
    bearer: Annotated[HTTPAuthorizationCredentials | None, Security(_bearer)],
    header: Annotated[str | None, Security(_key_header)],
) -> None:
    """Let the request pass if no key is needed, or if it carries one that may call."""
    if not settings.api_keys:
        return
    sent = bearer.credentials if bearer else header
    if not sent:
        raise KeyMissing("an API key is needed: Authorization: Bearer KEY, or X-API-Key: KEY")
    # Every key is compared, and each in constant time: the answer's delay tells nothing.
    keys = [key.get_secret_value().encode() for key in settings.api_keys]
    matches = [hmac.compare_digest(sent.encode(), key) for key in keys]
    if not any(matches):
        raise KeyRefused("the API key is not one of those that may call")


async def get_call(request: Request, settings: SettingsDep) -> Call:
    """The request's call, its deadline counted from the moment its head was here."""
    call: Call = request.state.call
    text = request.headers.get("x-deadline-ms")
    longest_ms = int(settings.deadline_s * 1000)
    allowed_ms = longest_ms
    if text is not None:
        if not (text.isascii() and text.isdecimal()) or not 1 <= int(text[:10]) <= longest_ms:
            raise InvalidValue("X-Deadline-Ms", text, f"1 to {longest_ms}, whole milliseconds")
        allowed_ms = int(text[:10])
    call.deadline = time.monotonic() + allowed_ms / 1000
    return call


CallDep = Annotated[Call, Depends(get_call)]


async def get_image(
    request: Request, engine: EngineDep, call: CallDep, settings: SettingsDep
) -> bytes:
    """The bytes of the request's picture; a body that could not be served is not even read."""
    engine.check_admission()
    return await read_image(request, call, settings.max_body_bytes, settings.body_timeout_s)


async def get_images(
    request: Request, engine: EngineDep, call: CallDep, settings: SettingsDep
) -> list[tuple[str, bytes]]:
    """File name and bytes of each of the request's pictures."""
    engine.check_admission()
    return await read_images(
        request, call, settings.max_body_bytes, settings.body_timeout_s, settings.max_files
    )


ImageDep = Annotated[bytes, Depends(get_image)]
ImagesDep = Annotated[list[tuple[str, bytes]], Depends(get_images)]


def offers(*forms: str) -> Callable[..., Awaitable[str]]:
    """A dependency that picks the form of the answer, of those an endpoint can make."""

    async def pick(
        request: Request,
        format: Annotated[
            str | None,
            Query(
                description="Form of the answer: "
                + ", ".join(forms)
                + ". Wins over `Accept`: "
                + ", ".join(MEDIA_TYPES[form] for form in forms)
                + ".",
                examples=["json"],
            ),
        ] = None,
    ) -> str:
        return choose(forms, format, request.headers.get("accept"))

    return pick


ModelQuery = Annotated[
    str | None,
    Query(
        description="A served model; the default one if left out.", examples=["efficientnet-lite0"]
    ),
]
