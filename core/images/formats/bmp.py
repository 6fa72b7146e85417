"""The header of a BMP."""

import struct
from typing import Final

_COMPRESSIONS: Final = {4: "with a JPEG inside", 5: "with a PNG inside"}
_BIT_FIELDS: Final = 3
_USUAL_MASKS: Final = {
    (0xFF0000, 0xFF00, 0xFF),
    (0xFF000000, 0xFF0000, 0xFF00),
    (0xFF000000, 0xFF00, 0xFF),
    (0xF800, 0x7E0, 0x1F),
    (0x7C00, 0x3E0, 0x1F),
    (0, 0, 0),
}
_USUAL_RGBA: Final = (0xFF, 0xFF00, 0xFF0000, 0xFF000000)
_HEADERS: Final = (12, 40, 52, 56, 64, 108, 124)
_DEPTHS: Final = (1, 4, 8, 16, 24, 32)


def bmp_oddity(content: bytes) -> str:
    """What kind of BMP it is, if it is one that hardly anybody writes; else empty.

    Source: Microsoft, Bitmap Header Types; BITMAPV5HEADER.
    """
    header = int.from_bytes(content[14:18], "little")
    if header not in _HEADERS:
        return f"a BMP with a header of {header} bytes" if header in range(13, 256) else ""
    if header == 12 or len(content) < 54:
        return ""
    depth, compression = struct.unpack_from("<HI", content, 28)
    if compression in _COMPRESSIONS:
        return f"a BMP {_COMPRESSIONS[compression]}"
    if depth not in _DEPTHS:
        return f"a BMP of {depth} bits per pixel"
    if compression == _BIT_FIELDS and len(content) >= 70:
        masks = struct.unpack_from("<4I", content, 54)
        alpha = masks[3] if header >= 56 else 0
        named = ", ".join(f"{mask:#x}" for mask in masks[:3])
        is_usual = masks[:3] in _USUAL_MASKS or (*masks[:3], alpha) == _USUAL_RGBA
        return "" if is_usual else f"a BMP whose colors lie under the bit masks {named}"
    return "" if compression <= _BIT_FIELDS else f"a BMP of compression {compression}"
