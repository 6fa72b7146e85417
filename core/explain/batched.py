"""Owns what the worker runs for explanations: many pictures in one backward pass, and tasks."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from core.explain.cam import ClassActivation, grad_cam
from core.explain.gradients import InputGradient, input_gradients
from core.explain.objective import Objective, Task
from core.explain.relu import Rule
from core.models.loaded import LoadedModel
from core.models.structure.anatomy import Ports


@dataclass(frozen=True, slots=True)
class Gradients:
    """Gradients of pictures with respect to their own objectives."""

    model: LoadedModel
    rule: Rule | None = None

    @property
    def max_batch(self) -> int:
        """See `BatchFunction`."""
        return self.model.rows_at_once

    def __call__(self, payloads: Sequence[tuple[Tensor, Objective]]) -> Sequence[InputGradient]:
        """(row, objective) pairs in, one gradient each."""
        rows, objectives = zip(*payloads, strict=True)
        return input_gradients(self.model, torch.stack(rows), objectives, self.rule)


@dataclass(frozen=True, slots=True)
class GradCams:
    """Class activation maps of pictures for their own targets, of the same feature maps."""

    model: LoadedModel
    ports: Ports

    @property
    def max_batch(self) -> int:
        """See `BatchFunction`."""
        return self.model.rows_at_once

    def __call__(self, payloads: Sequence[tuple[Tensor, int | None]]) -> Sequence[ClassActivation]:
        """(row, target) pairs in, one map each."""
        rows, targets = zip(*payloads, strict=True)
        return grad_cam(self.model, torch.stack(rows), targets, self.ports)


@dataclass(frozen=True, slots=True)
class Advance:
    """One piece of a task; the answer is whether it was the last."""

    max_batch: int = 1

    def __call__(self, payloads: Sequence[Task[Any]]) -> Sequence[bool]:
        """One task in, one answer out."""
        return [task.advance() for task in payloads]
