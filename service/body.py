"""Owns reading a request's body into the bytes of pictures; refuses to look inside a picture."""

import asyncio
import binascii
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from python_multipart.exceptions import MultipartParseError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import ClientDisconnect, Request

from core.call import Call
from core.errors import DeadlinePassed, InvalidValue, RequestUnreadable, shown
from core.finder import ImageSeed, ItemSeed, Seed, VectorSeed
from service.errors import BodyTooLarge, BodyTooSlow, ClientGone, MediaTypeUnsupported

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

_FIELD = "image"
_WHITESPACE = {ord(each): None for each in " \t\r\n"}
_BASE64 = '"<base64 or data: URI>"'
_RAW = "application/octet-stream"
_FORM = "multipart/form-data"
_JSON = "application/json"
_LINES = ("application/x-ndjson", "application/jsonl", "application/x-jsonlines")
_TAKEN = f"image/* or {_RAW} (the picture itself), {_FORM} (field {_FIELD!r}), {_JSON}"


async def read_image(request: Request, call: Call, limit_bytes: int, timeout_s: float) -> bytes:
    """The bytes of the one picture in a request, in whichever of the three ways it was sent.

    Raises:
        MediaTypeUnsupported: the body is none of the three, or compressed.
        BodyTooLarge: it is longer than the limit, by its header or by count.
        BodyTooSlow, DeadlinePassed: it did not arrive in time.
        RequestUnreadable: it is not what its header says.
        InvalidValue: it holds no picture, or more than one.
    """
    media_type, options = _media_type(request)
    body = await _read(request, call, limit_bytes, timeout_s)
    if media_type == _FORM:
        return _only_image(_parts(body, options))
    if media_type == _JSON:
        return _json_image(body)
    return body


async def read_images(
    request: Request, call: Call, limit_bytes: int, timeout_s: float, limit_files: int
) -> list[tuple[str, bytes]]:
    """File name and bytes of every picture in a multipart request.

    Raises:
        As read_image, and InvalidValue: there are none, or too many.
    """
    media_type, options = _media_type(request)
    if media_type != _FORM:
        raise MediaTypeUnsupported(f"Content-Type {shown(media_type)} is not taken here: {_FORM}")
    parts = _parts(await _read(request, call, limit_bytes, timeout_s), options)
    _require_field_names(parts)
    if not 1 <= len(parts) <= limit_files:
        raise InvalidValue(_FIELD, f"{len(parts)} files", f"1 to {limit_files} files")
    return [(part.file_name, bytes(part.content)) for part in parts]


def is_lines(request: Request) -> bool:
    """Whether the body is JSON lines."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower() in _LINES


async def read_seed(request: Request, call: Call, limit_bytes: int, timeout_s: float) -> Seed:
    """What to find neighbours of: a picture as in read_image, or JSON with a vector or an item.

    Raises:
        As read_image.
    """
    media_type, options = _media_type(request)
    body = await _read(request, call, limit_bytes, timeout_s)
    if media_type == _FORM:
        return ImageSeed(_only_image(_parts(body, options)))
    if media_type == _JSON:
        return _json_seed(body)
    return ImageSeed(body)


def _media_type(request: Request) -> tuple[str, dict[bytes, bytes]]:
    encoding = request.headers.get("content-encoding", "identity").lower()
    if encoding != "identity":
        raise MediaTypeUnsupported(
            f"Content-Encoding {shown(encoding)} is not taken: send the picture as it is"
        )
    header = request.headers.get("content-type", _RAW)
    name, options = parse_options_header(header)
    media_type = name.decode("latin-1").lower()
    if media_type in (_RAW, _FORM, _JSON) or media_type.startswith("image/"):
        return media_type, options
    hint = ""
    if media_type == "application/x-www-form-urlencoded":
        hint = "; with curl add -H 'Content-Type: image/jpeg', or use -F image=@FILE"
    raise MediaTypeUnsupported(f"Content-Type {shown(media_type)} is not taken: {_TAKEN}{hint}")


async def _read(request: Request, call: Call, limit_bytes: int, timeout_s: float) -> bytes:
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and int(announced) > limit_bytes:
        raise _too_large(int(announced), limit_bytes)
    left_s = call.remaining_s
    with call.measure("body"):
        try:
            async with asyncio.timeout(min(timeout_s, left_s)):
                return await _collect(request, limit_bytes)
        except TimeoutError as error:
            if left_s < timeout_s:
                raise DeadlinePassed("the deadline passed before the body was here") from error
            raise BodyTooSlow(f"the body took longer than {timeout_s:g} s to arrive") from error
        except ClientDisconnect as error:
            raise ClientGone("the client hung up before its body was here") from error


async def _collect(request: Request, limit_bytes: int) -> bytes:
    chunks: list[bytes] = []
    length = 0
    async for chunk in request.stream():
        length += len(chunk)
        if length > limit_bytes:
            raise _too_large(length, limit_bytes)
        chunks.append(chunk)
    if not length:
        raise RequestUnreadable("the body is empty; send the bytes of a picture")
    return b"".join(chunks)


def _too_large(length: int, limit_bytes: int) -> BodyTooLarge:
    return BodyTooLarge(f"a body of {length} bytes or more; at most {limit_bytes} are taken")


class _Part:
    """One part of a multipart body."""

    def __init__(self) -> None:
        self.headers = bytearray()
        self.content = bytearray()

    @property
    def disposition(self) -> dict[bytes, bytes]:
        """The options of its Content-Disposition header."""
        for line in self.headers.decode("utf-8", "replace").splitlines():
            name, _, value = line.partition(":")
            if name.strip().lower() == "content-disposition":
                return parse_options_header(value.strip())[1]
        return {}

    @property
    def field(self) -> str:
        """The form field's name."""
        return self.disposition.get(b"name", b"").decode("utf-8", "replace")

    @property
    def file_name(self) -> str:
        """The name of the file, as the client calls it."""
        return self.disposition.get(b"filename", b"").decode("utf-8", "replace")


