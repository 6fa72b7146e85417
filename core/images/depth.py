"""How many bits of a deep sample mean something: as asked, as the file says, or guessed."""

from dataclasses import dataclass
from functools import cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from core.errors import InvalidValue

FULL_BITS: Final = 16
_CAMERAS: Final = (10, 12, 14)
"""What cameras that see deeper than 8 bits give."""
_PHOTO: Final = 8
"""What all others give."""


@dataclass(frozen=True, slots=True)
class Depth:
    """What is known of a deep picture's samples before they are looked at.

    Attributes:
        asked: the bits that the caller says mean something; None = nothing is said.
        stored: the bits that a sample has, or that the largest value named by the file has.
        original: the bits that a sample had before it was scaled up to 16, if it was; None = the
            file does not say.
        is_gray: a single channel, as scientific cameras write it.
    """

    asked: int | None = None
    stored: int = FULL_BITS
    original: int | None = None
    is_gray: bool = False

    @property
    def says_fewer(self) -> bool:
        """Whether somebody says that fewer than 16 bits mean something."""
        said = self.asked or min(self.stored, self.original or FULL_BITS)
        return said < FULL_BITS


def significant_bits(samples: NDArray[Any], depth: Depth) -> int | None:
    """How many bits of the samples mean something: 2**bits - 1 is white.

    What the caller says, else what the file says and its samples bear out. Where neither says
    anything all 16 do, but of gray as many as the largest sample needs, of 10, 12 and 14; unless
    it is a photo of 8 bits that was scaled up to 16, so that dark means dark.

    Args:
        samples: (H, W, bands) or (H, W), on one scale.
        depth: what is known of them.

    Returns:
        8 to 16; None where nothing is to choose: 8 bits, floats, values outside 0 to 65535.

    Raises:
        InvalidValue: the samples do not fit into the bits asked for.
    """
    if samples.dtype.kind == "f" or samples.dtype.itemsize == 1:
        return None
    low, high = int(samples.min()), int(samples.max())
    is_outside = low < 0 or high >= 2**FULL_BITS
    if depth.asked is not None:
        if is_outside:
            allowed = f"left out: samples from {low} to {high} are stretched"
            raise InvalidValue("bits", depth.asked, allowed)
        if high >= 2**depth.asked:
            allowed = f"{high.bit_length()} to {FULL_BITS}: the largest sample is {high}"
            raise InvalidValue("bits", depth.asked, allowed)
        return depth.asked
    if is_outside:
        return None
    if high < 2**depth.stored < 2**FULL_BITS:
        return depth.stored
    return _unscaled(samples, high, depth)


def _unscaled(samples: NDArray[Any], high: int, depth: Depth) -> int:
    """The bits of samples that a file has more room for; all where they were scaled up to it."""
    narrower: tuple[int, ...] = _CAMERAS if depth.is_gray else ()
    before = _PHOTO
    if depth.original is not None:
        narrower, before = (depth.original,), depth.original
    bits = next((bits for bits in narrower if high < 2**bits), FULL_BITS)
    if bits == FULL_BITS:
        return FULL_BITS
    seen = np.zeros(2**FULL_BITS, bool)
    for row in samples:  # one at a time, for memory's sake
        seen[row] = True
    levels = np.flatnonzero(seen)
    is_bright = high >= 2 ** (bits - 1)
    if before > _PHOTO and is_bright and not (levels % 2 ** (before - _PHOTO)).any():
        return bits  # a photo's 8 bits, scaled up to these and no further
    return FULL_BITS if any(np.isin(levels, way).all() for way in _scaled_up(before)) else bits


@cache
def _scaled_up(bits: int) -> tuple[NDArray[np.int64], ...]:
    """What each level of so many bits may have become in 16: by proportion, repeated, shifted.

    Source: PNG specification, RFC 2083, section 9.1.
    """
    levels, up = np.arange(2**bits), FULL_BITS - bits
    proportional = np.rint(levels * ((2**FULL_BITS - 1) / (2**bits - 1))).astype(np.int64)
    shifted = levels << up
    return proportional, shifted | levels >> (bits - up), shifted
