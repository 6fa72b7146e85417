"""Read a body into the bytes of pictures: raw, form or JSON. Decodes no picture."""

import asyncio
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

from pydantic import BaseModel
from starlette.requests import Request

from core.collections.finder import ImageSeed, Seed
from core.errors import InvalidValue, shown
from core.types import ImageFile
from service.errors import MediaTypeUnsupported
from service.requests.forms import FORM, Part, read_form
from service.requests.grammar import read_json
from service.requests.intake import Intake
from service.schemas.uploads import FILE_FIELD, ImageUpload, SeedUpload

T = TypeVar("T")
S = TypeVar("S", bound=BaseModel)

# Of JSON that is no picture: metadata may be 16 KB, and each of its letters an escape of 6.
_MAX_OBJECT_BYTES: Final = 262_144

# Files and other fields of a form that should hold one file: enough to say what is wrong.
_MAX_PARTS = 64
# What is parsed in a millisecond is not worth a way to another thread and back. One thread: it
# shares Python's lock with the event loop, and several would each take their turn before it.
_AT_ONCE_BYTES: Final = 65_536
_PARSER: Final = ThreadPoolExecutor(1, "seethrough-parse")
_RAW = "application/octet-stream"
_JSON = "application/json"
_JSON_SUFFIX = re.compile(r"application/[^/]+\+json")
_LINES = ("application/x-ndjson", "application/jsonl", "application/x-jsonlines")
_TAKEN = f"image/* or {_RAW} (the picture itself), {FORM} (field {FILE_FIELD!r}), {_JSON}"


async def read_image(intake: Intake) -> bytes:
    """The file of the one picture in a request, in whichever of the three ways it was sent.

    Raises:
        MediaTypeUnsupported: the body is none of the three, or compressed.
        BodyTooLarge: it is longer than the limit, by its header or by count.
        BodyTooSlow, DeadlinePassed: it did not arrive in time.
        Unavailable: there is no room for it, or for the work it asks for.
        RequestUnreadable: it is not what its header says.
        InvalidValue: it holds no picture, or more than one.
    """
    media_type, header = _media_type(intake.request)
    body = await intake.whole(is_json=media_type == _JSON)
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


async def read_images(intake: Intake, limit_files: int) -> list[tuple[str, bytes]]:
    """File name and bytes of every picture in a multipart request.

    Raises:
        As read_image, and InvalidValue: there are none, or too many.
    """
    media_type, header = _media_type(intake.request)
    if media_type != FORM:
        raise MediaTypeUnsupported(f"Content-Type {shown(media_type)} is not taken here: {FORM}")
    body = await intake.whole()
    parts = await parsed(lambda: read_form(body, header, limit_files), len(body))
    _require_files(parts)
    if not parts:
        raise InvalidValue(FILE_FIELD, "0 files", f"1 to {limit_files} files")
    return [(part.file_name or "", part.content) for part in parts]


async def read_object(intake: Intake, schema: type[S]) -> S:
    """A JSON object that is no picture.

    Raises:
        As read_image, and InvalidValue: it is not what the schema says.
    """
    media_type = _essence(intake.request.headers.get("content-type", ""))
    _require_plain(intake.request)
    if media_type != _JSON and not _JSON_SUFFIX.fullmatch(media_type):
        raise MediaTypeUnsupported(f"Content-Type {shown(media_type)} is not taken here: {_JSON}")
    body = await intake.at_most(_MAX_OBJECT_BYTES).whole()
    return await parsed(lambda: read_json(schema, body, "body"), len(body))


def is_lines(request: Request) -> bool:
    """Whether the body is JSON lines."""
    return _essence(request.headers.get("content-type", "")) in _LINES


async def read_seed(intake: Intake, bits: int | None) -> Seed:
    """What to find neighbors of: a picture as in read_image, or JSON with a vector or an item.

    Args:
        intake: of the request that asks.
        bits: said of the picture; see `ImageFile`.

    Raises:
        As read_image, and InvalidValue: bits without a picture.
    """
    media_type, header = _media_type(intake.request)
    body = await intake.whole(is_json=media_type == _JSON)
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
