"""What Pillow reads otherwise than the format means: smaller first frames, transparent colors."""

from PIL import Image

from core.images.formats.webp import webp_first_box

PixelBox = tuple[int, int, int, int]
"""Left, top, right, bottom, in pixels."""


def covered(image: Image.Image, content: bytes) -> PixelBox | None:
    """What the first frame covers of its screen, of formats whose frames may be smaller."""
    if image.format == "GIF":
        box: PixelBox | None = image.tile[0].extents  # type: ignore[attr-defined]
        return box
    return webp_first_box(content) if image.format == "WEBP" and image.mode == "RGB" else None


def mended(image: Image.Image, content: bytes, box: PixelBox | None) -> Image.Image:
    """The decoded picture as its format means it, where Pillow means something else."""
    if image.format == "PNG":
        _mend_transparency(image, content)
    if image.format == "BMP" and image.mode == "RGBA" and image.getchannel("A").getbbox() is None:
        return image.convert("RGB")  # browsers, too: nobody draws a picture that cannot be seen
    return image if box is None else _on_screen(image, box)


def _on_screen(image: Image.Image, box: PixelBox) -> Image.Image:
    """The first frame on its screen, which is transparent beside it."""
    left, top = min(box[0], image.width), min(box[1], image.height)
    # A frame may claim any size, and a crop would make room for it.
    within = left, top, min(box[2], image.width), min(box[3], image.height)
    if within == (0, 0, *image.size):
        return image
    screen = Image.new("RGBA", image.size)
    screen.paste(image.crop(within).convert("RGBA"), (left, top))
    return screen


def _mend_transparency(image: Image.Image, content: bytes) -> None:
    """Bring a PNG's tRNS, which Pillow keeps at the file's depth, to the depth of the pixels.

    Source: PNG specification (third edition), sections 11.3.2.1 and 13.12.
    """
    value, depth = image.info.get("transparency"), content[24]
    if image.mode == "L" and isinstance(value, int) and depth in (2, 4):
        largest = 2**depth - 1
        image.info["transparency"] = (value & largest) * 255 // largest
    if image.mode == "RGB" and isinstance(value, tuple) and depth == 16:
        image.info["transparency"] = tuple(sample >> 8 for sample in value)
