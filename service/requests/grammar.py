"""The grammar of what clients write as text: JSON, numbers, entity tags."""

import re
from typing import Final, TypeVar

from pydantic import BaseModel, ValidationError

from core.errors import InvalidValue
from core.gallery.records import ANY_VERSION, IfMatch
from service.errors import refusal

S = TypeVar("S", bound=BaseModel)

_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
# One text is parsed in one go, while nothing else runs (it holds Python's lock): 20 ms for so many
# numbers or names. A body of 20 MB could hold ten million.
MAX_NUMBERS: Final = 131_072
"""In one JSON text: the largest vector."""
_MAX_NAMES: Final = 16_384
# Some encoders write every "/" of base64 as two characters, and two line ends in 76.
_MAX_ESCAPES: Final = 2**20
_WHOLE: Final = re.compile(r"[0-9]+")
# What Python and pydantic take beyond this: "1_0", " 1", "1.0" for a whole number, "inf".
_NUMBERS: Final = {
    "integer": (re.compile(r"-?[0-9]+"), "a whole number, such as 10"),
    "number": (
        re.compile(r"-?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?"),
        "a number, such as 0.5",
    ),
}
_LONGEST_NUMBER: Final = 18
"""Digits: more say nothing new where the largest number allowed has fewer."""
_NO_VERSION: Final = -1
_TAG: Final = re.compile(r'\s*((?:W/)?"[\x21\x23-\x7e\x80-\xff]*")\s*(?:,|$)')


def read_json(schema: type[S], text: bytes, whole: str) -> S:
    """A JSON text as RFC 8259 has it, in UTF-8, that is what a schema says; a BOM is skipped.

    Args:
        schema: reads it.
        text: the whole of it.
        whole: its name in the error.

    Raises:
        RequestUnreadable: it is not JSON.
        InvalidValue: it is not what the schema says, or of too many values.
    """
    _require_few(text, whole)
    try:
        return schema.model_validate_json(text.removeprefix(_BYTE_ORDER_MARK))
    except ValidationError as error:
        raise refusal(error, whole, schema.model_fields) from error


def _require_few(text: bytes, whole: str) -> None:
    """Raise InvalidValue for a text of more values than can be parsed in one go."""
    if len(text) <= _MAX_NAMES:
        return
    # Every value but the first of its array or object has a comma before it.
    values = len(text) - len(text.translate(None, b",[{"))
    if values > MAX_NUMBERS + _MAX_NAMES:
        raise InvalidValue(whole, f"{values} values", f"at most {MAX_NUMBERS} numbers")
    for kind, sign, most in (("names", b":", _MAX_NAMES), ("escapes", b"\\", _MAX_ESCAPES)):
        count = text.count(sign)
        if count > most:
            raise InvalidValue(whole, f"{count} {kind}", f"at most {most}")


def whole_number(name: str, text: str, least: int, most: int, allowed: str) -> int:
    """A number in ASCII digits and nothing else: no sign, no space, no underscore.

    Args:
        name: of the header.
        text: what the client wrote.
        least: the smallest allowed.
        most: the largest allowed.
        allowed: for the error.

    Raises:
        InvalidValue: it is no such number, or out of range.
    """
    digits = text.lstrip("0") or "0"
    if not _WHOLE.fullmatch(text) or len(digits) > _LONGEST_NUMBER:
        raise InvalidValue(name, text, allowed)
    number = int(digits)
    if not least <= number <= most:
        raise InvalidValue(name, text, allowed)
    return number


def require_number(name: str, text: str, kind: str) -> str:
    """A number in ASCII digits, with a sign, a point and an exponent where its kind has them.

    Args:
        name: of the parameter.
        text: what the client wrote.
        kind: "integer" or "number", as JSON Schema calls them.

    Raises:
        InvalidValue: it is no such number.
    """
    form, allowed = _NUMBERS[kind]
    if not form.fullmatch(text):
        raise InvalidValue(name, text, allowed)
    return text


def weight(text: str) -> float:
    """How much a client wants something, 0 to 1 (RFC 9110, section 12.4.2); else 0."""
    form, _ = _NUMBERS["number"]
    return min(1.0, max(0.0, float(text))) if form.fullmatch(text) else 0.0


def if_match(header: str | None) -> IfMatch | None:
    """What `If-Match` asks of an item: RFC 9110, section 13.1.1.

    Tags that no version of ours can have, weak ones among them, are well-formed and never match.

    Args:
        header: the header; None = there is none.

    Raises:
        InvalidValue: it is neither `*` nor a list of entity tags.
    """
    if header is None:
        return None
    if header.strip() == "*":
        return ANY_VERSION
    return frozenset(_version(tag) for tag in _tags(header))


def _tags(header: str) -> list[str]:
    tags, at = [], 0
    while at < len(header):
        found = _TAG.match(header, at)
        if found is None:
            break
        tags.append(found[1])
        at = found.end()
    if not tags or at < len(header):
        raise InvalidValue("If-Match", header, '*, or ETags as items have them, such as "57"')
    return tags


def _version(tag: str) -> int:
    digits = tag.strip('"')
    return (
        int(digits) if _WHOLE.fullmatch(digits) and len(digits) <= _LONGEST_NUMBER else _NO_VERSION
    )
