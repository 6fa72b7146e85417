"""Draw a projection: dots or thumbnails, legend or color bar."""

from collections.abc import Sequence
from typing import Final

import numpy as np
from matplotlib import colormaps
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageOps

from core.errors import InvalidValue
from core.render.names import name_centers
from core.render.palette import Coloring, colored
from core.render.text import fitted, text_size, write
from core.render.view import PlotView, view
from core.types import Pixels

MIN_SIZE_PX: Final = 300
MAX_SIZE_PX: Final = 4000
COLORMAP: Final = "cividis"  # the same order of lightness for color-blind eyes

_DPI: Final = 100
_INK: Final = (32, 32, 32)
_FAINT: Final = (120, 120, 120)
_HALO: Final = (255, 255, 255)
_MAX_CHARS: Final = 24
_MAX_TITLE_CHARS: Final = 80
_MAX_TRIES: Final = 5000


def plot(
    coordinates: NDArray[np.floating],
    labels: Sequence[str | None] | None = None,
    *,
    values: NDArray[np.floating] | None = None,
    value_name: str = "",
    thumbnails: Sequence[Pixels | None] | None = None,
    title: str = "",
    size_px: int = 900,
    seed: int = 0,
) -> Pixels:
    """Draw a map, its points colored by label or by a number.

    Points are drawn in a seeded order, so that no label lies over the others; in three dimensions,
    seen obliquely, from far to near. Thumbnails are drawn for points in that order wherever they do
    not cover one another, and dots for all other points.

    Args:
        coordinates: (n, 2) or (n, 3) finite, n at least 1.
        labels: one for each point, or None for none.
        values: (n,) 0 to 1; colors the points instead of the labels.
        value_name: what the values are, over the color bar.
        thumbnails: (H, W, 3) for each point, or None where there is none.
        title: one line.
        size_px: width of the picture; it is four fifths as high.
        seed: of the order.

    Returns:
        (size_px * 4 // 5, size_px, 3) uint8.

    Raises:
        InvalidValue: a size outside MIN_SIZE_PX to MAX_SIZE_PX.
        ValueError: no points, not (n, 2) or (n, 3), NaN, infinity, or lengths that differ.
    """
    _check(coordinates, size_px, labels, values, thumbnails)
    unit = size_px / 900  # all lengths are those of a picture 900 wide
    side = size_px * 4 // 5
    seen = view(coordinates, 24 * unit, 60 * unit, side - 88 * unit)
    order = _order(seen, seed)
    coloring = colored(labels if labels is not None else [None] * len(coordinates))
    colors = coloring.colors if values is None else _of_values(values)
    sheet = Image.fromarray(_dots(seen, colors, order, size_px))
    font_px = max(9, 13 * unit)
    if thumbnails is not None:
        _paste(sheet, seen, thumbnails, colors, order, side)
    write(sheet, (24 * unit, 18 * unit), _cut(title, _MAX_TITLE_CHARS), font_px, _INK)
    if values is not None:
        _color_bar(sheet, value_name, side, unit, font_px)
    elif labels is not None:
        _legend(sheet, coloring, side, unit, font_px)
        if thumbnails is None:
            _names(sheet, seen, coloring, side, font_px)
    if coordinates.shape[1] == 3:
        _axes(sheet, seen, side, unit, font_px)
    return np.array(sheet)


def _check(
    coordinates: NDArray[np.floating],
    size_px: int,
    *given: Sequence[object] | NDArray[np.floating] | None,
) -> None:
    if not MIN_SIZE_PX <= size_px <= MAX_SIZE_PX:
        raise InvalidValue("size_px", size_px, f"{MIN_SIZE_PX} to {MAX_SIZE_PX}")
    if coordinates.ndim != 2 or coordinates.shape[1] not in (2, 3) or not len(coordinates):
        raise ValueError(f"coordinates of shape {coordinates.shape}: expected (n, 2) or (n, 3)")
    if not np.isfinite(coordinates).all():
        raise ValueError("a coordinate is NaN or infinite")
    for each in given:
        if each is not None and len(each) != len(coordinates):
            raise ValueError(f"{len(coordinates)} points and {len(each)} of what goes with them")


def _order(seen: PlotView, seed: int) -> NDArray[np.int64]:
    """(n,) indices in the order of drawing: the last is on top."""
    shuffled = np.random.default_rng(seed).permutation(len(seen.at))
    if seen.depth is None:
        return shuffled
    return shuffled[np.argsort(seen.depth[shuffled], kind="stable")]


def _of_values(values: NDArray[np.floating]) -> Pixels:
    colors: Pixels = colormaps[COLORMAP](np.clip(values, 0, 1), bytes=True)[:, :3]
    return colors


# ---- points ----


