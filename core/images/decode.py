"""Decode a file to RGB uint8: limits, EXIF, frames. What a client can get wrong is refused here."""

import hashlib
from typing import NamedTuple

import numpy as np
from PIL import ExifTags, Image

from core.errors import (
    ImageCorrupt,
    ImageTooLarge,
    ImageUnsupported,
    InvalidValue,
    SeethroughError,
)
from core.images.cost import Cost, Reserve, cost_of, jpeg_cost
from core.images.depth import FULL_BITS, Depth, significant_bits
from core.images.formats.bmp import bmp_oddity
from core.images.formats.gif import gif_frames
from core.images.formats.jpeg import jpeg_oddity, jpeg_pixels_only
from core.images.formats.known import FORMATS, sniff
from core.images.formats.png import NeededPng, is_cgbi, needed
from core.images.formats.strangers import hint
from core.images.formats.tiff import tiff_frames, tiff_pieces
from core.images.formats.tiff_kind import TiffKind, tiff_kind
from core.images.formats.webp import webp_pixels_only, webp_size
from core.images.limits import ImageLimits, check_bytes, check_size, check_tiles
from core.images.mending import covered, mended
from core.images.orientation import orientation_of, transposed, upright
from core.images.pillow import open_picture
from core.images.png_samples import decode_png_samples
from core.images.rgb import to_rgb
from core.images.tiff_samples import decode_samples
from core.types import DecodedImage, ImageSource

__all__ = ["MAX_COUNTED_FRAMES", "MAX_TIFF_PIECES", "ImageLimits", "decode"]

MAX_COUNTED_FRAMES = 1000
"""Frames beyond this are not counted: a hostile file holds hundreds of thousands."""

MAX_TIFF_PIECES = 200_000
"""Strips or tiles of a TIFF: 50 million pixels in the smallest tiles, 16 x 16. Each costs Pillow
half a kilobyte, before anything is known of the picture's size."""

_DEFAULT_LIMITS = ImageLimits()


def _nothing(_cost: Cost) -> None:
    """Reserve nothing."""


def decode(
    content: bytes,
    limits: ImageLimits = _DEFAULT_LIMITS,
    *,
    bits: int | None = None,
    min_side_px: int | None = None,
    reserve: Reserve = _nothing,
) -> DecodedImage:
    """Decode a picture in full: first frame, upright, alpha on white, deep samples in 8 bits.

    Pixels that are missing are a reason to refuse a picture; damaged metadata is none.

    Args:
        content: the file.
        limits: held against the header before any pixel is decoded.
        bits: see `ImageFile`.
        min_side_px: a JPEG may be decoded at 1/2, 1/4 or 1/8 as long as its shorter side keeps
            this many pixels; None = full size. `source` always tells the size in the file.
        reserve: told the cost before any pixel is decoded; what it raises is raised.

    Returns:
        (H, W, 3) uint8 RGB, contiguous, writable; and what the file was.

    Raises:
        RequestUnreadable: there are no bytes.
        ImageUnsupported: not one of FORMATS, or of a kind of them that is not taken.
        ImageTooLarge: over a limit, in bytes or pixels.
        InvalidValue: too elongated, or deeper than the bits asked for.
        ImageCorrupt: damaged or cut off.
    """
    if min_side_px is not None and min_side_px < 1:
        raise InvalidValue("min_side_px", min_side_px, "1 or more")
    check_bytes(content, limits)
    file = _File(content, _format(content), content, bits)
    try:
        return _decode(file, limits, min_side_px, reserve)
    except SeethroughError:
        raise
    except Exception as error:  # decoders raise whatever a damaged file leads them to
        if (bare := _without_metadata(file)) is None:
            raise _refusal(file, error) from error
    try:
        return _decode(bare, limits, min_side_px, reserve)
    except SeethroughError:
        raise
    except Exception as error:
        raise _refusal(file, error) from error


class _File(NamedTuple):
    """A file to decode.

    Attributes:
        content: its bytes, or what decoding needs of them.
        name: its format.
        received: the bytes that came.
        bits: that mean something, as the caller says.
    """

    content: bytes
    name: str
    received: bytes
    bits: int | None

    @property
    def sha256(self) -> str:
        """Of the bytes that came."""
        return hashlib.sha256(self.received).hexdigest()


def _format(content: bytes) -> str:
    name = sniff(content)
    if name is None:
        clue = hint(content)
        raise ImageUnsupported(
            f"not a picture we take{': ' + clue if clue else ''}; taken: {', '.join(FORMATS)}"
        )
    if name == "PNG" and is_cgbi(content):
        raise _unsupported("a PNG as Xcode rewrites it for an app (CgBI)")
    return name


def _unsupported(kind: str) -> ImageUnsupported:
    return ImageUnsupported(f"{kind}, which is not taken; taken: {', '.join(FORMATS)}")


def _without_metadata(file: _File) -> _File | None:
    """The file without what may have misled the decoder; None where it saw nothing of that."""
    strip = {"JPEG": jpeg_pixels_only, "WEBP": webp_pixels_only}.get(file.name)
    if strip is None or (bare := strip(file.content)) == file.content:
        return None
    return file._replace(content=bare)


def _refusal(file: _File, error: Exception) -> SeethroughError:
    """Why a file could not be decoded: its kind, or what it lacks, or that it is damaged."""
    oddity = {"JPEG": jpeg_oddity, "BMP": bmp_oddity}.get(file.name)
    if oddity is not None and (kind := oddity(file.content)):
        return _unsupported(kind)
    if "truncated" in str(error).lower():
        return ImageCorrupt(f"the {file.name} file is cut off: it ends before its pixels do")
    return ImageCorrupt(f"the {file.name} file is damaged or cut off")


