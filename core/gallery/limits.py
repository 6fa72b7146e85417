"""Checks of names, ids, labels, metadata, k and `min_seq`."""

import json
import re
from collections.abc import Mapping
from typing import Any, Final

from core.errors import InvalidValue, NotYetApplied

MAX_K: Final = 1000
MAX_PAGE: Final = 1000
MAX_ID_CHARS: Final = 200
MAX_LABEL_CHARS: Final = 200
MAX_METADATA_BYTES: Final = 16_384
MAX_AHEAD: Final = 10_000
"""Changes: more than a store makes while a client would wait for one of them."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
# Control characters, and halves of surrogate pairs, which no UTF-8 can hold.
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")
_PRINTABLE: Final = "no control characters, no bytes that are not UTF-8"
# What follows an item's id in a path, and what clients take out of paths.
_RESERVED: Final = ("thumbnail", "vector", "original", ".", "..", "")


def require_name(name: str) -> str:
    """A collection's name.

    Raises:
        InvalidValue: it is not one.
    """
    if not _NAME.fullmatch(name):
        raise InvalidValue(
            "name", name, "1 to 64 letters, digits, '.', '_' or '-', the first a letter or digit"
        )
    return name


def require_id(id: str) -> str:
    """An item's id: any text that can stand in a path, slashes included.

    Raises:
        InvalidValue: it cannot.
    """
    if not 1 <= len(id) <= MAX_ID_CHARS or _UNPRINTABLE.search(id):
        raise InvalidValue("id", id, f"1 to {MAX_ID_CHARS} characters, {_PRINTABLE}")
    *folders, last = id.split("/")
    if last in _RESERVED or any(part in (".", "..", "") for part in folders):
        allowed = "no empty part, no '.' or '..', and not ending in " + ", ".join(_RESERVED[:3])
        raise InvalidValue("id", id, f"parts between slashes: {allowed}")
    return id


def require_label(label: str | None) -> str | None:
    """A label; an empty one is none.

    Raises:
        InvalidValue: it is too long or unprintable.
    """
    if not label:
        return None
    if len(label) > MAX_LABEL_CHARS or _UNPRINTABLE.search(label):
        raise InvalidValue(
            "label",
            label,
            f"at most {MAX_LABEL_CHARS} characters, {_PRINTABLE}",
        )
    return label


def require_metadata(metadata: Mapping[str, Any]) -> Mapping[str, Any]:
    """Metadata small enough to be kept with an item.

    Raises:
        InvalidValue: it is too large, or holds NaN or infinity.
    """
    try:
        length = len(json.dumps(metadata, allow_nan=False, ensure_ascii=False).encode())
    except (ValueError, TypeError, RecursionError) as error:
        raise InvalidValue("metadata", metadata, f"a JSON object ({error})") from error
    if length > MAX_METADATA_BYTES:
        raise InvalidValue("metadata", metadata, f"at most {MAX_METADATA_BYTES} bytes as JSON")
    return metadata


def parse_metadata(text: str | None) -> Mapping[str, Any]:
    """Metadata from JSON text; None = none.

    Raises:
        InvalidValue: it is not a JSON object, or too large.
    """
    if not text:
        return {}
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidValue("metadata", text, f"a JSON object ({error})") from error
    if not isinstance(found, dict):
        raise InvalidValue("metadata", text, "a JSON object")
    return require_metadata(found)


def require_k(k: int) -> int:
    """How many neighbors may be asked for.

    Raises:
        InvalidValue: k is out of range.
    """
    if not 1 <= k <= MAX_K:
        raise InvalidValue("k", k, f"1 to {MAX_K}")
    return k


def require_applied(min_seq: int, applied: int, retry_after_s: float) -> None:
    """That a change has been seen.

    Args:
        min_seq: its number.
        applied: the number of the last change seen.
        retry_after_s: when it may have been.

    Raises:
        NotYetApplied: it has not; waiting can help.
        InvalidValue: it has not, and lies too far ahead for waiting to help.
    """
    if min_seq <= applied:
        return
    if min_seq - applied > MAX_AHEAD:
        raise InvalidValue(
            "min_seq", min_seq, f"at most {MAX_AHEAD} above the last change, which is {applied}"
        )
    raise NotYetApplied(
        f"min_seq={min_seq} has not been applied yet; the last change is {applied}",
        retry_after_s=retry_after_s,
    )
