import io
import struct
from typing import Any

import tifffile
from numpy.typing import NDArray


def tiff(tags: dict[int, int | tuple[int, int]], data: bytes = b"") -> bytes:
    """A TIFF by hand: tag -> value, or (count, offset); `data` stands at 10 + 12 * tags + 4."""
    entries = b"".join(
        struct.pack("<HHII", tag, 4, *(value if isinstance(value, tuple) else (1, value)))
        for tag, value in sorted(tags.items())
    )
    return b"II*\0\x08\0\0\0" + struct.pack("<H", len(tags)) + entries + b"\0\0\0\0" + data


def written(pixels: NDArray[Any], **options: Any) -> bytes:
    """A TIFF as tifffile writes it, which scikit-image and ImageJ users do."""
    file = io.BytesIO()
    tifffile.imwrite(file, pixels, **options)
    return file.getvalue()
