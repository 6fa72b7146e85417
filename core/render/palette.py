"""A color for each label, told apart by color-blind eyes too."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from core.types import Pixels

MAX_LABELS: Final = 12
NO_LABEL: Final = "no label"

# Okabe, Ito 2008, jfly.uni-koeln.de/color; yellow late, it is faint on white.
EIGHT: Final = ("0072B2", "D55E00", "009E73", "CC79A7", "56B4E9", "E69F00", "000000", "F0E442")
# Krzywinski's twelve, mk.bcgsc.ca/colorblind, ordered so that each is as far as can be from those
# before it in normal, deutan and protan vision: the last two are for those who see all colors.
TWELVE: Final = (
    "8400CD",
    "FFC33B",
    "009F81",
    "00C2F9",
    "A40122",
    "00FCCF",
    "FF6E3A",
    "9F0162",
    "008DF9",
    "FF5AAF",
    "E20134",
    "FFB2FD",
)
OTHER: Final = (180, 180, 180)
_NONE: Final = (218, 218, 218)


@dataclass(frozen=True, slots=True)
class LegendEntry:
    """A line of the legend: its text, its color, how many points it stands for."""

    text: str
    color: tuple[int, int, int]
    count: int


@dataclass(frozen=True, slots=True, eq=False)
class Coloring:
    """Each point's color, and what the colors mean.

    Attributes:
        entries: the legend, most frequent labels first, grays last.
        of_points: (n,) index of each point's entry.
    """

    entries: tuple[LegendEntry, ...]
    of_points: NDArray[np.int64]

    @property
    def colors(self) -> Pixels:
        """(n, 3) uint8."""
        known = np.array([entry.color for entry in self.entries], dtype=np.uint8).reshape(-1, 3)
        return known[self.of_points]

    @property
    def named(self) -> int:
        """How many entries, from the first, are one label each."""
        return sum(entry.color not in (OTHER, _NONE) for entry in self.entries)


def colors(count: int) -> tuple[tuple[int, int, int], ...]:
    """As many colors as labels, at most MAX_LABELS."""
    chosen = EIGHT if count <= len(EIGHT) else TWELVE
    return tuple(_rgb(each) for each in chosen[:count])


def colored(labels: Sequence[str | None]) -> Coloring:
    """A color for each of the most frequent labels, grays for the rest and for no label.

    Of equally frequent labels the first by name comes first: the colors depend on the labels'
    counts alone.
    """
    counts = Counter(label for label in labels if label is not None)
    ordered = sorted(counts, key=lambda label: (-counts[label], label))
    shown, rest = ordered[:MAX_LABELS], ordered[MAX_LABELS:]
    entries = [
        LegendEntry(label, color, counts[label])
        for label, color in zip(shown, colors(len(shown)), strict=True)
    ]
    color_of: dict[str | None, int] = {label: index for index, label in enumerate(shown)}
    if rest:
        color_of |= dict.fromkeys(rest, len(entries))
        text = f"other ({len(rest)} label{'s' if len(rest) > 1 else ''})"
        entries.append(LegendEntry(text, OTHER, sum(counts[label] for label in rest)))
    without = len(labels) - counts.total()
    if without:
        color_of[None] = len(entries)
        entries.append(LegendEntry(NO_LABEL, _NONE, without))
    return Coloring(tuple(entries), np.array([color_of[each] for each in labels], dtype=np.int64))


def _rgb(text: str) -> tuple[int, int, int]:
    red, green, blue = bytes.fromhex(text)
    return red, green, blue
