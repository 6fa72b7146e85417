"""Dependencies of the routers: engine, key, call, picture, form of the answer."""

import hmac
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Annotated, TypeVar

from fastapi import Depends, Query, Request
from fastapi.security import HTTPBearer
from pydantic import BaseModel, SecretStr

from core.compute.call import Call
from core.engine import Engine
from core.types import LEAST_BITS, MOST_BITS, ImageFile
from service.errors import KeyMissing, KeyRefused
from service.requests.body import read_image, read_images, read_object
from service.requests.grammar import whole_number
from service.requests.intake import BodyLimits, Intake
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
            # Whoever has a key is one client, from however many addresses.
            request.state.call.client = f"key {number_of_key(request.headers, keys)}"


def number_of_key(headers: Mapping[str, str], keys: Sequence[SecretStr]) -> int:
    """Which of the keys a request carries.

    Raises:
        KeyMissing: it carries none.
        KeyRefused: it is none of them.
    """
    scheme, _, sent = headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer":
        sent = headers.get("x-api-key", "")
    if not sent:
        raise KeyMissing("an API key is needed: Authorization: Bearer KEY, or X-API-Key: KEY")
    # Every key is compared, and each in constant time: the answer's delay tells nothing.
    secrets = [key.get_secret_value().encode() for key in keys]
    matches = [hmac.compare_digest(sent.encode(), secret) for secret in secrets]
    if not any(matches):
        raise KeyRefused("the API key is not one of those that may call")
    return matches.index(True)


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


@contextmanager
def taking_in(request: Request, call: Call, admit: Callable[[], None]) -> Iterator[Intake]:
    """What reads a request's body; the memory it takes is given back at the end.

    Args:
        request: whose key has been checked.
        call: its deadline and stopwatch.
        admit: raises where the request could not be served now, whatever its body is.
    """
    settings = _settings(request)
    limits = BodyLimits(settings.max_body_bytes, settings.body_timeout_s, settings.stall_timeout_s)
    with _engine(request).bodies.hold() as hold:
        yield Intake(request, call, hold, limits, admit)


@contextmanager
def taking_in_picture(request: Request, call: Call) -> Iterator[Intake]:
    """The same, of a request that asks a network; one that it could not be asked is not read."""
    with taking_in(request, call, _engine(request).bridge.check_admission) as intake:
        yield intake


async def get_image(
    request: Request, call: CallDep, bits: BitsQuery = None
) -> AsyncIterator[ImageFile]:
    """The request's picture."""
    with taking_in_picture(request, call) as intake:
        yield ImageFile(await read_image(intake), bits)


async def get_images(
    request: Request, call: CallDep, bits: BitsQuery = None
) -> AsyncIterator[list[tuple[str, ImageFile]]]:
    """File name and picture of each of the request's files."""
    with taking_in_picture(request, call) as intake:
        files = await read_images(intake, _settings(request).max_files)
        yield [(name, ImageFile(content, bits)) for name, content in files]


def body_of(schema: type[S]) -> Callable[..., Awaitable[S]]:
    """A dependency that reads a small body of JSON."""

    async def read(request: Request, call: CallDep) -> S:
        with taking_in(request, call, lambda: None) as intake:
            return await read_object(intake, schema)

    return read


# Given back once the endpoint has its answer: whoever reads that slowly holds nothing.
ImageDep = Annotated[ImageFile, Depends(get_image, scope="function")]
ImagesDep = Annotated[list[tuple[str, ImageFile]], Depends(get_images, scope="function")]


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
