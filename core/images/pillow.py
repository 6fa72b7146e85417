"""Open files with Pillow: one format at a time, quietly, with a bound on its work."""

import io
import re
import warnings
from typing import Final

from PIL import Image

from core.errors import ImageCorrupt
from core.images.formats.known import HAS_HEIF

if HAS_HEIF:
    import pillow_heif  # type: ignore[import-not-found, unused-ignore]

    pillow_heif.register_heif_opener()

# Every picture is held against ImageLimits before its pixels are decoded. Pillow's own guard
# speaks in warnings, for the whole process, at a size nobody here has chosen.
Image.MAX_IMAGE_PIXELS = None

_MAX_READS: Final = 500_000
"""Reads Pillow may make of one file. A big honest file needs some ten thousand; a hostile one
of 20 MB made of one-byte blocks needs twenty million, each of them in Python."""

# Pillow warns of damaged EXIF and odd tags: news about the caller's file, not about us.
_PILLOW = r"(PIL|pillow_heif)\b"
_QUIET = ("ignore", None, Warning, re.compile(_PILLOW), 0)


def open_picture(content: bytes, name: str) -> Image.Image:
    """A file of one format, its header read, its pixels not yet.

    Raises:
        ImageCorrupt: it takes too many reads, now or when it is loaded.
        Exception: whatever a damaged file leads Pillow to.
    """
    _silence()
    # A JPEG opener also takes MPO: a JPEG with further pictures behind it, as phones write it.
    return Image.open(_CountedReads(content), formats=(name,))


class _CountedReads(io.BytesIO):
    """A file that bounds the work a decoder does in Python, whatever its format."""

    _left = _MAX_READS

    def read(self, size: int | None = -1, /) -> bytes:
        self._left -= 1
        if self._left < 0:
            raise ImageCorrupt(f"the file takes more than {_MAX_READS} reads to decode")
        return super().read(size)


def _silence() -> None:
    """Put the filter first, if it is not: `warnings.catch_warnings` is not thread-safe."""
    if warnings.filters[:1] != [_QUIET]:
        warnings.filterwarnings("ignore", module=_PILLOW)
