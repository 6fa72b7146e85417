"""Read a body into the bytes of pictures: raw, form or JSON. Decodes no picture."""

import asyncio
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

from pydantic import BaseModel
from starlette.requests import ClientDisconnect, Request

from core.collections.finder import ImageSeed, Seed
from core.compute.call import Call
from core.errors import DeadlinePassed, InvalidValue, RequestUnreadable, shown
from core.types import ImageFile
from service.errors import BodyTooLarge, BodyTooSlow, ClientGone, MediaTypeUnsupported
from service.requests.forms import FORM, Part, read_form
from service.requests.grammar import MAX_NUMBERS, read_json
from service.schemas.uploads import FILE_FIELD, ImageUpload, SeedUpload

T = TypeVar("T")
S = TypeVar("S", bound=BaseModel)

MAX_OBJECT_BYTES: Final = 262_144
"""Of JSON that is no picture: metadata may be 16 KB, and each of its letters an escape of 6."""

# Files and other fields of a form that should hold one file: enough to say what is wrong.
_MAX_PARTS = 64
# What is parsed in a millisecond is not worth a way to another thread and back. One thread: it
# shares Python's lock with the event loop, and several would each take their turn before it.
_AT_ONCE_BYTES: Final = 65_536
_PARSER: Final = ThreadPoolExecutor(1, "seethrough-parse")
# JSON without a picture: 25 characters and a comma are the longest that a number is written in.
_MAX_BARE_BYTES: Final = 26 * MAX_NUMBERS
_PICTURE: Final = re.compile(rb'(\xef\xbb\xbf)?\s*\{\s*"image"\s*:')
_HEAD_BYTES: Final = 1024
_RAW = "application/octet-stream"
_JSON = "application/json"
_JSON_SUFFIX = re.compile(r"application/[^/]+\+json")
_LINES = ("application/x-ndjson", "application/jsonl", "application/x-jsonlines")
_TAKEN = f"image/* or {_RAW} (the picture itself), {FORM} (field {FILE_FIELD!r}), {_JSON}"


async def read_image(request: Request, call: Call, limit_bytes: int, timeout_s: float) -> bytes:
    """The file of the one picture in a request, in whichever of the three ways it was sent.

    Raises:
        MediaTypeUnsupported: the body is none of the three, or compressed.
        BodyTooLarge: it is longer than the limit, by its header or by count.
        BodyTooSlow, DeadlinePassed: it did not arrive in time.
        RequestUnreadable: it is not what its header says.
        InvalidValue: it holds no picture, or more than one.
    """
    media_type, header = _media_type(request)
    body = await _read(request, call, limit_bytes, timeout_s)
    if media_type == FORM:
        return await parsed(lambda: _only_image(body, header), len(body))
    if media_type == _JSON:
        return await parsed(lambda: read_json(ImageUpload, body, "body").content(), len(body))
    return body


async def parsed(work: Callable[[], T], length: int) -> T:
    """What a parser makes of a body, off the event loop if the body is long."""
    if length <= _AT_ONCE_BYTES:
        return work()
    return await asyncio.get_running_loop().run_in_executor(_PARSER, work)


async def read_images(
    request: Request, call: Call, limit_bytes: int, timeout_s: float, limit_files: int
) -> list[tuple[str, bytes]]:
    """File name and bytes of every picture in a multipart request.

    Raises:
        As read_image, and InvalidValue: there are none, or too many.
    """
    media_type, header = _media_type(request)
    if media_type != FORM:
        raise MediaTypeUnsupported(f"Content-Type {shown(media_type)} is not taken here: {FORM}")
    body = await _read(request, call, limit_bytes, timeout_s)
    parts = await parsed(lambda: read_form(body, header, limit_files), len(body))
    _require_files(parts)
    if not parts:
        raise InvalidValue(FILE_FIELD, "0 files", f"1 to {limit_files} files")
    return [(part.file_name or "", part.content) for part in parts]


async def read_object(
    request: Request, call: Call, schema: type[S], limit_bytes: int, timeout_s: float
) -> S:
    """A JSON object that is no picture.

    Raises:
        As read_image, and InvalidValue: it is not what the schema says.
    """
    media_type = _essence(request.headers.get("content-type", ""))
    _require_plain(request)
    if media_type != _JSON and not _JSON_SUFFIX.fullmatch(media_type):
        raise MediaTypeUnsupported(f"Content-Type {shown(media_type)} is not taken here: {_JSON}")
    body = await _read(request, call, limit_bytes, timeout_s)
    return await parsed(lambda: read_json(schema, body, "body"), len(body))


def is_lines(request: Request) -> bool:
    """Whether the body is JSON lines."""
    return _essence(request.headers.get("content-type", "")) in _LINES


