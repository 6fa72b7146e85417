"""Owns bytes -> fully decoded RGB uint8: limits, EXIF, frames; refuses everything else."""

import hashlib
import io
import re
import warnings
from dataclasses import dataclass

from PIL import ExifTags, Image

from core.errors import (
    ImageCorrupt,
    ImageTooLarge,
    ImageUnsupported,
    InvalidValue,
    RequestUnreadable,
    SeethroughError,
)
from core.formats import (
    FORMATS,
    HAS_HEIF,
    gif_frames,
    hint,
    sniff,
    tiff_frames,
    tiff_pieces,
    webp_size,
)
from core.pixels import to_rgb
from core.types import DecodedImage, ImageSource

if HAS_HEIF:
    import pillow_heif  # type: ignore[import-not-found, unused-ignore]

    pillow_heif.register_heif_opener()

# Every picture is held against ImageLimits before its pixels are decoded. Pillow's own guard
# speaks in warnings, for the whole process, at a size nobody here has chosen.
Image.MAX_IMAGE_PIXELS = None

MAX_COUNTED_FRAMES = 1000
"""Frames beyond this are not counted: a hostile file holds hundreds of thousands."""

MAX_TIFF_PIECES = 200_000
"""Strips or tiles of a TIFF: 50 million pixels in the smallest tiles, 16 x 16. Each costs Pillow
half a kilobyte, before anything is known of the picture's size."""

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
"""What makes a picture upright, by its EXIF orientation."""


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
    if min_side_px is not None and min_side_px < 1:
        raise InvalidValue("min_side_px", min_side_px, "1 or more")
    _check_bytes(content, limits)
    name = sniff(content)
    if name is None:
        clue = hint(content)
        raise ImageUnsupported(
            f"not a picture we take{': ' + clue if clue else ''}; taken: {', '.join(FORMATS)}"
        )
    _silence_pillow()
    try:
        return _decode(content, name, limits, min_side_px)
    except SeethroughError:
        raise
    except Exception as error:  # decoders raise whatever a damaged file leads them to
        raise ImageCorrupt(f"the {name} file is damaged or cut off") from error


def _decode(
    content: bytes, name: str, limits: ImageLimits, min_side_px: int | None
) -> DecodedImage:
    _check_header(content, name, limits)
    with _open(content, name) as image:
        width, height = _stored_size(image, name)
        _check_size(width, height, limits)
        if name == "TIFF":
            _check_tiles(image, (width, height), limits)
        mode = image.mode
        if name == "PNG":
            image.load()  # eXIf may stand behind the pixels
        source = ImageSource(
            format=name,
            width=width,
            height=height,
            mode=mode,
            orientation=_orientation(image),
            frames=_frames(image, name, content),
            sha256=hashlib.sha256(content).hexdigest(),
        )
        if min_side_px is not None and name == "JPEG":
            _shrink(image, min_side_px)
        image.load()
        if name == "PNG":
            _mend_transparency(image, content)
        return DecodedImage(to_rgb(_upright(image, name, source.orientation)), source)


def _open(content: bytes, name: str) -> Image.Image:
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


def _silence_pillow() -> None:
    """Put the filter first, if it is not: `warnings.catch_warnings` is not thread-safe."""
    if warnings.filters[:1] != [_QUIET]:
        warnings.filterwarnings("ignore", module=_PILLOW)


def _check_bytes(content: bytes, limits: ImageLimits) -> None:
    if not content:
        raise RequestUnreadable("the picture is empty: 0 bytes")
    if len(content) > limits.max_bytes:
        raise ImageTooLarge(
            f"a picture of {len(content)} bytes; at most {limits.max_bytes} are taken"
        )


def _check_header(content: bytes, name: str, limits: ImageLimits) -> None:
    """Refuse what would cost memory as soon as Pillow opens it."""
    if name == "WEBP" and (claimed := webp_size(content)):
        _check_size(*claimed, limits)
    if name == "TIFF" and (pieces := tiff_pieces(content)) > MAX_TIFF_PIECES:
        raise ImageTooLarge(f"a TIFF in {pieces} pieces; at most {MAX_TIFF_PIECES} are taken")


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


def _check_tiles(image: Image.Image, size: tuple[int, int], limits: ImageLimits) -> None:
    """Refuse a TIFF of few pixels in tiles of many: libtiff decodes every tile in full."""
    tags = image.tag_v2  # type: ignore[attr-defined]
    across, down = tags.get(ExifTags.Base.TileWidth), tags.get(ExifTags.Base.TileLength)
    if not (isinstance(across, int) and isinstance(down, int) and across > 0 and down > 0):
        return  # in strips, or damaged
    width, height = -(-size[0] // across) * across, -(-size[1] // down) * down
    if width * height > 2 * limits.max_pixels:  # honest tiles overhang by less than one each way
        raise ImageTooLarge(
            f"tiles that cover {width} x {height} = {width * height} pixels; "
            f"at most {2 * limits.max_pixels} are taken"
        )


def _stored_size(image: Image.Image, name: str) -> tuple[int, int]:
    if name == "TIFF":  # Pillow answers the upright size; these tags hold the stored one
        tags = image.tag_v2  # type: ignore[attr-defined]
        return int(tags[ExifTags.Base.ImageWidth]), int(tags[ExifTags.Base.ImageLength])
    return image.size


def _orientation(image: Image.Image) -> int:
    if image.format != "TIFF" and _ORIENTATION_HOLDERS.isdisjoint(image.info):
        return 1
    try:
        value = image.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:  # a damaged EXIF block is no reason to refuse the picture
        return 1
    return int(value) if value in range(1, 9) else 1


def _frames(image: Image.Image, name: str, content: bytes) -> int:
    if name == "GIF":
        return gif_frames(content, MAX_COUNTED_FRAMES)
    if name == "TIFF":
        return tiff_frames(content, MAX_COUNTED_FRAMES)
    return min(getattr(image, "n_frames", 1), MAX_COUNTED_FRAMES)


def _shrink(image: Image.Image, min_side_px: int) -> None:
    """Have libjpeg decode fewer pixels, where some can be spared: it scales in the DCT."""
    shorter = min(image.size)
    scale = min_side_px / shorter
    if scale <= 0.5:
        image.draft(None, (round(image.width * scale), round(image.height * scale)))


def _upright(image: Image.Image, name: str, orientation: int) -> Image.Image:
    """The decoded first frame, turned as its EXIF orientation says; Pillow has turned a TIFF."""
    turn = None if name == "TIFF" else _TURNS.get(orientation)
    return image if turn is None else image.transpose(turn)


def _mend_transparency(image: Image.Image, content: bytes) -> None:
    """Bring a PNG's tRNS, which Pillow keeps at the file's depth, to the depth of the pixels.

    Source: PNG specification (third edition), sections 11.3.2.1 and 13.12.
    """
    value, depth = image.info.get("transparency"), content[24]
    if image.mode == "L" and isinstance(value, int) and depth in (2, 4):
        largest = 2**depth - 1
        image.info["transparency"] = (value & largest) * 255 // largest
    if image.mode == "RGB" and isinstance(value, tuple) and depth == 16:
        image.info["transparency"] = tuple(part >> 8 for part in value)
