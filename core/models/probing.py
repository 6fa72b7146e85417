"""Run a network on unlike pictures: is it deterministic, does a row depend on its batch?"""

import logging
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from torch import Tensor

from core.errors import ModelUnusable, summary
from core.models.preprocess import Preprocessing
from core.models.reads import Reads
from core.models.runtimes.runtime import Alone, Outputs, Runtime, relative_difference

_log = logging.getLogger(__name__)
_SEED: Final = 0
_MAX_LISTED: Final = 3
_FAINT: Final = 0.02  # of the whole range: five gray levels
_DARKEST: Final = 3.0  # of the last channel
# A GPU takes other kernels for other batches, and multiplies with 10 bits (TF32): 1e-3 is no news.
_SAME: Final = 1e-2
# In as large a batch it takes the same kernels: what differs then, the others have made.
_SAME_AMONG_OTHERS: Final = 1e-5
ONE_AMONG_OTHERS: Final = ([4, 5, 0], [4, 0, 1])
"""Which of the made-up pictures: the first is the same, among others."""


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
    whole range, and a slope with a disc. The last two are colored, the one toward its last channel
    and the other toward its first: by a power for each channel, so that the range stays whole.
    """
    channels, height, width = preprocess.channels, preprocess.height, preprocess.width
    generator = torch.Generator().manual_seed(_SEED)
    noise = torch.rand(channels, height, width, generator=generator)
    mean = torch.tensor(preprocess.mean)[:, None, None].expand_as(noise)
    down = torch.linspace(0, 1, height)[:, None].expand(height, width)
    across = torch.linspace(-1, 1, width)[None]
    disc = (2 * down - 1) ** 2 + across**2 < 0.3
    pattern = torch.where(disc, 1 - down, down).expand_as(noise)
    powers = torch.linspace(1, _DARKEST, channels)[:, None, None]
    last, first = noise ** powers.flip(0), pattern**powers
    rows = (torch.zeros_like(noise), torch.ones_like(noise), mean, _FAINT * noise, last, first)
    return preprocess.normalize(255 * torch.stack(rows))


def observe(runtime: Runtime, rows: Tensor, why_alone: str = "") -> Behavior:
    """Run pictures twice together, two by two, one by one, and one of them among others.

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
    reads = tuple(dict.fromkeys(reads + reads_alone))
    pair = Outputs(*(each[:2] for each in together))
    mixes = max(relative_difference(apart, together), relative_difference(runtime(rows[:2]), pair))
    among = [Outputs(*(e[:1] for e in runtime(rows[each]))) for each in ONE_AMONG_OTHERS]
    others = relative_difference(*among)
    mixed = mixes > _SAME or others > _SAME_AMONG_OTHERS
    mixes = max(mixes, others)
    notes = [why_alone] if why_alone else []
    if mixed:
        notes.append(
            f"an answer differs by {mixes:.1e} with the other pictures of its batch, as batch "
            "statistics make it: each picture is run alone"
        )
    if reads:
        notes.append(
            "the way through the network depends on values in it (an `if` on a tensor, .item(), "
            f".tolist()), at {' and '.join(reads[:_MAX_LISTED])}: torch runs each picture alone"
        )
    past = np.isnan(apart.features).all(1) & np.isfinite(apart.logits).all(1)
    if without := int(past.sum()):
        notes.append(
            f"{without} of {len(rows)} made-up pictures take a way past the layer of its features: "
            "such a picture has no feature vector"
        )
    if not np.isfinite(apart.logits).all():
        notes.append("it answers NaN or infinity for a black, white, flat or noisy picture")
    if apart.logits.shape[1] == 1:
        notes.append("it puts out one number, whose probability is always 1: give it two labels")
    alone = bool(why_alone or reads) or mixed
    return Behavior(alone, not reads, tuple(notes))


def _watched(runtime: Runtime, rows: Tensor) -> tuple[Outputs, tuple[str, ...]]:
    """The answers, and where Python saw values in the network's tensors on the way.

    There is none where it cannot be watched.
    """
    try:
        with Reads(rows) as reads:
            return runtime(rows), reads.locations
    except Exception as error:  # the network's own, which runs unwatched
        _log.info("cannot be watched operator by operator: %s", summary(error))
        return runtime(rows), ()
