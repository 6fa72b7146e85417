"""Owns bytes -> fully decoded RGB uint8: limits, EXIF, frames; refuses everything else."""

import hashlib
import io
from dataclasses import dataclass

from PIL import ExifTags, Image, ImageOps

from core.errors import (
    ImageCorrupt,
    ImageTooLarge,
    ImageUnsupported,
    InvalidValue,
    RequestUnreadable,
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

# MPO is a JPEG with further pictures behind it, as phones write it.
_OPENERS = (*FORMATS, "MPO")


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
            if getattr(self, name) < 1:
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
    name = sniff(content)
    if name is None:
        clue = hint(content)
        raise ImageUnsupported(
            f"not a picture we take{': ' + clue if clue else ''}; taken: {', '.join(FORMATS)}"
        )
    try:
        with _open(content) as image:
            source = _source(image, name, content)
            _check_size(source, limits)
            if min_side_px is not None and name == "JPEG":
                _shrink(image, min_side_px)
            pixels = to_rgb(_upright(image))
    except (InvalidValue, ImageTooLarge, ImageCorrupt):
        raise
    except Exception as error:  # decoders raise whatever a damaged file leads them to
        raise ImageCorrupt(f"the {name} file is damaged or cut off") from error
    return DecodedImage(pixels, source)


def _open(content: bytes) -> Image.Image:
    return Image.open(io.BytesIO(content), formats=_OPENERS)


def _check_bytes(content: bytes, limits: ImageLimits) -> None:
    if not content:
        raise RequestUnreadable("the picture is empty: 0 bytes")
    if len(content) > limits.max_bytes:
        raise ImageTooLarge(
            f"a picture of {len(content)} bytes; at most {limits.max_bytes} are taken"
        )


def _check_size(source: ImageSource, limits: ImageLimits) -> None:
    width, height = source.width, source.height
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


def _source(image: Image.Image, name: str, content: bytes) -> ImageSource:
    width, height = image.size
    if name == "TIFF":  # Pillow answers the upright size; these tags hold the stored one
        tags = image.tag_v2  # type: ignore[attr-defined]
        width, height = int(tags[ExifTags.Base.ImageWidth]), int(tags[ExifTags.Base.ImageLength])
    return ImageSource(
        format=name,
        width=width,
        height=height,
        mode=image.mode,
        orientation=_orientation(image),
        frames=_frames(image, name, content),
        sha256=hashlib.sha256(content).hexdigest(),
    )


def _orientation(image: Image.Image) -> int:
    if "exif" not in image.info and image.format != "TIFF":
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
    """Frames of a TIFF; Pillow's own count walks a chain of any length."""
    with _open(content) as image:
        try:
            for frame in range(1, MAX_COUNTED_FRAMES):
                image.seek(frame)
        except Exception:  # EOFError at the end, anything in a damaged chain
            return frame
    return MAX_COUNTED_FRAMES


def _shrink(image: Image.Image, min_side_px: int) -> None:
    """Have libjpeg decode fewer pixels, where some can be spared: it scales in the DCT."""
    shorter = min(image.size)
    scale = min_side_px / shorter
    if scale <= 0.5:
        image.draft(None, (round(image.width * scale), round(image.height * scale)))


def _upright(image: Image.Image) -> Image.Image:
    """The decoded first frame, turned as its EXIF orientation says; a TIFF already is."""
    image.load()
    if image.format == "TIFF" or _orientation(image) == 1:
        return image
    return ImageOps.exif_transpose(image)
