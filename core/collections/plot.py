"""`Plot`: a collection's map as a PNG file, with the pictures themselves where they fit."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, overload

from core.checks import require_choice, require_range
from core.errors import UnknownItem
from core.gallery.gallery import Gallery
from core.gallery.records import StoredProjection
from core.images.decode import decode
from core.projection.methods import PROJECTION_METHODS
from core.projection.result import Result
from core.render.heat import png
from core.render.map import MAX_SIZE_PX, MIN_SIZE_PX, plot
from core.types import Pixels

ColorBy = Literal["label", "prediction", "preserved"]
COLORS: Final = ("label", "prediction", "preserved")


@dataclass(frozen=True, slots=True)
class Plot:
    """How a map is drawn.

    Attributes:
        color_by: the label, the predicted class, or how well neighbors are preserved.
        thumbnails: also the pictures themselves, where they do not cover each other.
        size_px: width of the picture.

    Raises:
        InvalidValue: a field is outside its allowed set.
    """

    color_by: ColorBy = "label"
    thumbnails: bool = False
    size_px: int = 900

    def __post_init__(self) -> None:
        require_choice("color_by", self.color_by, COLORS)
        require_range("size_px", self.size_px, MIN_SIZE_PX, MAX_SIZE_PX)


def drawn(gallery: Gallery, stored: StoredProjection, result: Result, how: Plot) -> bytes:
    """A map as a PNG file."""
    preserved = how.color_by == "preserved"
    pixels = plot(
        result.coordinates,
        result.predictions if how.color_by == "prediction" else result.labels,
        values=result.preserved if preserved else None,
        value_name="neighbors preserved" if preserved else "",
        thumbnails=_Thumbnails(gallery, stored.collection, result.ids) if how.thumbnails else None,
        title=_title(stored, result),
        size_px=how.size_px,
    )
    return png(pixels)


def _title(stored: StoredProjection, result: Result) -> str:
    method = PROJECTION_METHODS[stored.parameters["method"]].title
    trust = f"trustworthiness {result.trustworthiness:.3f}"
    return f"{stored.collection}: {method} of {len(result.ids)} items, {trust}"


class _Thumbnails(Sequence[Pixels | None]):
    """Read when they are drawn: most of many never are."""

    def __init__(self, gallery: Gallery, collection: str, ids: Sequence[str]) -> None:
        self._gallery = gallery
        self._collection = collection
        self._ids = ids

    def __len__(self) -> int:
        return len(self._ids)

    @overload
    def __getitem__(self, index: int) -> Pixels | None: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[Pixels | None]: ...

    def __getitem__(self, index: int | slice) -> Pixels | Sequence[Pixels | None] | None:
        if isinstance(index, slice):
            return _Thumbnails(self._gallery, self._collection, self._ids[index])
        try:
            return decode(self._gallery.thumbnail(self._collection, self._ids[index])).pixels
        except UnknownItem:  # removed since the map was made
            return None
