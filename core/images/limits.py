"""Limits on a picture: bytes, pixels, proportions, tiles."""

from dataclasses import dataclass

from PIL import ExifTags, Image

from core.errors import ImageCorrupt, ImageTooLarge, InvalidValue, RequestUnreadable


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


def check_bytes(content: bytes, limits: ImageLimits) -> None:
    """Refuse a file of no bytes, or of too many."""
    if not content:
        raise RequestUnreadable("the picture is empty: 0 bytes")
    if len(content) > limits.max_bytes:
        raise ImageTooLarge(
            f"a picture of {len(content)} bytes; at most {limits.max_bytes} are taken"
        )


def check_size(width: int, height: int, limits: ImageLimits) -> None:
    """Refuse a picture of no pixels, of too many, or too elongated."""
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


def check_tiles(image: Image.Image, size: tuple[int, int], limits: ImageLimits) -> None:
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
