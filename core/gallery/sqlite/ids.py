"""Owns the ids that are made for items without one; refuses to know which are taken."""

import secrets
from datetime import datetime

from core.gallery.sqlite.rows import from_time

# Crockford's base 32 in lower case: in the order of the characters' codes, safe in a URL.
_DIGITS = "0123456789abcdefghjkmnpqrstvwxyz"
_RANDOM_BITS = 80
_LENGTH = 26  # of 5 bits: 48 of milliseconds, 80 random, 2 to spare


def new_id(now: datetime) -> str:
    """26 characters: the time first, so that ids sort by it, and 80 random bits.

    Source: the ULID specification, https://github.com/ulid/spec, in lower case.
    """
    value = from_time(now) // 1000 << _RANDOM_BITS | secrets.randbits(_RANDOM_BITS)
    return "".join(_DIGITS[value >> shift & 31] for shift in range(5 * (_LENGTH - 1), -1, -5))
