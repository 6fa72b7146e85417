"""Owns recognising a picture's format by its first bytes; refuses to decode anything."""

from importlib.util import find_spec

_HEIF_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
_AVIF_BRANDS = (b"avif", b"avis")

HAS_HEIF = find_spec("pillow_heif") is not None
"""Whether the extra `heic` is installed."""

FORMATS: tuple[str, ...] = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF") + (
    ("HEIF",) if HAS_HEIF else ()
)
"""The formats taken."""


def sniff(content: bytes) -> str | None:
    """The format the first bytes announce, or None if it is not one we take."""
    for magic, name in _MAGIC:
        if content.startswith(magic):
            return name
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return "WEBP"
    if content[4:8] == b"ftyp":
        return _iso_format(content[8:12])
    return None


def hint(content: bytes) -> str:
    """What a file that is not a picture we take seems to be; empty if nobody knows."""
    head = content[:512].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if content[4:8] == b"ftyp" and content[8:12] in _HEIF_BRANDS:
        return "it is HEIC, which needs the extra: pip install 'seethrough[heic]'"
    if b"<svg" in head:
        return "it is SVG, a drawing without pixels"
    for start, name in _STRANGERS:
        if head.startswith(start):
            return f"it is {name}"
    return ""


_MAGIC = (
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
    (b"II*\0", "TIFF"),
    (b"MM\0*", "TIFF"),
    (b"II+\0", "TIFF"),
    (b"MM\0+", "TIFF"),
    (b"BM", "BMP"),
)

_STRANGERS = (
    (b"<!doctype html", "HTML"),
    (b"<html", "HTML"),
    (b"<?xml", "XML"),
    (b"%pdf", "PDF"),
    (b"%!ps", "PostScript"),
    (b"pk\x03\x04", "a ZIP archive"),
    (b"\x1f\x8b", "gzip; send the picture as it is"),
)


def _iso_format(brand: bytes) -> str | None:
    if brand in _AVIF_BRANDS:
        return "AVIF"
    return "HEIF" if HAS_HEIF and brand in _HEIF_BRANDS else None


def gif_frames(content: bytes, limit: int) -> int:
    """Frames of a GIF, counted along its blocks without decoding, no further than the limit.

    Source: GIF89a specification, sections 18 to 25.
    """
    at = 13 + _color_table_bytes(content[10])
    frames = 0
    try:
        while frames < limit:
            block = content[at]
            if block == 0x21:  # an extension: label, then data
                at = _after_data(content, at + 2)
            elif block == 0x2C:  # an image: descriptor, colours, code size, then data
                at += 10 + _color_table_bytes(content[at + 9])
                at = _after_data(content, at + 1)
                frames += 1
            else:
                break
    except IndexError:  # cut off after a frame that could be decoded
        pass
    return max(frames, 1)


def _color_table_bytes(flags: int) -> int:
    return int(3 * 2 ** ((flags & 7) + 1)) if flags & 0x80 else 0


def _after_data(content: bytes, at: int) -> int:
    while length := content[at]:
        at += length + 1
    return at + 1