def _decode(
    file: _File, limits: ImageLimits, min_side_px: int | None, reserve: Reserve
) -> DecodedImage:
    content, name = file.content, file.name
    _check_header(content, name, limits, reserve)
    kind = tiff_kind(content) if name == "TIFF" else None
    png = needed(content) if name == "PNG" else None
    depth = _depth(file, kind, png)
    if kind is not None:
        if kind.refusal:
            raise _unsupported(kind.refusal)
        if not kind.is_pillows or (kind.is_deep_color and kind.is_samples and depth.says_fewer):
            return _decode_samples(file, kind, depth, limits, reserve)
    with open_picture(png.content if png else content, name) as image:
        width, height = _stored_size(image, name)
        check_size(width, height, limits)
        if name == "TIFF":
            check_tiles(image, (width, height), limits)
        mode = image.mode
        if min_side_px is not None and name == "JPEG":
            _shrink(image, min_side_px)
        is_deep = png is not None and png.is_deep_color and depth.says_fewer
        if name == "JPEG":
            reserve(jpeg_cost(content, (width, height), image.size, len(image.getbands())))
        else:
            reserve(cost_of(name, width, height, is_deep=is_deep))
        if name == "PNG":
            image.load()  # eXIf may stand behind the pixels
        orientation = orientation_of(image)
        frames = _frames(image, content, png)
        if png is not None and is_deep:
            transparent = image.info.get("transparency")
            image.close()  # and let go of its half of the bits
            stored, bits = decode_png_samples(png.content, depth, transparent)
            pixels = transposed(stored, orientation)
        else:
            box = covered(image, content)
            image.load()
            bits = _bits(image, depth, any(each and each.is_deep_color for each in (kind, png)))
            whole = upright(mended(image, content, box), name, orientation)
            pixels = to_rgb(whole, bits or FULL_BITS)
    source = ImageSource(
        format=name,
        width=width,
        height=height,
        mode=mode,
        bits=bits,
        orientation=orientation,
        frames=frames,
        sha256=file.sha256,
    )
    return DecodedImage(pixels, source)


def _decode_samples(
    file: _File, kind: TiffKind, depth: Depth, limits: ImageLimits, reserve: Reserve
) -> DecodedImage:
    """A TIFF that Pillow cannot read, or not all bits of it."""
    check_size(kind.width, kind.height, limits)
    reserve(cost_of("TIFF", kind.width, kind.height, is_deep=True))
    pixels, bits = decode_samples(file.content, kind, depth, limits.max_pixels)
    source = ImageSource(
        format="TIFF",
        width=kind.width,
        height=kind.height,
        mode=kind.mode,
        bits=bits,
        orientation=kind.orientation,
        frames=tiff_frames(file.content, MAX_COUNTED_FRAMES),
        sha256=file.sha256,
    )
    return DecodedImage(transposed(pixels, kind.orientation), source)


def _depth(file: _File, kind: TiffKind | None, png: NeededPng | None) -> Depth:
    """What is known of a picture's depth by its header."""
    if kind is not None:
        return Depth(file.bits, min(kind.stored_bits, FULL_BITS), is_gray=kind.samples == 1)
    if png is not None:
        return Depth(file.bits, original=png.bits, is_gray=png.is_gray)
    return Depth(file.bits)


def _bits(image: Image.Image, depth: Depth, is_deep_color: bool) -> int | None:
    """How many bits of a sample mean something, as `ImageSource` says it."""
    if is_deep_color:
        return FULL_BITS  # of which Pillow has kept the upper half
    return significant_bits(np.asarray(image), depth) if image.mode.startswith("I") else None


def _check_header(content: bytes, name: str, limits: ImageLimits, reserve: Reserve) -> None:
    """Refuse, or reserve, what costs memory as soon as Pillow opens it."""
    if name == "WEBP" and (claimed := webp_size(content)):
        check_size(*claimed, limits)
        reserve(cost_of(name, *claimed))
    if name == "TIFF" and (pieces := tiff_pieces(content)) > MAX_TIFF_PIECES:
        raise ImageTooLarge(f"a TIFF in {pieces} pieces; at most {MAX_TIFF_PIECES} are taken")


def _stored_size(image: Image.Image, name: str) -> tuple[int, int]:
    if name == "TIFF":  # Pillow answers the upright size; these tags hold the stored one
        tags = image.tag_v2  # type: ignore[attr-defined]
        return int(tags[ExifTags.Base.ImageWidth]), int(tags[ExifTags.Base.ImageLength])
    return image.size


def _frames(image: Image.Image, content: bytes, png: NeededPng | None) -> int:
    if png is not None:
        return min(png.frames, MAX_COUNTED_FRAMES)
    if image.format == "GIF":
        return gif_frames(content, MAX_COUNTED_FRAMES)
    if image.format == "TIFF":
        return tiff_frames(content, MAX_COUNTED_FRAMES)
    return min(getattr(image, "n_frames", 1), MAX_COUNTED_FRAMES)


def _shrink(image: Image.Image, min_side_px: int) -> None:
    """Have libjpeg decode fewer pixels, where some can be spared: it scales in the DCT."""
    shorter = min(image.size)
    scale = min_side_px / shorter
    if scale <= 0.5:
        image.draft(None, (round(image.width * scale), round(image.height * scale)))
