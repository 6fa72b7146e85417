"""`EngineConfig`: which models to serve, on which device, how much at once, stored where."""

from dataclasses import dataclass, field
from pathlib import Path

import torch

from core.errors import ModelUnusable
from core.images.decode import ImageLimits
from core.models.sources import DEFAULT_MODEL


@dataclass(frozen=True, slots=True)
class EngineConfig:
    """What an engine serves and how much it takes on.

    Attributes:
        models: names to load, at least one.
        default_model: the one used when a request names none; None = the first.
        device: auto, cpu, cuda or cuda:N.
        limits: what pictures are taken.
        queue_size: requests that may be under way at once.
        body_bytes: of all bodies that requests under way may hold together.
        decode_threads: threads that decode pictures; 0 = one per core.
        threads: CPU threads of a forward; 0 = all.
        limit_forwards: the most forwards one occlusion may take.
        models_dir: holds folders of networks of one's own; see `core.models.folder`.
        data_dir: where pictures are stored; None = none are.
        pretrained: False leaves torchvision and timm models at their random initialization.
    """

    models: tuple[str, ...] = (DEFAULT_MODEL,)
    default_model: str | None = None
    device: str = "auto"
    limits: ImageLimits = field(default_factory=ImageLimits)
    queue_size: int = 256
    body_bytes: int = 2**28
    decode_threads: int = 0
    threads: int = 0
    limit_forwards: int = 5000
    models_dir: Path | None = None
    data_dir: Path | None = None
    pretrained: bool = True


def device_named(name: str) -> torch.device:
    """The torch device of that name.

    Raises:
        ModelUnusable: the name is not one, or the device is not there.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ModelUnusable(f"device {name!r} is not one of auto, cpu, cuda, cuda:N") from error
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise ModelUnusable(f"device {name!r}: {torch.cuda.device_count()} CUDA devices are here")
    return device
