"""Draw a query beside its neighbors."""

import io
from collections.abc import Callable, Iterator
from typing import Final

import numpy as np
from PIL import Image, ImageOps

from core.gallery.queries import Neighbor, Neighbors
from core.gallery.records import Item
from core.render.heat import png
from core.render.sheet import strip
from core.render.text import fitted
from core.types import Pixels

_PANEL_PX: Final = 160
_COLUMNS: Final = 6
_PAPER: Final = 255
_FONT_PX: Final = 12


def draw_neighbors(
    neighbors: Neighbors, query: bytes | None, thumbnail: Callable[[Item], bytes]
) -> bytes:
    """The query first, then its neighbors in rows, nearest first, each with label and distance.

    Args:
        neighbors: what was found.
        query: the query's thumbnail; None where it was no picture.
        thumbnail: a neighbor's.

    Returns:
        A PNG file.
    """
    panels = list(_panels(neighbors, query, thumbnail))
    rows = [
        strip(panels[first : first + _COLUMNS], font_px=_FONT_PX)
        for first in range(0, len(panels), _COLUMNS)
    ]
    return png(_stacked(rows))


def _panels(
    neighbors: Neighbors, query: bytes | None, thumbnail: Callable[[Item], bytes]
) -> Iterator[tuple[str, Pixels]]:
    how = f"{neighbors.metric} in {neighbors.space}"
    truth = "exact" if neighbors.exact else "approximate"
    blank = np.full((_PANEL_PX, _PANEL_PX, 3), _PAPER, dtype=np.uint8)
    yield f"query\n{how}\n{truth}", blank if query is None else _panel(query)
    for neighbor in neighbors.found:
        yield _caption(neighbor), _panel(thumbnail(neighbor.item))


def _caption(neighbor: Neighbor) -> str:
    item = neighbor.item
    named = item.label or f"({item.prediction.label})"
    lines = item.id, named, f"{neighbor.distance:.4g}"
    return "\n".join(fitted(" ".join(line.split()), _FONT_PX, _PANEL_PX) for line in lines)


def _panel(jpeg: bytes) -> Pixels:
    """The picture within a square, so that all panels line up."""
    with Image.open(io.BytesIO(jpeg)) as image:
        square = ImageOps.pad(
            image.convert("RGB"), (_PANEL_PX, _PANEL_PX), color=(_PAPER,) * 3, centering=(0.5, 0.5)
        )
        return np.array(square)


def _stacked(rows: list[Pixels]) -> Pixels:
    """Rows below each other, the shorter ones filled up with paper."""
    width = max(row.shape[1] for row in rows)
    return np.concatenate(
        [
            np.pad(row, ((0, 0), (0, width - row.shape[1]), (0, 0)), constant_values=_PAPER)
            for row in rows
        ]
    )
