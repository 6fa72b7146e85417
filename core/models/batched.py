"""Batch functions of a model: many pictures in, one forward, a row for each ticket."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from core.models.loaded import LoadedModel
from core.models.runtimes.runtime import Outputs
from core.models.structure.axes import Pool
from core.models.structure.ports import Port
from core.types import FloatArray


@dataclass(frozen=True, slots=True)
class Forward:
    """Logits (K,) and features (D,) of each picture."""

    model: LoadedModel

    @property
    def max_batch(self) -> int:
        """As many rows as the runtime gains from."""
        return self.model.runtime.max_batch

    def __call__(self, payloads: Sequence[Tensor]) -> Sequence[Outputs]:
        """(C, H, W) tensors in, one row of logits and features each."""
        outputs = self.model.runtime(torch.stack(tuple(payloads)))
        return [Outputs(*row) for row in zip(*outputs, strict=True)]


@dataclass(frozen=True, slots=True)
class LayerVectors:
    """What enters or leaves one layer, pooled (D,), for each picture."""

    model: LoadedModel
    port: Port
    pool: Pool

    @property
    def max_batch(self) -> int:
        """As many rows as a forward takes."""
        return self.model.runtime.max_batch

    def __call__(self, payloads: Sequence[Tensor]) -> Sequence[FloatArray]:
        """(C, H, W) tensors in, one vector each."""
        return list(self.model.layer_vectors(torch.stack(tuple(payloads)), self.port, self.pool))
