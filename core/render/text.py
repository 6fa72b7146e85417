"""Text in pictures, in whatever script, where some font here has it."""

import math
from bisect import bisect_right
from functools import lru_cache
from typing import Final, Literal

import numpy as np
from matplotlib.font_manager import get_font
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from core.render.fonts import Fonts, installed

Anchor = Literal["la", "lm", "mm"]
"""Left or middle, then ascender or middle: what of the text is put at the point; Pillow's names."""

Color = tuple[int, int, int]

_ASCENT, _DESCENT = 0.93, 0.24  # of the size, in DejaVu Sans
_HALO_PX: Final = 3


def text_size(text: str, size_px: float, fonts: Fonts | None = None) -> tuple[int, int]:
    """Width and height of lines of text, in pixels; `fonts` as in `write`."""
    lines = text.split("\n")
    width = max(_line(line, size_px, fonts or installed())[0].shape[1] for line in lines)
    return width, len(lines) * _line_px(size_px)


def fitted(text: str, size_px: float, width_px: float) -> str:
    """A line of text, its end cut off and marked with an ellipsis where it is too wide."""
    if text_size(text, size_px)[0] <= width_px:
        return text
    fits = bisect_right(
        range(1, len(text)), width_px, key=lambda kept: text_size(f"{text[:kept]}…", size_px)[0]
    )
    return f"{text[:fits].rstrip()}…"


def write(
    image: Image.Image,
    at: tuple[float, float],
    text: str,
    size_px: float,
    color: Color,
    *,
    anchor: Anchor = "la",
    halo: Color | None = None,
    fonts: Fonts | None = None,
) -> None:
    """Draw lines of text into an image, right to left where its script runs so.

    A character that no font here has is drawn as MISSING, and said once in the log.

    Args:
        image: RGB; what would lie outside is cut off.
        at: x, y of the anchor.
        text: lines are below one another, flush left.
        size_px: of the em square, as everywhere in typography.
        halo: drawn around the letters.
        fonts: those that may be taken; None = this machine's.
    """
    width, height = text_size(text, size_px, fonts)
    left = round(at[0] - (width / 2 if anchor[0] == "m" else 0))
    top = round(at[1] - (height / 2 if anchor[1] == "m" else 0))
    for row, line in enumerate(text.split("\n")):
        covered, above = _line(line, size_px, fonts or installed())
        ink = Image.fromarray(np.pad(covered, _HALO_PX))
        baseline = top + row * _line_px(size_px) + math.ceil(size_px * _ASCENT)
        corner = (left - _HALO_PX, baseline - above - _HALO_PX)
        if halo is not None:
            image.paste(halo, corner, ink.filter(ImageFilter.MaxFilter(2 * _HALO_PX + 1)))
        image.paste(color, corner, ink)


def _line_px(size_px: float) -> int:
    return math.ceil(size_px * _ASCENT) + math.ceil(size_px * _DESCENT)


@lru_cache(maxsize=256)
def _line(text: str, size_px: float, fonts: Fonts) -> tuple[NDArray[np.uint8], int]:
    """How much of each pixel a line covers, (h, w) uint8, and how many rows are above its baseline.

    A line of an em's usual height may have letters that are higher: capitals with accents.
    """
    drawable, files = fonts.resolve(text)
    if not drawable.strip():
        return np.zeros((0, 0), dtype=np.uint8), 0
    font = get_font(files)
    font.set_size(size_px, 72)  # 72 dots per inch: points are pixels
    font.set_text(drawable)
    font.draw_glyphs_to_bitmap(antialiased=True)
    covered = np.array(font.get_image())
    covered.flags.writeable = False
    return covered, len(covered) - math.ceil(font.get_descent() / 64)
