"""Owns bytes -> fully decoded RGB uint8: limits, EXIF, frames; refuses everything else."""

import hashlib
import io
import re
import struct
import warnings
from dataclasses import dataclass, replace

from PIL import ExifTags, Image

from core.errors import (
    ImageCorrupt,
    ImageTooLarge,
    ImageUnsupported,
    InvalidValue,
    RequestUnreadable,
    SeethroughError,
)
from core.formats import FORMATS, HAS_HEIF, gif_frames, hint, sniff
from core.pixels import to_rgb
from core.types import DecodedImage, ImageSource

if HAS_HEIF:
    import pillow_heif

    pillow_heif.register_heif_opener()

# Every picture is held against ImageLimits before its pixels are decoded. Pillow's own guard
# speaks in warnings, for the whole process, at a size nobody here has chosen.
Image.MAX_IMAGE_PIXELS = None

MAX_COUNTED_FRAMES = 1000
"""Frames beyond this are not counted: a hostile file holds hundreds of thousands."""

_MAX_READS = 500_000
"""Reads Pillow may make of one file. A big honest file needs some ten thousand; a hostile one
of 20 MB made of one-byte blocks needs twenty million, each of them in Python."""

# Pillow warns of damaged EXIF and odd tags: news about the caller's file, not about us.
_PILLOW = r"(PIL|pillow_heif)\b"
_QUIET = ("ignore", None, Warning, re.compile(_PILLOW), 0)

_ORIENTATION_HOLDERS = {"exif", "xmp", "XML:com.adobe.xmp", "Raw profile type exif"}

