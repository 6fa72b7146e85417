"""`Pictures`: decode a file and preprocess it for a model; all that models see comes this way."""

from dataclasses import dataclass

from torch import Tensor

from core.compute.bridge import Bridge
from core.compute.call import Call
from core.compute.thumbnails import Reduced, reduce
from core.images.cost import Reserve
from core.images.decode import ImageLimits, decode
from core.models.preprocess import Preprocessing
from core.types import Frame, ImageFile, ImageSource, Pixels


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """A decoded picture as one model sees it.

    Attributes:
        source: what was received.
        view: (C, H, W) uint8, what the model sees of it.
        row: (C, H, W) float32, the same on the model's own scale: its input.
        frame: where the view lies in the picture.
        reduced: what is stored of it; None if it was not asked for.
    """

    source: ImageSource
    view: Tensor
    row: Tensor
    frame: Frame
    reduced: Reduced | None


class Pictures:
    """Decodes files on the engine's decoder threads.

    Args:
        bridge: to the threads.
        limits: what pictures are taken.
    """

    def __init__(self, bridge: Bridge, limits: ImageLimits) -> None:
        self._bridge = bridge
        self._limits = limits

    async def look(
        self,
        file: ImageFile,
        preprocess: Preprocessing,
        call: Call,
        *,
        whole: bool = False,
        reduced: bool = False,
        tiny_px: int | None = None,
    ) -> Picture:
        """Decode a picture in full and keep what a model sees of it.

        Args:
            file: the picture.
            preprocess: the model's.
            call: the request's deadline and stopwatch.
            whole: decode every pixel, also of a large JPEG: it is to be drawn on.
            reduced: also make its thumbnail, and a tiny copy where a side is given.
            tiny_px: that side.

        Raises:
            ImageRefused: the picture cannot be taken.
        """

        def looked(reserve: Reserve) -> Picture:
            image = decode(
                file.content,
                self._limits,
                bits=file.bits,
                min_side_px=None if whole else preprocess.min_side_px,
                reserve=reserve,
            )
            view = preprocess.view(image.pixels)
            return Picture(
                source=image.source,
                view=view,
                row=preprocess.normalize(view),
                frame=preprocess.frame(*image.pixels.shape[:2]),
                reduced=reduce(image.pixels, tiny_px) if reduced else None,
            )

        return await self._bridge.decode(looked, call)

    def pixels(self, file: ImageFile, reserve: Reserve) -> Pixels:
        """All of a picture's pixels, upright; for work on a decoder thread.

        Args:
            file: the picture, which was taken before.
            reserve: told the cost before any pixel is decoded.

        Returns:
            (H, W, 3) uint8.
        """
        return decode(file.content, self._limits, bits=file.bits, reserve=reserve).pixels
