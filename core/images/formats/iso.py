"""The brands of ISO media files: AVIF, HEIF, and the films that begin the same way."""

_AVIF = {b"avif", b"avis"}
_HEIF = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"}
_ANY_CODEC = {b"mif1", b"mif2", b"msf1", b"miaf"}
_OTHERS = {
    b"crx ": "Canon's camera RAW (CR3); develop it first, to JPEG for example",
    b"jp2 ": "JPEG 2000",
    b"jpx ": "JPEG 2000",
    b"jxl ": "JPEG XL",
    b"avci": "HEIF with H.264 inside",
    b"avcs": "HEIF with H.264 inside",
    b"j2ki": "HEIF with JPEG 2000 inside",
    b"j2is": "HEIF with JPEG 2000 inside",
    b"vvic": "HEIF with H.266 inside",
    b"qt  ": "a QuickTime film (MOV); send one of its frames",
    b"M4A ": "sound (M4A)",
    b"M4B ": "sound (M4B)",
}
_MAX_FTYP_BYTES = 1024  # some hundred brands; files have five


def _brands(content: bytes) -> list[bytes]:
    """The major brand and the compatible ones; none if it is no ISO media file.

    Source: ISO/IEC 14496-12, section 4.3.
    """
    if content[4:8] != b"ftyp":
        return []
    end = min(int.from_bytes(content[:4], "big"), _MAX_FTYP_BYTES)
    listed = content[16:end]
    return [content[8:12], *(listed[at : at + 4] for at in range(0, len(listed) - 3, 4))]


def is_avif(content: bytes) -> bool:
    """Whether it is AVIF; its major brand may be that of any HEIF."""
    brands = _brands(content)
    if not brands or brands[0] in _HEIF:
        return False
    return brands[0] in _AVIF or (brands[0] in _ANY_CODEC and not _AVIF.isdisjoint(brands))


def is_heif(content: bytes) -> bool:
    """Whether it is HEIF with HEVC inside (HEIC), or does not say what is inside."""
    brands = _brands(content)
    return bool(brands) and brands[0] in _HEIF | _ANY_CODEC and not is_avif(content)


def iso_name(content: bytes) -> str:
    """What an ISO media file is that is neither AVIF nor HEIC; empty if it is no such file."""
    brands = _brands(content)
    if not brands:
        return ""
    if not _HEIF.isdisjoint(brands):
        return f"HEIF of the brand {brands[0].decode('latin-1')!r}"
    return _OTHERS.get(brands[0], "a film (MP4); send one of its frames")