_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""EXIF orientation -> what makes the stored picture upright."""


@dataclass(frozen=True, slots=True)
class ImageLimits:
    """What pictures are taken.

    Attributes:
        max_bytes: length of the file.
        max_pixels: width x height.
        max_aspect: longer side / shorter side.

    Raises:
        InvalidValue: a limit is below 1.
    """

    max_bytes: int = 20 * 2**20
    max_pixels: int = 50_000_000
    max_aspect: float = 50.0

    def __post_init__(self) -> None:
        for name in self.__slots__:
            if not getattr(self, name) >= 1:  # NaN is refused too
                raise InvalidValue(name, getattr(self, name), "1 or more")


_DEFAULT_LIMITS = ImageLimits()


def decode(
    content: bytes, limits: ImageLimits = _DEFAULT_LIMITS, *, min_side_px: int | None = None
) -> DecodedImage:
    """Decode a picture in full: first frame, upright, alpha on white, 16 bits rescaled to 8.

    Args:
        content: the file.
        limits: held against the header before any pixel is decoded.
        min_side_px: a JPEG may be decoded at 1/2, 1/4 or 1/8 as long as its shorter side keeps
            this many pixels; None = full size. `source` always tells the size in the file.

    Returns:
        (H, W, 3) uint8 RGB, contiguous, writable; and what the file was.

    Raises:
        RequestUnreadable: there are no bytes.
        ImageUnsupported: not one of FORMATS.
        ImageTooLarge: over a limit, in bytes or pixels.
        InvalidValue: too elongated.
        ImageCorrupt: damaged or cut off.
    """
    _check_bytes(content, limits)
    if min_side_px is not None and min_side_px < 1:
        raise InvalidValue("min_side_px", min_side_px, "1 or more, or None")
    name = _format(content)
    _silence_pillow()
    try:
        return _decoded(content, name, limits, min_side_px)
    except SeethroughError:
        raise
    except Exception as error:  # decoders raise whatever a damaged file leads them to
        raise ImageCorrupt(f"the {name} file is damaged or cut off") from error


def _decoded(
    content: bytes, name: str, limits: ImageLimits, min_side_px: int | None
) -> DecodedImage:
    if name == "WEBP" and (canvas := _webp_canvas(content)):
        _check_size(*canvas, limits)  # libwebp allocates the canvas when the file is opened
    # A JPEG opener also takes MPO: a JPEG with further pictures behind it, as phones write it.
    with Image.open(_CountedReads(content), formats=(name,)) as image:
        source = _source(image, name, content)
        _check_size(source.width, source.height, limits)
        if name == "TIFF":
            _check_tiles(image, source, limits)
        if min_side_px is not None and name == "JPEG":
            _shrink(image, min_side_px)
        upright, source = _upright(image, source)
        return DecodedImage(to_rgb(upright), source)


class _CountedReads(io.BytesIO):
    """A file that bounds the work a decoder does in Python, whatever its format."""

    _left = _MAX_READS

    def read(self, size: int | None = -1, /) -> bytes:
        self._left -= 1
        if self._left < 0:
            raise ImageCorrupt(f"the file takes more than {_MAX_READS} reads to decode")
        return super().read(size)


def _silence_pillow() -> None:
    """Put the filter first, if it is not: `warnings.catch_warnings` is not thread-safe."""
    if warnings.filters[:1] != [_QUIET]:
        warnings.filterwarnings("ignore", module=_PILLOW)


def _format(content: bytes) -> str:
    name = sniff(content)
    if name is None:
        clue = hint(content)
        raise ImageUnsupported(
            f"not a picture we take{': ' + clue if clue else ''}; taken: {', '.join(FORMATS)}"
        )
    return name


def _check_bytes(content: bytes, limits: ImageLimits) -> None:
    if not content:
        raise RequestUnreadable("the picture is empty: 0 bytes")
    if len(content) > limits.max_bytes:
        raise ImageTooLarge(
            f"a picture of {len(content)} bytes; at most {limits.max_bytes} are taken"
        )


def _check_size(width: int, height: int, limits: ImageLimits) -> None:
    if width < 1 or height < 1:
        raise ImageCorrupt(f"a picture of {width} x {height} pixels")
    if width * height > limits.max_pixels:
        raise ImageTooLarge(
            f"a picture of {width} x {height} = {width * height} pixels; "
            f"at most {limits.max_pixels} are taken"
        )
    if max(width, height) > limits.max_aspect * min(width, height):
        raise InvalidValue(
            "image", f"{width} x {height}", f"sides at most {limits.max_aspect:g} : 1"
        )


def _check_tiles(image: Image.Image, source: ImageSource, limits: ImageLimits) -> None:
    """Refuse a TIFF of few pixels in tiles of many: libtiff decodes every tile in full."""
    tags = image.tag_v2  # type: ignore[attr-defined]
    across, down = tags.get(ExifTags.Base.TileWidth), tags.get(ExifTags.Base.TileLength)
    if not (isinstance(across, int) and isinstance(down, int) and across > 0 and down > 0):
        return  # in strips, or damaged
    width, height = -(-source.width // across) * across, -(-source.height // down) * down
    if width * height > 2 * limits.max_pixels:  # honest tiles overhang by less than one each way
        raise ImageTooLarge(
            f"tiles that cover {width} x {height} = {width * height} pixels; "
            f"at most {2 * limits.max_pixels} are taken"
        )


def _webp_canvas(content: bytes) -> tuple[int, int] | None:
    """(width, height) in a WebP's header. Source: RFC 9649, sections 2.5 to 2.7."""
    chunk, body = content[12:16], content[20:30]
    if chunk == b"VP8X" and len(body) == 10:
        return int.from_bytes(body[4:7], "little") + 1, int.from_bytes(body[7:10], "little") + 1
    if chunk == b"VP8L" and len(body) >= 5:
        bits = int.from_bytes(body[1:5], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if chunk == b"VP8 " and len(body) == 10:
        width, height = struct.unpack_from("<HH", body, 6)
        return width & 0x3FFF, height & 0x3FFF
    return None


def _source(image: Image.Image, name: str, content: bytes) -> ImageSource:
    width, height = image.size
    orientation = 1
    if name == "TIFF":  # Pillow answers the upright size; these tags hold the stored one
        tags = image.tag_v2  # type: ignore[attr-defined]
        width, height = int(tags[ExifTags.Base.ImageWidth]), int(tags[ExifTags.Base.ImageLength])
        orientation = _orientation(image)  # gone once it is loaded
    return ImageSource(
        format=name,
        width=width,
        height=height,
        mode=image.mode,
        orientation=orientation,
        frames=_frames(image, name, content),
        sha256=hashlib.sha256(content).hexdigest(),
    )


def _orientation(image: Image.Image) -> int:
    if image.format != "TIFF" and _ORIENTATION_HOLDERS.isdisjoint(image.info):
        return 1
    try:
        value = image.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:  # a damaged EXIF block is no reason to refuse the picture
        return 1
    return value if value in range(1, 9) else 1


def _frames(image: Image.Image, name: str, content: bytes) -> int:
    if name == "GIF":
        return gif_frames(content, MAX_COUNTED_FRAMES)
    if name == "TIFF":
        return _tiff_frames(content)
    return min(getattr(image, "n_frames", 1), MAX_COUNTED_FRAMES)


def _tiff_frames(content: bytes) -> int:
    """Directories in a TIFF's chain, counted without reading their tags, as Pillow would.

    Source: TIFF 6.0, section 2; BigTIFF has the same shape in wider numbers.
    """
    order = "<" if content[:2] == b"II" else ">"
    big = content[2:4] in (b"+\0", b"\0+")
    count, pointer = struct.Struct(order + "HQ"[big]), struct.Struct(order + "IQ"[big])
    (at,) = pointer.unpack_from(content, 8 if big else 4)
    seen: set[int] = set()
    while 0 < at <= len(content) - count.size and at not in seen and len(seen) < MAX_COUNTED_FRAMES:
        seen.add(at)
        end = at + count.size + count.unpack_from(content, at)[0] * (20 if big else 12)
        at = pointer.unpack_from(content, end)[0] if end <= len(content) - pointer.size else 0
    return max(len(seen), 1)


def _shrink(image: Image.Image, min_side_px: int) -> None:
    """Have libjpeg decode fewer pixels, where some can be spared: it scales in the DCT."""
    shorter = min(image.size)
    scale = min_side_px / shorter
    if scale <= 0.5:
        image.draft(None, (round(image.width * scale), round(image.height * scale)))


def _upright(image: Image.Image, source: ImageSource) -> tuple[Image.Image, ImageSource]:
    """The decoded first frame, turned as its EXIF orientation says, which `source` then names."""
    image.load()
    if source.format == "TIFF":  # Pillow turns a TIFF while loading it
        return image, source
    orientation = _orientation(image)  # asked only now: a PNG may tell it behind its pixels
    if orientation == 1:
        return image, source
    # Not ImageOps.exif_transpose: that writes the EXIF block anew, which fails on a damaged one.
    return image.transpose(_TURNS[orientation]), replace(source, orientation=orientation)
