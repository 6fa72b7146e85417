"""Text in pictures, in whatever script, where some font here has it."""

import logging
import math
import re
import unicodedata
from bisect import bisect_right
from functools import lru_cache
from pathlib import Path
from typing import Final, Literal

import matplotlib
import numpy as np
from matplotlib.font_manager import findSystemFonts, get_font
from matplotlib.ft2font import FT2Font
from numpy.typing import NDArray
from PIL import Image, ImageFilter

Anchor = Literal["la", "lm", "mm"]
"""Left or middle, then ascender or middle: what of the text is put at the point; Pillow's names."""

Color = tuple[int, int, int]

MISSING: Final = "\N{REPLACEMENT CHARACTER}"

_log = logging.getLogger("seethrough")

_OWN: Final = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"
_ASCENT, _DESCENT = 0.93, 0.24  # of the size, in DejaVu Sans
_HALO_PX: Final = 3
_VARIANTS: Final = re.compile("[\ufe00-\ufe0f\U000e0100-\U000e01ef]")
_JOINERS: Final = "\u200c\u200d"
_FIRST: Final = ("NotoSans-Regular", "NotoSansCJK-Regular")
_STYLED: Final = re.compile("bold|italic|oblique|light|thin|black|medium|condensed|color", re.I)


def text_size(text: str, size_px: float) -> tuple[int, int]:
    """Width and height of lines of text, in pixels."""
    lines = text.split("\n")
    width = max(_line(line, size_px)[0].shape[1] for line in lines)
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
) -> None:
    """Draw lines of text into an image, right to left where its script runs so.

    A character that no font here has is drawn as MISSING, and said once in the log.

    Args:
        image: RGB; what would lie outside is cut off.
        at: x, y of the anchor.
        text: lines are below one another, flush left.
        size_px: of the em square, as everywhere in typography.
        halo: drawn around the letters.
    """
    width, height = text_size(text, size_px)
    left = round(at[0] - (width / 2 if anchor[0] == "m" else 0))
    top = round(at[1] - (height / 2 if anchor[1] == "m" else 0))
    for row, line in enumerate(text.split("\n")):
        covered, above = _line(line, size_px)
        ink = Image.fromarray(np.pad(covered, _HALO_PX))
        baseline = top + row * _line_px(size_px) + math.ceil(size_px * _ASCENT)
        corner = (left - _HALO_PX, baseline - above - _HALO_PX)
        if halo is not None:
            image.paste(halo, corner, ink.filter(ImageFilter.MaxFilter(2 * _HALO_PX + 1)))
        image.paste(color, corner, ink)


def _line_px(size_px: float) -> int:
    return math.ceil(size_px * _ASCENT) + math.ceil(size_px * _DESCENT)


@lru_cache(maxsize=256)
def _line(text: str, size_px: float) -> tuple[NDArray[np.uint8], int]:
    """How much of each pixel a line covers, (h, w) uint8, and how many rows are above its baseline.

    A line of an em's usual height may have letters that are higher: capitals with accents.
    """
    drawable, fonts = _resolved(text)
    if not drawable.strip():
        return np.zeros((0, 0), dtype=np.uint8), 0
    font = get_font(fonts)
    font.set_size(size_px, 72)  # 72 dots per inch: points are pixels
    font.set_text(drawable)
    font.draw_glyphs_to_bitmap(antialiased=True)
    covered = np.array(font.get_image())
    covered.flags.writeable = False
    return covered, len(covered) - math.ceil(font.get_descent() / 64)


def _resolved(text: str) -> tuple[str, tuple[str, ...]]:
    """The text with what can be drawn of it, and the fonts that it takes, our own first."""
    fonts = {str(_OWN): None}
    drawable = []
    for cluster in _clusters(text):
        path = _font_of(cluster)
        if path is not None:
            fonts[path] = None
            drawable.append(cluster)
        elif unicodedata.category(cluster[0]) == "Zs":
            drawable.append(" ")
        else:
            letter = unicodedata.category(cluster[0])[0] in "LM"
            name = unicodedata.name(cluster[0], "unnamed")
            _report(name.split()[0] if letter else "some symbols")
            drawable.append(MISSING)
    return "".join(drawable), tuple(fonts)


def _clusters(text: str) -> list[str]:
    """Each character with its marks, without what has no shape."""
    clusters: list[str] = []
    for character in text:
        category = unicodedata.category(character)
        after = unicodedata.category(clusters[-1][0])[0] if clusters else ""
        if category in ("Mn", "Mc", "Me") and after not in ("", "Z"):
            if not _VARIANTS.match(character):
                clusters[-1] += character
        elif character in _JOINERS and after == "L":
            clusters[-1] += character
        elif category not in ("Cc", "Cf"):
            clusters.append(character)
    return clusters


@lru_cache(maxsize=1024)
def _report(what: str) -> None:
    """Once for each first word of the letters' names: CJK, HANGUL, EGYPTIAN."""
    _log.warning(
        "no font on this machine has %s: pictures show %s instead; "
        "Debian's packages fonts-noto-core and fonts-noto-cjk have most scripts",
        what,
        MISSING,
    )


@lru_cache(maxsize=1 << 16)
def _font_of(cluster: str) -> str | None:
    """The first font that has a character and its marks: one font draws them together."""
    if unicodedata.category(cluster[0]) == "Cs":  # half of a pair, no character
        return None
    return next((path for path in _fonts() if _has(path, cluster)), None)


def _has(path: str, cluster: str) -> bool:
    try:
        font = FT2Font(path)
    except (OSError, RuntimeError):  # gone, or no font after all
        return False
    return font.scalable and all(font.get_char_index(ord(each)) for each in cluster)


@lru_cache(maxsize=1)
def _fonts() -> tuple[str, ...]:
    """Our own, so that pictures are the same everywhere; then Noto's and others of this machine."""
    upright = [path for path in findSystemFonts() if not _STYLED.search(Path(path).stem)]
    return (str(_OWN), *sorted(upright, key=_rank))


def _rank(path: str) -> tuple[bool, bool, str]:
    name = Path(path).stem
    return name not in _FIRST, not name.startswith("NotoSans"), path
