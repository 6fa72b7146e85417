"""The frozen dataclasses that an engine takes and returns. Imports no torch, knows no HTTP."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from core.errors import InvalidValue

Pixels = NDArray[np.uint8]
"""(H, W, 3) RGB, 0..255."""

FloatArray = NDArray[np.float32]
DoubleArray = NDArray[np.float64]
JobStatus = Literal["queued", "running", "done", "failed", "cancelled"]
"""How far the work of making a map is."""
Size = tuple[int, int]
"""Height and width, in pixels or in the cells of a map."""
LUMA: Final = (0.299, 0.587, 0.114)
"""Of red, green and blue in a gray: ITU-R 601-2, the weights Pillow's convert("L") uses."""


@dataclass(frozen=True, slots=True)
class Frame:
    """Where the model's view lies: the picture is scaled to `scaled`, then cropped at `origin`.

    Attributes:
        scaled: (height, width) of the whole picture after scaling.
        origin: (top, left) of the crop inside the scaled picture.
        crop: (height, width) of the crop, the model's input size.
    """

    scaled: tuple[int, int]
    origin: tuple[int, int]
    crop: tuple[int, int]


_SIDEWAYS = 5
"""From this EXIF orientation on, width and height change places."""

LEAST_BITS, MOST_BITS = 8, 16
"""Of a deep sample: so many may be said to mean something."""


@dataclass(frozen=True, slots=True)
class ImageFile:
    """A picture's file, and what its sender says of it.

    Attributes:
        content: the file.
        bits: how many bits of a sample deeper than 8 mean something, 8 to 16; None = as the file
            says, or as `core.images.depth` guesses.

    Raises:
        InvalidValue: bits is out of range.
    """

    content: bytes = field(repr=False)
    bits: int | None = None

    def __post_init__(self) -> None:
        if self.bits is not None and not LEAST_BITS <= self.bits <= MOST_BITS:
            raise InvalidValue("bits", self.bits, f"{LEAST_BITS} to {MOST_BITS}")


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageSource:
    """A picture as it was received, before orientation, conversion or scaling.

    Attributes:
        format: one of `core.images.decode.FORMATS`, such as "JPEG".
        width: pixels, as stored in the file.
        height: pixels, as stored in the file.
        mode: Pillow's name of the pixel layout, such as "RGB", "CMYK", "I;16".
        bits: of a sample deeper than 8, how many were taken to mean something; None where the
            samples are not deeper, or are stretched from their own smallest to largest.
        orientation: EXIF orientation, 1 (upright) to 8.
        frames: number of frames; only the first is used.
        sha256: hex digest of the bytes received.
    """

    format: str
    width: int
    height: int
    mode: str
    bits: int | None
    orientation: int
    frames: int
    sha256: str

    @property
    def upright(self) -> tuple[int, int]:
        """(width, height) once the orientation is applied."""
        size = (self.width, self.height)
        return size[::-1] if self.orientation >= _SIDEWAYS else size


@dataclass(frozen=True, slots=True, eq=False)
class DecodedImage:
    """A picture ready for a model: upright, opaque, 8-bit RGB.

    Attributes:
        pixels: (H, W, 3) uint8.
        source: what was received.
    """

    pixels: Pixels
    source: ImageSource


@dataclass(frozen=True, slots=True)
class Prediction:
    """One class of one picture: its raw logit and its softmax probability."""

    class_index: int
    label: str
    probability: float
    logit: float


@dataclass(frozen=True, slots=True)
class Classification:
    """The most probable classes of a picture, most probable first."""

    model: str
    image: ImageSource
    predictions: tuple[Prediction, ...]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class FeatureVector:
    """A picture's features.

    Attributes:
        layer: the layer where it was taken.
        at: whether it enters ("input") or leaves ("output") that layer, or is multiplied in its
            forward ("product").
        pool: how a spatial activation became a vector: avg, max or flatten.
        vector: (D,) float32.
    """

    model: str
    image: ImageSource
    layer: str
    at: str
    pool: str
    vector: FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """A picture as a model sees it.

    Attributes:
        pixels: (H, W, 3) uint8 at the model's input size; gray where the model sees gray.
    """

    model: str
    image: ImageSource
    pixels: Pixels


@dataclass(frozen=True, slots=True)
class UnitValue:
    """What is in a layer, a channel or a unit: see `core.explain.objective.LayerObjective`."""

    layer: str
    channel: int | None
    row: int | None
    col: int | None
    value: float
    at: str = "output"


@dataclass(frozen=True, slots=True)
class Faithfulness:
    """Areas under two curves of the target's probability, over the share of pixels (0..1).

    Attributes:
        deletion: the most important pixels go first; low is good.
        insertion: the most important pixels come first; high is good.
    """

    deletion: float
    insertion: float


@dataclass(frozen=True, slots=True, eq=False)
class Explanation:
    """A method's answer for one picture.

    Attributes:
        target: the class, or the part of a layer, that was explained.
        values: (H, W) float32 at the model's input size, raw: not rescaled.
        extras: what only this method has, by the name clients see.
        view: (H, W, 3) uint8, the picture the model saw.
        frame: where that view lies in the picture.
        original: the whole picture's file, to draw on; None if it was not asked for.
        faithfulness: how far the map can be trusted; None if it was not asked for.
    """

    model: str
    method: str
    image: ImageSource
    target: Prediction | UnitValue
    values: FloatArray
    extras: Mapping[str, Any]
    view: Pixels
    frame: Frame
    original: ImageFile | None
    faithfulness: Faithfulness | None = None


@dataclass(frozen=True, slots=True)
class ModelCard:
    """What a client may know of a served model.

    Attributes:
        feature_at: whether the features enter ("input") or leave ("output") the feature layer, or
            are multiplied with weights in its forward ("product").
        runtime: what runs forwards that need no gradient: "openvino" or "torch".
        runtime_note: why the runtime is not the preferred one; empty when it is.
        digest: "sha256:..." of the weights.
        explanations: names of the explanation methods that apply.
        notes: what was found or done when it was loaded, a sentence each.
    """

    name: str
    default: bool
    channels: int
    height: int
    width: int
    num_classes: int
    feature_layer: str
    feature_at: str
    feature_dim: int
    runtime: str
    runtime_note: str
    device: str
    digest: str
    explanations: tuple[str, ...]
    notes: tuple[str, ...] = ()


class BatchFunction(Protocol):
    """What runs on the worker thread. Equal functions share a batch, so it is hashable.

    Attributes:
        max_batch: the most payloads one call takes.
    """

    @property
    def max_batch(self) -> int:
        """The most payloads one call takes."""

    def __call__(self, payloads: Sequence[Any]) -> Sequence[Any]:
        """One result per payload, in order."""
