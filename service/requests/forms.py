"""multipart/form-data in memory: its parts, their fields and file names as people send them.

The names are read here rather than by the parser, because clients write them in three ways: as
UTF-8 bytes (every browser, curl, RFC 7578), as bytes of another encoding, and as `filename*`
(RFC 5987), which RFC 7578 forbids and mail libraries send all the same.
"""

import re
from typing import Final, NamedTuple
from urllib.parse import unquote

from multipart import MultipartError, MultipartSegment, ParserLimitReached, PushMultipartParser

from core.errors import InvalidValue, RequestUnreadable, shown

FORM: Final = "multipart/form-data"

_MAX_HEADERS: Final = 32
_MAX_HEADER_BYTES: Final = 16_384
_HEADERS_REFUSED: Final = (
    f"a part of the form has more than {_MAX_HEADERS} headers, "
    f"or one of more than {_MAX_HEADER_BYTES} bytes"
)
_BOUNDARY: Final = re.compile(r';\s*boundary\s*=\s*(?:"([^"]+)"|([^;\s]+))', re.IGNORECASE)
_EXTENDED_NAME: Final = re.compile(
    r";\s*filename\*\s*=\s*\"?([A-Za-z0-9_.:-]+)'[^']*'([^;\s\"]*)", re.IGNORECASE
)


class Part(NamedTuple):
    """One part of a form.

    Attributes:
        field: the form field's name.
        file_name: as the client calls the file; None where it is no file.
        content: its bytes.
    """

    field: str
    file_name: str | None
    content: bytes


def read_form(body: bytes, content_type: str, limit_parts: int) -> list[Part]:
    """The parts of a form that is in memory already; no temporary files.

    A text before the first boundary and behind the last one is skipped (RFC 2046, section 5.1.1).
    Bytes of a name that are not UTF-8 become U+FFFD: a name is never a reason to refuse a picture.

    Args:
        body: the whole of it.
        content_type: the request's header, with the boundary.
        limit_parts: reading stops at one more.

    Raises:
        RequestUnreadable: it is not a form, or is cut off.
        InvalidValue: it has more parts.
    """
    # Headers as Latin-1 keep every byte; whatever the boundary's bytes are, they must be the same.
    parser = PushMultipartParser(
        _boundary(content_type).encode("latin-1", "replace"),
        max_header_size=_MAX_HEADER_BYTES,
        max_header_count=_MAX_HEADERS,
        max_segment_count=limit_parts,
        header_charset="latin-1",
    )
    parts: list[Part] = []
    content = b""
    segment: MultipartSegment | None = None
    try:
        for event in parser.parse(body):
            if isinstance(event, MultipartSegment):
                segment, content = event, b""
            elif event is not None:
                content = content + event if content else event
            elif segment is not None:
                parts.append(_part(segment, content))
        parser.close()
    except ParserLimitReached as error:
        if len(parts) < limit_parts:
            raise RequestUnreadable(_HEADERS_REFUSED) from error
        wrong = f"more than {limit_parts} parts"
        raise InvalidValue("form", wrong, f"at most {limit_parts}") from error
    except MultipartError as error:
        raise RequestUnreadable(f"the multipart body cannot be read: {error}") from error
    return parts


def _boundary(content_type: str) -> str:
    found = _BOUNDARY.search(content_type)
    if found is None:
        raise RequestUnreadable(f"Content-Type {shown(content_type)} without a boundary")
    return found[1] or found[2]


def _part(segment: MultipartSegment, content: bytes) -> Part:
    disposition = segment.header("Content-Disposition", "")
    extended = _EXTENDED_NAME.search(disposition)
    file_name = _text(segment.filename) if segment.filename is not None else None
    if extended is not None:
        file_name = _decoded(extended[1], extended[2])
    return Part(_text(segment.name or ""), file_name, content)


def _text(latin: str) -> str:
    """What was written as UTF-8 and read as Latin-1."""
    return latin.encode("latin-1").decode("utf-8", "replace")


def _decoded(charset: str, escaped: str) -> str:
    """The value of an extended parameter, RFC 5987; an unknown charset is read as UTF-8."""
    try:
        return unquote(escaped, charset, "replace")
    except LookupError:
        return unquote(escaped, "utf-8", "replace")
