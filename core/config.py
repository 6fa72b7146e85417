"""`EngineConfig`: which models to serve, on which device, how much at once, stored where."""

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import torch

from core.errors import ModelUnusable
from core.images.decode import ImageLimits
from core.models.sources import DEFAULT_MODEL

_MOST_USUAL_BYTES: Final = 2**30


@dataclass(frozen=True, slots=True)
class EngineConfig:
    """What an engine serves and how much it takes on.

    Attributes:
        models: names to load, at least one.
        default_model: the one used when a request names none; None = the first.
        device: auto, cpu, cuda or cuda:N.
        limits: what pictures are taken.
        queue_size: requests that may be under way at once.
        max_wait_s: how long those may hold up one that is let in.
        decode_threads: threads that decode large pictures; 0 = one per core.
        memory_budget: bytes that what is sent may take at once beside the models, as it comes and
            as pixels; 0 = a quarter of the machine's memory, at most a gibibyte.
        threads: CPU threads of a forward; 0 = all.
        limit_forwards: the most forwards one explanation may take.
        models_dir: holds folders of networks of one's own; see `core.models.folder`.
        data_dir: where pictures are stored; None = none are.
        sweep_bytes_s: of what is stored, compared with checksums in a second; 0 = none.
        pretrained: False leaves torchvision and timm models at their random initialization.
    """

    models: tuple[str, ...] = (DEFAULT_MODEL,)
    default_model: str | None = None
    device: str = "auto"
    limits: ImageLimits = field(default_factory=ImageLimits)
    queue_size: int = 256
    max_wait_s: float = 2.0
    decode_threads: int = 0
    memory_budget: int = 0
    threads: int = 0
    limit_forwards: int = 5000
    models_dir: Path | None = None
    data_dir: Path | None = None
    sweep_bytes_s: int = 2**20
    pretrained: bool = True

    @property
    def decode_bytes(self) -> int:
        """What decoding may take of the memory budget."""
        return (self.memory_budget or usual_memory_budget()) // 2

    @property
    def body_bytes(self) -> int:
        """What bodies may take of the memory budget; the largest one always fits."""
        return max((self.memory_budget or usual_memory_budget()) // 4, 2 * self.limits.max_bytes)


def usual_memory_budget(cgroups: Path = Path("/sys/fs/cgroup")) -> int:
    """A quarter of the memory that this process may have, at most a gibibyte.

    Args:
        cgroups: where Linux says what a container may have, by the names of version 2 and 1.
    """
    allowed = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    for name in ("memory.max", "memory/memory.limit_in_bytes"):
        try:
            allowed = min(allowed, int((cgroups / name).read_text()))
        except (OSError, ValueError):  # there is none, or it is "max"
            continue
    return min(allowed // 4, _MOST_USUAL_BYTES)


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