def _dots(seen: PlotView, colors: Pixels, order: NDArray[np.int64], width: int) -> Pixels:
    """All points as antialiased dots on white, smaller the more there are and the farther."""
    height = width * 4 // 5
    figure = Figure(figsize=(width / _DPI, height / _DPI), dpi=_DPI)
    canvas = FigureCanvasAgg(figure)
    axes = figure.add_axes((0, 0, 1, 1), xlim=(0, width), ylim=(height, 0))
    axes.axis("off")
    radius = _radius(len(order), width)
    depth = seen.depth[order] if seen.depth is not None else np.ones(len(order))
    axes.scatter(
        seen.at[order, 0],
        seen.at[order, 1],
        s=(2 * radius * (0.55 + 0.45 * depth) * 72 / _DPI) ** 2,  # points squared
        c=colors[order] / 255,
        alpha=0.85,
        linewidths=0,
        snap=False,
    )
    canvas.draw()  # type: ignore[no-untyped-call]
    drawn: Pixels = np.array(canvas.buffer_rgba())[:, :, :3]  # type: ignore[no-untyped-call]
    return drawn


def _radius(points: int, width: int) -> float:
    """Of a dot, in pixels."""
    return float(np.clip(width / 5 / np.sqrt(points), width / 1100, width / 180))


def _paste(
    sheet: Image.Image,
    seen: PlotView,
    thumbnails: Sequence[Pixels | None],
    colors: Pixels,
    order: NDArray[np.int64],
    side: int,
) -> None:
    """Thumbnails framed in their points' colors, from the top point down, none over another."""
    width, frame = side // 22, max(1, side // 450)
    taken = np.zeros((side, side), dtype=bool)
    for index in order[::-1][:_MAX_TRIES]:
        left, top = (round(each - width / 2) for each in seen.at[index])
        left, top = (min(max(each, 0), side - width) for each in (left, top))
        box = slice(top, top + width), slice(left, left + width)
        picture = thumbnails[index]
        if picture is None or taken[box].any():
            continue
        taken[box] = True
        inner = Image.fromarray(picture)
        inner = ImageOps.contain(inner, (width - 2 * frame,) * 2, Image.Resampling.BOX)
        sheet.paste(tuple(map(int, colors[index])), (left, top, left + width, top + width))
        sheet.paste(inner, (left + (width - inner.width) // 2, top + (width - inner.height) // 2))


# ---- what the colors mean ----


def _legend(sheet: Image.Image, coloring: Coloring, side: int, unit: float, font_px: float) -> None:
    pen = ImageDraw.Draw(sheet)
    for row, entry in enumerate(coloring.entries):
        x, y = side + 4 * unit, (64 + 30 * row) * unit
        pen.ellipse((x, y, x + 12 * unit, y + 12 * unit), fill=entry.color)
        at = x + 20 * unit, y + 6 * unit
        text = fitted(_cut(entry.text), font_px, sheet.width - at[0] - 4 * unit)
        write(sheet, at, text, font_px, _INK, anchor="lm")


def _names(
    sheet: Image.Image, seen: PlotView, coloring: Coloring, side: int, font_px: float
) -> None:
    texts = [_cut(entry.text) for entry in coloring.entries[: coloring.named]]
    sizes = [text_size(text, font_px) for text in texts]
    margin = _radius(len(seen.at), sheet.width) + 2
    centers = name_centers(seen.at, coloring.of_points, sizes, side, margin)
    for text, center in zip(texts, centers, strict=True):
        if center is not None:
            write(sheet, center, text, font_px, _INK, anchor="mm", halo=_HALO)


def _color_bar(sheet: Image.Image, name: str, side: int, unit: float, font_px: float) -> None:
    left, top, height = round(side + 4 * unit), round(96 * unit), round(side / 2)
    ramp = _of_values(np.linspace(1, 0, height))[:, None].repeat(round(20 * unit), axis=1)
    sheet.paste(Image.fromarray(ramp), (left, top))
    write(sheet, (left, 64 * unit), _cut(name), font_px, _INK)
    for value in (0, 0.5, 1):
        at = left + 28 * unit, top + (1 - value) * height
        write(sheet, at, f"{value:g}", font_px, _INK, anchor="lm")


def _axes(sheet: Image.Image, seen: PlotView, side: int, unit: float, font_px: float) -> None:
    """Where x, y and z point, in the lower left corner."""
    pen = ImageDraw.Draw(sheet)
    origin = np.array((48 * unit, side - 40 * unit))
    for name, direction in zip("xyz", seen.axes, strict=True):
        end = origin + direction * 30 * unit
        pen.line((*origin, *end), fill=_FAINT, width=max(1, round(1.5 * unit)))
        x, y = origin + direction * 40 * unit
        write(sheet, (x, y), name, font_px, _FAINT, anchor="mm")


def _cut(text: str, limit: int = _MAX_CHARS) -> str:
    line = " ".join(text.split())
    return line if len(line) <= limit else line[: limit - 1] + "…"
