"""Owns what only shows when a network runs: chance, dependence on the batch, branches on values."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from core.errors import ModelUnusable, told
from core.models.preprocess import Preprocessing
from core.models.runtimes.runtime import Alone, Outputs, Runtime, relative_difference

_log = logging.getLogger(__name__)
_SEED: Final = 0
_FAINT: Final = 0.02  # of the whole range: five gray levels
# A GPU takes other kernels for other batches, and multiplies with 10 bits (TF32): 1e-3 is no news.
_SAME: Final = 1e-2
_aten = torch.ops.aten
# What hands a number in a tensor to Python: `if x.mean() > 0.5`, `.item()`.
_READS: Final = {_aten._local_scalar_dense, _aten.is_nonzero, _aten.equal}


@dataclass(frozen=True, slots=True)
class Behavior:
    """How a network may be run.

    Attributes:
        alone: whether each picture must be run by itself.
        traceable: whether every picture takes the same way through the network.
        notes: what of it an operator should know, a sentence each.
    """

    alone: bool
    traceable: bool
    notes: tuple[str, ...]


def probes(preprocess: Preprocessing) -> Tensor:
    """Pictures unlike each other, as the network sees them: (6, C, H, W) float32.

    Black, white, the mean color (all zeros, for the network), faint noise near black, noise of the
    whole range, and a slope with a disc.
    """
    channels, height, width = preprocess.channels, preprocess.height, preprocess.width
    generator = torch.Generator().manual_seed(_SEED)
    noise = torch.rand(channels, height, width, generator=generator)
    mean = torch.tensor(preprocess.mean)[:, None, None].expand_as(noise)
    down = torch.linspace(0, 1, height)[:, None].expand(height, width)
    across = torch.linspace(-1, 1, width)[None]
    disc = (2 * down - 1) ** 2 + across**2 < 0.3
    scene = torch.where(disc, 1 - down, down).expand_as(noise)
    rows = (torch.zeros_like(noise), torch.ones_like(noise), mean, _FAINT * noise, noise, scene)
    return preprocess.normalise(255 * torch.stack(rows))


def observe(runtime: Runtime, rows: Tensor, why_alone: str = "") -> Behavior:
    """Run pictures twice together, two by two, and one by one.

    Args:
        runtime: runs the torch module, in eval mode.
        rows: (B, C, H, W) float32 on the CPU, as `probes` gives.
        why_alone: what is already known to need each picture run by itself, a sentence.

    Raises:
        ModelUnusable: the same picture gets different answers.
    """
    if why_alone:
        runtime = Alone(runtime)
    together = runtime(rows)
    again, reads = _watched(runtime, rows)
    if (found := relative_difference(again, together)) > _SAME:
        raise ModelUnusable(
            f"the same pictures get answers that differ by {found:.1e}: something random stays on "
            "in eval mode, such as F.dropout(x) without training=self.training"
        )
    apart, reads_alone = _watched(Alone(runtime), rows)
    reads = reads or reads_alone
    pair = Outputs(*(each[:2] for each in together))
    mixes = max(relative_difference(apart, together), relative_difference(runtime(rows[:2]), pair))
    notes = [why_alone] if why_alone else []
    if mixes > _SAME:
        notes.append(
            f"an answer differs by {mixes:.1e} with the other pictures of its batch, as batch "
            "statistics make it: each picture is run alone"
        )
    if reads:
        notes.append(
            "the way through the network depends on values in it (an `if` on a tensor, .item()): "
            "torch runs each picture alone"
        )
    if not np.isfinite(apart.logits).all():
        notes.append("it answers NaN or infinity for a black, white, flat or noisy picture")
    if apart.logits.shape[1] == 1:
        notes.append("it puts out one number, whose probability is always 1: give it two labels")
    alone = bool(why_alone) or mixes > _SAME or reads
    return Behavior(alone, not reads, tuple(notes))


def _watched(runtime: Runtime, rows: Tensor) -> tuple[Outputs, bool]:
    """The answers, and whether Python saw numbers in the network's tensors on the way.

    That is False where it cannot be watched.
    """
    try:
        with _Reads() as reads:
            return runtime(rows), reads.found
    except Exception as error:  # the network's own, which runs unwatched
        _log.info("cannot be watched operator by operator: %s", told(error))
        return runtime(rows), False


class _Reads(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Notices whether Python is handed a number out of a tensor of floats."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.found: bool = False

    def __torch_dispatch__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        if func.overloadpacket in _READS:
            self.found = True
        return func(*args, **(kwargs or {}))
