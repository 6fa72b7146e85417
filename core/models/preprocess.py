"""`Preprocessing`: resize, crop, normalize; and where the model's view lies in the picture."""

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from core.errors import ModelUnusable, shown
from core.types import LUMA, Frame, Pixels

Interpolation = Literal["nearest", "bilinear", "bicubic"]
Stretch = Literal["stretch"]
STRETCH: Final[Stretch] = "stretch"

_LEAST_SIDE_PX = 320
_MAX_SIDE_PX = 4096
# Of mean and std: beyond it float32 keeps nothing of a pixel.
_MAX_SCALE = 1e6


@dataclass(frozen=True, slots=True, kw_only=True)
class Preprocessing:
    """How a picture becomes an input: resize, center crop, scale to 0..1, subtract mean, divide.

    Attributes:
        channels: 3 (RGB) or 1 (luma).
        height: input height in pixels.
        width: input width in pixels.
        resize: length of the shorter side before the center crop, or "stretch" for no crop.
        interpolation: how pixels are resampled; antialiased, as Pillow does it.
        mean: one per channel, subtracted after scaling to 0..1.
        std: one per channel, divided by.

    Raises:
        ModelUnusable: the fields contradict one another.
    """

    channels: int
    height: int
    width: int
    resize: int | Stretch
    interpolation: Interpolation
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __post_init__(self) -> None:
        if self.channels not in (1, 3):
            raise ModelUnusable(f"channels={shown(self.channels)} is not allowed: 1 or 3")
        if not (0 < self.height <= _MAX_SIDE_PX and 0 < self.width <= _MAX_SIDE_PX):
            size = f"{shown(self.height)} x {shown(self.width)}"
            raise ModelUnusable(f"input of {size} pixels: both must be 1 to {_MAX_SIDE_PX}")
        if len(self.mean) != self.channels or len(self.std) != self.channels:
            raise ModelUnusable(
                f"{len(self.mean)} means and {len(self.std)} stds for {self.channels} channels"
            )
        if not all(1 / _MAX_SCALE <= each <= _MAX_SCALE for each in self.std):
            raise ModelUnusable(f"std={shown(self.std)} is not allowed: every value must be > 0")
        if not all(abs(each) <= _MAX_SCALE for each in self.mean):
            raise ModelUnusable(f"mean={shown(self.mean)} is not allowed: pixels are 0 to 1")
        if self.resize != STRETCH:
            longer = max(self.height, self.width)
            if not longer <= self.resize <= _MAX_SIDE_PX:
                raise ModelUnusable(
                    f"resize={shown(self.resize)} is not allowed: {longer}, the longer side of the "
                    f"crop, to {_MAX_SIDE_PX}"
                )

    @property
    def min_side_px(self) -> int:
        """Shorter side below which a decoder must not shrink: twice what the resize asks for.

        And never less than a thumbnail needs, so that one decoding does for both and the network
        sees the same pixels whether a picture is stored or not.
        """
        longest = max(self.height, self.width) if self.resize == STRETCH else self.resize
        return max(2 * longest, _LEAST_SIDE_PX)

    def frame(self, height: int, width: int) -> Frame:
        """Where the model's view of a picture of this size (pixels) lies."""
        crop = (self.height, self.width)
        if self.resize == STRETCH:
            return Frame(scaled=crop, origin=(0, 0), crop=crop)
        shorter = min(height, width)
        scaled = (height * self.resize // shorter, width * self.resize // shorter)
        # torchvision's CenterCrop rounds the margin, half to even.
        top = round((scaled[0] - self.height) / 2)
        left = round((scaled[1] - self.width) / 2)
        return Frame(scaled=scaled, origin=(top, left), crop=crop)

    def view(self, pixels: Pixels) -> Tensor:
        """The picture the model sees, before normalization.

        Args:
            pixels: (H, W, 3) uint8 RGB.

        Returns:
            (C, height, width) uint8.
        """
        frame = self.frame(pixels.shape[0], pixels.shape[1])
        planes = torch.from_numpy(pixels).permute(2, 0, 1)  # (H, W, 3) -> (3, H, W)
        if self.channels == 1:
            planes = _luma(planes)
        scaled = self._resample(planes, frame.scaled)
        top, left = frame.origin
        return scaled[:, top : top + self.height, left : left + self.width]

    def normalize(self, view: Tensor) -> Tensor:
        """Pixels 0..255 -> the model's own scale.

        Args:
            view: (..., C, H, W) uint8 or float, 0..255.

        Returns:
            (..., C, H, W) float32, contiguous.
        """
        scale = 255.0 * torch.tensor(self.std).view(-1, 1, 1)
        shift = 255.0 * torch.tensor(self.mean).view(-1, 1, 1)
        return ((view.float() - shift) / scale).contiguous()

    def __call__(self, pixels: Pixels) -> Tensor:
        """(H, W, 3) uint8 -> (C, height, width) float32, ready for a batch."""
        return self.normalize(self.view(pixels))

    def _resample(self, planes: Tensor, size: tuple[int, int]) -> Tensor:
        if planes.shape[-2:] == size:
            return planes
        # On uint8 tensors this is torch's port of Pillow-SIMD: within one gray level of Pillow's
        # own resize, and five times as fast.
        smooth = self.interpolation != "nearest"
        mode = self.interpolation if smooth else "nearest-exact"
        return interpolate(planes[None], size=size, mode=mode, antialias=smooth)[0]


def _luma(planes: Tensor) -> Tensor:
    """(3, H, W) uint8 -> (1, H, W) uint8."""
    weights = torch.tensor(LUMA).view(3, 1, 1)
    return (planes.float() * weights).sum(0, keepdim=True).round_().to(torch.uint8)


def to_pixels(view: Tensor) -> Pixels:
    """(C, H, W) uint8 -> (H, W, 3) uint8; one channel is repeated."""
    pixels = view.expand(3, -1, -1).permute(1, 2, 0).contiguous().numpy()
    return np.ascontiguousarray(pixels)
