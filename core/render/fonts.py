"""`Fonts`: which font has a character, and what is drawn where none has it."""

import logging
import re
import unicodedata
from collections.abc import Sequence
from functools import cache, lru_cache
from pathlib import Path
from typing import Final

import matplotlib
from matplotlib.font_manager import findSystemFonts
from matplotlib.ft2font import FT2Font

OWN: Final = str(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf")
"""The font that comes with us, so that pictures are the same everywhere."""

MISSING: Final = "\N{REPLACEMENT CHARACTER}"
"""What is drawn for a character that no font has."""

_log = logging.getLogger("seethrough")

_VARIANTS: Final = re.compile("[\ufe00-\ufe0f\U000e0100-\U000e01ef]")
_JOINERS: Final = "\u200c\u200d"
_FIRST: Final = ("NotoSans-Regular", "NotoSansCJK-Regular")
_STYLED: Final = re.compile("bold|italic|oblique|light|thin|black|medium|condensed|color", re.I)


class Fonts:
    """Our own font, then others where it lacks a character; what none has is said in the log.

    Args:
        others: paths of font files, in the order in which they are asked.
    """

    def __init__(self, others: Sequence[str] = ()) -> None:
        self._paths = (OWN, *others)
        self._known = lru_cache(maxsize=1 << 16)(self._find)
        self._report = lru_cache(maxsize=1024)(_report)  # each once

    def of(self, cluster: str) -> str | None:
        """The first font that has a character and its marks: one font draws them together."""
        return self._known(cluster)

    def resolve(self, text: str) -> tuple[str, tuple[str, ...]]:
        """The text with what can be drawn of it, and the fonts that it takes, our own first."""
        fonts = {OWN: None}
        drawable = []
        for cluster in _clusters(text):
            path = self.of(cluster)
            if path is not None:
                fonts[path] = None
                drawable.append(cluster)
            elif unicodedata.category(cluster[0]) == "Zs":
                drawable.append(" ")
            else:
                letter = unicodedata.category(cluster[0])[0] in "LM"
                name = unicodedata.name(cluster[0], "unnamed")
                self._report(name.split()[0] if letter else "some symbols")
                drawable.append(MISSING)
        return "".join(drawable), tuple(fonts)

    def _find(self, cluster: str) -> str | None:
        if unicodedata.category(cluster[0]) == "Cs":  # half of a pair, no character
            return None
        return next((path for path in self._paths if _has(path, cluster)), None)


@cache
def installed() -> Fonts:
    """This machine's: Noto's first, which fit each other."""
    upright = [path for path in findSystemFonts() if not _STYLED.search(Path(path).stem)]
    return Fonts(sorted(upright, key=_rank))


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


def _report(what: str) -> None:
    """Of the first word of a letter's name: CJK, HANGUL, EGYPTIAN."""
    _log.warning(
        "no font on this machine has %s: pictures show %s instead; "
        "Debian's packages fonts-noto-core and fonts-noto-cjk have most scripts",
        what,
        MISSING,
    )


def _has(path: str, cluster: str) -> bool:
    try:
        font = FT2Font(path)
    except (OSError, RuntimeError):  # gone, or no font after all
        return False
    return font.scalable and all(font.get_char_index(ord(each)) for each in cluster)


def _rank(path: str) -> tuple[bool, bool, str]:
    name = Path(path).stem
    return name not in _FIRST, not name.startswith("NotoSans"), path
