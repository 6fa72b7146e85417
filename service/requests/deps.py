"""Dependencies of the routers: engine, key, call, picture, form of the answer."""

import hmac
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Annotated, TypeVar

from fastapi import Depends, Query, Request
from fastapi.security import HTTPBearer
from pydantic import BaseModel, SecretStr

from core.compute.call import Call
from core.engine import Engine
from core.types import LEAST_BITS, MOST_BITS, ImageFile
from service.errors import KeyMissing, KeyRefused
from service.requests.body import MAX_OBJECT_BYTES, read_image, read_images, read_object
from service.requests.grammar import whole_number
from service.requests.negotiation import MEDIA_TYPES, choose
from service.settings import Settings

S = TypeVar("S", bound=BaseModel)


# Dependencies read the application's state themselves: FastAPI resolves each one anew for every
# request, and a dozen of them cost as much as the rest of the HTTP layer.
def _engine(request: Request) -> Engine:
    """The application's engine."""
    engine: Engine = request.app.state.engine
    return engine


def _settings(request: Request) -> Settings:
    settings: Settings = request.app.state.settings
    return settings


async def get_engine(request: Request) -> Engine:
    """As a dependency: async, or FastAPI would call it in a thread."""
    return _engine(request)


async def get_settings(request: Request) -> Settings:
    """As a dependency."""
    return _settings(request)


EngineDep = Annotated[Engine, Depends(get_engine)]
SettingsDep = Annotated[Settings, Depends(get_settings)]


class KeyGuard(HTTPBearer):
    """Lets a request pass if no key is needed, or if it carries one that may call."""

    def __init__(self) -> None:
        super().__init__(
            scheme_name="ApiKey",
            description="`Authorization: Bearer KEY` or `X-API-Key: KEY`; needed only where the "
            "service was given keys.",
        )

    async def __call__(self, request: Request) -> None:  # type: ignore[override]
        """Raise KeyMissing or KeyRefused."""
        if keys := _settings(request).api_keys:
            _check_key(request, keys)


def _check_key(request: Request, keys: Sequence[SecretStr]) -> None:
    scheme, _, sent = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer":
        sent = request.headers.get("x-api-key", "")
    if not sent:
        raise KeyMissing("an API key is needed: Authorization: Bearer KEY, or X-API-Key: KEY")
    # Every key is compared, and each in constant time: the answer's delay tells nothing.
    secrets = [key.get_secret_value().encode() for key in keys]
    matches = [hmac.compare_digest(sent.encode(), secret) for secret in secrets]
    if not any(matches):
        raise KeyRefused("the API key is not one of those that may call")


async def get_call(request: Request) -> Call:
    """The request's call, its deadline counted from now, before the body is read."""
    call: Call = request.state.call
    longest_ms = int(_settings(request).deadline_s * 1000)
    allowed_ms = longest_ms
    text = request.headers.get("x-deadline-ms")
    if text is not None:
        allowed = f"1 to {longest_ms}, whole milliseconds"
        allowed_ms = whole_number("X-Deadline-Ms", text, 1, longest_ms, allowed)
    call.deadline = time.monotonic() + allowed_ms / 1000
    return call


CallDep = Annotated[Call, Depends(get_call)]


BitsQuery = Annotated[
    int | None,
    Query(
        ge=LEAST_BITS,
        le=MOST_BITS,
        description="Of samples deeper than 8 bits: how many mean something, so that a camera's "
        "12 bits in a file of 16 are not nearly black. Left out: as the file says, or guessed of "
        "gray; the answer's `image.bits` says what was taken.",
        examples=[12],
    ),
]


async def get_image(request: Request, call: CallDep, bits: BitsQuery = None) -> ImageFile:
    """The request's picture; a body that could not be served is not even read."""
    _engine(request).bridge.check_admission()
    settings = _settings(request)
    content = await read_image(request, call, settings.max_body_bytes, settings.body_timeout_s)
    return ImageFile(content, bits)


async def get_images(
    request: Request, call: CallDep, bits: BitsQuery = None
) -> list[tuple[str, ImageFile]]:
    """File name and picture of each of the request's files."""
    _engine(request).bridge.check_admission()
    settings = _settings(request)
    files = await read_images(
        request, call, settings.max_body_bytes, settings.body_timeout_s, settings.max_files
    )
    return [(name, ImageFile(content, bits)) for name, content in files]


def body_of(schema: type[S]) -> Callable[..., Awaitable[S]]:
    """A dependency that reads a small body of JSON, once the key has been checked."""

    async def read(request: Request, call: CallDep) -> S:
        settings = _settings(request)
        limit_bytes = min(MAX_OBJECT_BYTES, settings.max_body_bytes)
        return await read_object(request, call, schema, limit_bytes, settings.body_timeout_s)

    return read


ImageDep = Annotated[ImageFile, Depends(get_image)]
ImagesDep = Annotated[list[tuple[str, ImageFile]], Depends(get_images)]


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