async def read_seed(
    request: Request, call: Call, limit_bytes: int, timeout_s: float, bits: int | None
) -> Seed:
    """What to find neighbors of: a picture as in read_image, or JSON with a vector or an item.

    Args:
        request: the one that asks.
        call: its deadline and stopwatch.
        limit_bytes: of its body.
        timeout_s: for the body to arrive.
        bits: said of the picture; see `ImageFile`.

    Raises:
        As read_image, and InvalidValue: bits without a picture.
    """
    media_type, header = _media_type(request)
    body = await _read(request, call, limit_bytes, timeout_s)
    if media_type == FORM:
        content = await parsed(lambda: _only_image(body, header), len(body))
        return ImageSeed(ImageFile(content, bits))
    if media_type == _JSON:
        return await parsed(lambda: read_json(SeedUpload, body, "body").seed(bits), len(body))
    return ImageSeed(ImageFile(body, bits))


def _media_type(request: Request) -> tuple[str, str]:
    """The body's media type, and the whole header it stands in."""
    _require_plain(request)
    header = request.headers.get("content-type", _RAW)
    media_type = _essence(header)
    if media_type in (_RAW, FORM, _JSON) or media_type.startswith("image/"):
        return media_type, header
    hint = ""
    if media_type == "application/x-www-form-urlencoded":
        hint = "; with curl add -H 'Content-Type: image/jpeg', or use -F image=@FILE"
    raise MediaTypeUnsupported(f"Content-Type {shown(media_type)} is not taken: {_TAKEN}{hint}")


def _require_plain(request: Request) -> None:
    """Raise MediaTypeUnsupported for a compressed body."""
    encoding = request.headers.get("content-encoding", "identity").lower()
    if encoding != "identity":
        raise MediaTypeUnsupported(
            f"Content-Encoding {shown(encoding)} is not taken: send the picture as it is"
        )


def _essence(content_type: str) -> str:
    """The media type without its parameters."""
    return content_type.partition(";")[0].strip().lower()


async def _read(request: Request, call: Call, limit_bytes: int, timeout_s: float) -> bytes:
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and int(announced) > limit_bytes:
        raise _too_large(int(announced), limit_bytes)
    left_s = call.remaining_s
    with call.measure("body"):
        try:
            async with asyncio.timeout(min(timeout_s, left_s)):
                return await _collect(request, limit_bytes, _is_json(request))
        except TimeoutError as error:
            if left_s < timeout_s:
                raise DeadlinePassed("the deadline passed before the body was here") from error
            raise BodyTooSlow(f"the body took longer than {timeout_s:g} s to arrive") from error
        except ClientDisconnect as error:
            raise ClientGone("the client hung up before its body was here") from error


async def _collect(request: Request, limit_bytes: int, is_json: bool) -> bytes:
    chunks: list[bytes] = []
    length = 0
    limit_unseen = min(_MAX_BARE_BYTES, limit_bytes) if is_json else limit_bytes
    async for chunk in request.stream():
        chunks.append(chunk)
        length += len(chunk)
        if length > limit_unseen:
            if length > limit_bytes or not _PICTURE.match(b"".join(chunks)[:_HEAD_BYTES]):
                raise _too_large(length, limit_unseen)
            limit_unseen = limit_bytes
    if not length:
        raise RequestUnreadable(
            "the body is empty; send the bytes of a picture, or JSON where that is asked for"
        )
    return b"".join(chunks)


def _is_json(request: Request) -> bool:
    return _essence(request.headers.get("content-type", "")) == _JSON


def _too_large(length: int, limit_bytes: int) -> BodyTooLarge:
    return BodyTooLarge(f"a body of {length} bytes or more; at most {limit_bytes} are taken")


def _only_image(body: bytes, content_type: str) -> bytes:
    parts = read_form(body, content_type, _MAX_PARTS)
    _require_files(parts)
    if len(parts) != 1:
        raise InvalidValue(FILE_FIELD, f"{len(parts)} files", "exactly one file")
    return parts[0].content


def _option(part: Part) -> str:
    """How the field is written as a query parameter, where it could be one."""
    value = part.content[:20].decode("utf-8", "replace")
    return f"{part.field}={value}" if part.field.isidentifier() else "top_k=3"


def _require_files(parts: list[Part]) -> None:
    """Raise InvalidValue for the first part that is not a file in the field for files."""
    for part in parts:
        if part.field == FILE_FIELD:
            continue
        if part.file_name is None:
            raise InvalidValue(
                part.field or "form",
                part.content[:100].decode("utf-8", "replace"),
                f"options go into the query (?{_option(part)}); "
                f"the form holds the file, in {FILE_FIELD!r}",
            )
        raise InvalidValue(
            part.field or "form", part.file_name, f"the file goes into the field {FILE_FIELD!r}"
        )
