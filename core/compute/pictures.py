"""Owns a picture decoded for one model: what was received, what the model sees, and where."""

from dataclasses import dataclass

from torch import Tensor

from core.images.decode import ImageLimits, decode
from core.models.preprocess import Preprocessing
from core.types import Frame, ImageFile, ImageSource, Pixels


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """A decoded picture as one model sees it.

    Attributes:
        source: what was received.
        view: (C, H, W) uint8, what the model sees of it.
        frame: where that lies in the picture.
        original: (H', W', 3) uint8, the whole picture upright; None if it was not asked for.
    """

    source: ImageSource
    view: Tensor
    frame: Frame
    original: Pixels | None


def look(
    file: ImageFile, limits: ImageLimits, preprocess: Preprocessing, *, keep_original: bool = False
) -> Picture:
    """Decode a picture in full and keep what a model sees of it.

    Args:
        file: the picture.
        limits: what pictures are taken.
        preprocess: the model's.
        keep_original: also keep the whole picture, at its full size.

    Raises:
        ImageRefused: the picture cannot be taken.
    """
    least = None if keep_original else preprocess.min_side_px
    image = decode(file.content, limits, bits=file.bits, min_side_px=least)
    height, width = image.pixels.shape[:2]
    original = image.pixels if keep_original else None
    view = preprocess.view(image.pixels)
    return Picture(image.source, view, preprocess.frame(height, width), original)
