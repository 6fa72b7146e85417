"""`Cell`: the result of one check, from comparing two arrays."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np

Verdict = Literal["ok", "refused", "wrong"]

LIMIT: Final = 1e-3
"""Largest difference allowed, relative to the largest value of the reference."""


@dataclass(frozen=True, slots=True)
class Cell:
    """What came of one check.

    Attributes:
        text: a few characters for the table.
        why: the whole of it, where it is not just right.
        figure: the difference, where there is one.
    """

    verdict: Verdict
    text: str
    why: str = ""
    figure: float = 0.0


def compared(ours: Any, theirs: Any, limit: float = LIMIT, least: float = 0.0) -> Cell:
    """The largest difference between two arrays, relative to the largest value of the reference.

    Args:
        ours: of the service.
        theirs: of the reference.
        limit: what is allowed.
        least: a difference that says nothing, not relative.
    """
    ours, theirs = (np.asarray(each, dtype=np.float64) for each in (ours, theirs))
    if ours.shape != theirs.shape:
        return Cell("wrong", "shape", f"{ours.shape}, not {theirs.shape}")
    largest = np.abs(theirs).max()
    if not largest > 0:
        return Cell("wrong", "dead", "the reference is 0 everywhere")
    difference = float(np.abs(ours - theirs).max() / largest)
    text = f"{difference:.0e}" if difference else "0"
    if not (difference <= limit or difference * largest <= least):
        return Cell("wrong", text, f"differs by {text}, allowed {limit:.0e}", difference)
    return Cell("ok", text, "", difference)


def worst(cells: Mapping[str, Cell]) -> Cell:
    """Of several comparisons the worst, named where it is not right."""
    for name, cell in cells.items():
        if cell.verdict != "ok":
            return Cell(cell.verdict, cell.text, f"{name}: {cell.why}")
    return max(cells.values(), key=lambda cell: cell.figure)
