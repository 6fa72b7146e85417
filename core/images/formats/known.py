"""The formats that are taken, and the first bytes that tell them apart."""

from importlib.util import find_spec

from core.images.formats.iso import is_avif, is_heif

HAS_HEIF = find_spec("pillow_heif") is not None
"""Whether the extra `heic` is installed."""

FORMATS: tuple[str, ...] = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF") + (
    ("HEIF",) if HAS_HEIF else ()
)
"""The formats taken."""

MAGIC = (
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
"""What files of a format begin with."""


def sniff(content: bytes) -> str | None:
    """The format the first bytes announce, or None if it is not one we take."""
    for magic, name in MAGIC:
        if content.startswith(magic):
            return name
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return "WEBP"
    if is_avif(content):
        return "AVIF"
    return "HEIF" if HAS_HEIF and is_heif(content) else None
