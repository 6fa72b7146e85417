import struct
from collections.abc import Sequence

COLORS = ((255, 0, 0), (0, 255, 0), (0, 0, 255), (16, 32, 48))
_TABLE = bytes(sum(COLORS, ()))


def gif(
    screen: tuple[int, int],
    box: tuple[int, int, int, int],
    indexes: Sequence[int],
    *,
    transparent: int | None = None,
    background: int = 0,
    table: str = "global",
) -> bytes:
    """A GIF by hand: screen size; left, top, width, height of its frame; its colors' indexes."""
    flags = 0x81 if table == "global" else 0
    content = b"GIF89a" + struct.pack("<HHBBB", *screen, flags, background, 0)
    content += _TABLE if table == "global" else b""
    if transparent is not None:
        content += b"\x21\xf9\x04" + bytes([1, 0, 0, transparent]) + b"\0"
    content += b"," + struct.pack("<HHHHB", *box, 0x81 if table == "local" else 0)
    content += (_TABLE if table == "local" else b"") + b"\2"
    packed = _packed(indexes)
    blocks = [packed[at : at + 255] for at in range(0, len(packed), 255)]
    return content + b"".join(bytes([len(each)]) + each for each in blocks) + b"\0;"


def _packed(indexes: Sequence[int]) -> bytes:
    """LZW of 3 bits, cleared before every index, so that no code grows."""
    codes = [code for index in indexes for code in (4, index)] + [5]
    bits = sum(code << 3 * i for i, code in enumerate(codes))
    return bits.to_bytes(-(-3 * len(codes) // 8), "little")
