"""Cursors of a listing: a position, signed with the gallery's secret, as text for a URL."""

import base64
import binascii
import hashlib
import struct

from core.errors import InvalidValue

_DIGEST_BYTES = 10  # with the position 18, a multiple of 3: base64 has no spare bits, no padding
_POSITION = struct.Struct(">q")


def encode(position: int, secret: bytes, *listing: object) -> str:
    """A cursor that stands behind a position of one listing; safe in a URL.

    Args:
        secret: of the gallery, so that another gallery's cursor is not taken for one of this.
        listing: what makes the listing: the collection's key and the filters.
    """
    packed = _POSITION.pack(position)
    return base64.urlsafe_b64encode(packed + _digest(packed, secret, listing)).decode()


def decode(cursor: str, secret: bytes, *listing: object) -> int:
    """The position.

    Raises:
        InvalidValue: it is damaged, or of another listing.
    """
    try:
        given = base64.b64decode(cursor.encode(), b"-_", validate=True)
    except (binascii.Error, ValueError):
        given = b""
    packed, digest = given[: _POSITION.size], given[_POSITION.size :]
    if len(packed) < _POSITION.size or digest != _digest(packed, secret, listing):
        raise InvalidValue("cursor", cursor, "next_cursor of a page of the same listing")
    position: int = _POSITION.unpack(packed)[0]
    return position


def _digest(packed: bytes, secret: bytes, listing: tuple[object, ...]) -> bytes:
    text = repr(listing).encode(errors="surrogatepass")
    return hashlib.blake2b(packed + text, digest_size=_DIGEST_BYTES, key=secret).digest()