def _parts(body: bytes, options: dict[bytes, bytes]) -> list[_Part]:
    """The parts of a body that is in memory already: no temporary files, no second copy."""
    boundary = options.get(b"boundary")
    if not boundary:
        raise RequestUnreadable(f"Content-Type {_FORM} without a boundary")
    parts: list[_Part] = []
    ended: list[bool] = []

    def header(data: bytes, start: int, end: int) -> None:
        parts[-1].headers += data[start:end]

    def content(data: bytes, start: int, end: int) -> None:
        parts[-1].content += data[start:end]

    callbacks: MultipartCallbacks = {
        "on_part_begin": lambda: parts.append(_Part()),
        "on_header_begin": lambda: header(b"\n", 0, 1),
        "on_header_field": header,
        "on_header_value": lambda data, start, end: header(b":" + data[start:end], 0, end + 1),
        "on_part_data": content,
        "on_end": lambda: ended.append(True),
    }
    try:
        parser = MultipartParser(boundary, callbacks)
        parser.write(body)
        parser.finalize()
    except MultipartParseError as error:
        raise RequestUnreadable(f"the multipart body cannot be read: {error}") from error
    if not ended:
        raise RequestUnreadable("the multipart body ends before its closing boundary")
    return parts


def _only_image(parts: list[_Part]) -> bytes:
    _require_field_names(parts)
    if len(parts) != 1:
        raise InvalidValue(_FIELD, f"{len(parts)} files", "exactly one file")
    return bytes(parts[0].content)


def _require_field_names(parts: list[_Part]) -> None:
    for part in parts:
        if part.field != _FIELD:
            raise InvalidValue(
                part.field or "form", part.field, f"the file goes into the field {_FIELD!r}"
            )


def _json_image(body: bytes) -> bytes:
    _, value = _only_field(body, {_FIELD: _BASE64})
    return decoded(value)


def _json_seed(body: bytes) -> Seed:
    name, value = _only_field(body, {_FIELD: _BASE64, "vector": "[0.1, ...]", "item": '"<id>"'})
    if name == _FIELD:
        return ImageSeed(decoded(value))
    if name == "item":
        if not isinstance(value, str):
            raise InvalidValue("item", value, "a string: the id of a stored item")
        return ItemSeed(value)
    if not isinstance(value, list):
        raise InvalidValue("vector", value, "a list of numbers")
    return VectorSeed(value)


def _only_field(body: bytes, taken: Mapping[str, str]) -> tuple[str, Any]:
    """Name and value of the one field of a JSON object."""
    try:
        fields: Any = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise RequestUnreadable("the body is not JSON, though its Content-Type says so") from error
    if not isinstance(fields, dict) or len(fields) != 1 or not set(fields) <= set(taken):
        found = sorted(map(str, fields))[:5] if isinstance(fields, dict) else type(fields).__name__
        forms = " or ".join(f'{{"{name}": {what}}}' for name, what in taken.items())
        raise InvalidValue("body", found, f"an object {forms}")
    return next(iter(fields.items()))


def decoded(value: object) -> bytes:
    """The bytes of a picture written as base64 or as a data: URI.

    Raises:
        InvalidValue: it is not.
    """
    if not isinstance(value, str):
        raise InvalidValue(_FIELD, value, "a string: base64 or a data: URI")
    return _base64(value)


def _base64(text: str) -> bytes:
    if text[:5].lower() == "data:":
        head, comma, text = text.partition(",")
        if not comma or not head.lower().endswith(";base64"):
            raise InvalidValue(_FIELD, head, "data:image/...;base64,...")
    try:
        # Some encoders wrap their lines; nothing else outside the alphabet is forgiven.
        return binascii.a2b_base64(text.translate(_WHITESPACE), strict_mode=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidValue(_FIELD, text, f"base64 ({error})") from error
