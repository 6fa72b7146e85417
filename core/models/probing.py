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
from core.models.runtimes import Alone, Runtime, relative_difference

_log = logging.getLogger(__name__)
_SEED: Final = 0
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
    """Pictures unlike each other, as the network sees them: (4, C, H, W) float32.

    Black, white, noise, and a slope with a disc.
    """
    channels, height, width = preprocess.channels, preprocess.height, preprocess.width
    generator = torch.Generator().manual_seed(_SEED)
    noise = torch.rand(channels, height, width, generator=generator)
    down = torch.linspace(0, 1, height)[:, None].expand(height, width)
    across = torch.linspace(-1, 1, width)[None]
    disc = (2 * down - 1) ** 2 + across**2 < 0.3
    scene = torch.where(disc, 1 - down, down).expand(channels, height, width)
    rows = (torch.zeros_like(noise), torch.ones_like(noise), noise, scene)
    return preprocess.normalise(255 * torch.stack(rows))


def observe(runtime: Runtime, rows: Tensor) -> Behavior:
    """Run pictures twice, together and one by one.

    Args:
        runtime: runs the torch module, in eval mode.
        rows: (B, C, H, W) float32 on the CPU, as `probes` gives.

    Raises:
        ModelUnusable: the same picture gets different answers.
    """
    together, again = runtime(rows), runtime(rows)
    reads = _reads(runtime, rows)
    if (found := relative_difference(again, together)) > _SAME:
        raise ModelUnusable(
            f"the same pictures get answers that differ by {found:.1e}: something random stays on "
            "in eval mode, such as F.dropout(x) without training=self.training"
        )
    alone = Alone(runtime)(rows)
    notes = []
    mixes = relative_difference(alone, together)
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
    if not np.isfinite(alone.logits).all():
        notes.append("it answers NaN or infinity for a black, white or noisy picture")
    elif _normalised(alone.logits):
        notes.append(
            "its outputs look like probabilities already, and `probability` is their softmax, too "
            'even: say [output] activation = "softmax", or leave the last softmax out'
        )
    if alone.logits.shape[1] == 1:
        notes.append("it puts out one number, whose probability is always 1: give it two labels")
    return Behavior(mixes > _SAME or reads, not reads, tuple(notes))


def _reads(runtime: Runtime, rows: Tensor) -> bool:
    """Whether Python sees numbers in the network's tensors; False where it cannot be watched."""
    try:
        with _Reads() as reads:
            runtime(rows[:1])
    except Exception as error:  # the network's own, which runs unwatched
        _log.info("cannot be watched operator by operator: %s", told(error))
        return False
    return bool(reads.found)


def _normalised(logits: np.ndarray[Any, Any]) -> bool:
    sums = np.asarray(logits.sum(axis=1))
    return logits.shape[1] > 1 and bool((logits >= 0).all() and (np.abs(sums - 1) < 1e-3).all())


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
