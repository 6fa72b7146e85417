"""Owns methods that average gradients over many inputs: SmoothGrad and integrated gradients."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from core.checks import require_choice, require_range
from core.explain.fill import FILLS, Fill, filled
from core.explain.gradients import InputGradient, Saliency, backward, input_gradients
from core.explain.objective import ClassObjective, Steps, require_class
from core.models.loaded import LoadedModel
from core.models.predictions import require_finite
from core.types import FloatArray


@dataclass(frozen=True, slots=True)
class SmoothGrad(Saliency):
    """Saliency averaged over noisy copies of the picture.

    Attributes:
        samples: copies, 1 to 500.
        noise: standard deviation, as a share of the input's range, 0 to 1.
        seed: of the noise.

    Source: Smilkov et al. 2017, arXiv:1706.03825.
    """

    samples: int = 25
    noise: float = 0.15
    seed: int = 0

    def __post_init__(self) -> None:
        require_range("samples", self.samples, 1, 500)
        require_range("noise", self.noise, 0, 1)
        require_range("seed", self.seed, 0, 2**63 - 1)
        Saliency.__post_init__(self)


@dataclass(frozen=True, slots=True)
class IntegratedGradients:
    """Gradients along the straight line from a baseline to the picture.

    Attributes:
        steps: Gauss-Legendre nodes, 1 to 500.
        baseline: the fill that stands for "no picture".

    Source: Sundararajan et al. 2017, arXiv:1703.01365.
    """

    steps: int = 32
    baseline: Fill = "black"

    def __post_init__(self) -> None:
        require_range("steps", self.steps, 1, 500)
        require_choice("baseline", self.baseline, FILLS)


@dataclass(frozen=True, slots=True, eq=False)
class Integral:
    """What integrated gradients give.

    Attributes:
        values: (H, W) float32, signed, summed over channels; they add up to `difference`.
        logits: (K,) float32, of the picture.
        target: the class explained.
        difference: the target's logit for the picture minus that for the baseline.
        completeness_error: |sum of all values - difference|, in units of the logit.
    """

    values: FloatArray
    logits: FloatArray
    target: int
    difference: float
    completeness_error: float


def smoothgrad(
    model: LoadedModel, view: Tensor, parameters: SmoothGrad, target: int | None = None
) -> Steps[InputGradient]:
    """The mean gradient over noisy copies, and the clean picture's logits.

    Args:
        model: whose torch module is run.
        view: (C, H, W) uint8, as `model.spec.preprocess.view` gives.
        parameters: how many copies, how noisy.
        target: a class; None = the clean picture's top prediction.
    """
    row = model.spec.preprocess.normalise(view)
    (clean,) = input_gradients(model, row[None], [ClassObjective(target)])
    spread = parameters.noise * float(row.max() - row.min())
    generator = torch.Generator().manual_seed(parameters.seed)
    total = torch.zeros(row.shape, dtype=torch.float64, device=model.device)
    for start in range(0, parameters.samples, model.rows_at_once):
        yield start / parameters.samples
        count = min(model.rows_at_once, parameters.samples - start)
        # Drawn one by one: else it would depend on how many rows run at once.
        noise = torch.stack([torch.randn(row.shape, generator=generator) for _ in range(count)])
        objectives = [ClassObjective(clean.target)] * count
        found = backward(model, row + spread * noise, objectives)
        total += found.gradients.sum(0, dtype=torch.float64)
    mean = (total / parameters.samples).float().cpu().numpy()
    return InputGradient(mean, clean.logits, clean.target, clean.value, None)


def integrated_gradients(
    model: LoadedModel, view: Tensor, parameters: IntegratedGradients, target: int | None = None
) -> Steps[Integral]:
    """The path integral, by Gauss-Legendre quadrature.

    Args:
        model: whose torch module is run.
        view: (C, H, W) uint8, as `model.spec.preprocess.view` gives.
        parameters: how many nodes, and from where.
        target: a class; None = the picture's top prediction.
    """
    normalise = model.spec.preprocess.normalise
    row, start_row = normalise(view), normalise(filled(view, parameters.baseline))
    logits = model.forward(torch.stack((row, start_row))).logits
    require_finite(logits)
    target = int(logits[0].argmax()) if target is None else target
    require_class(target, logits.shape[1])
    nodes, weights = np.polynomial.legendre.leggauss(parameters.steps)
    along = torch.from_numpy((nodes + 1) / 2).float().to(model.device)  # from -1..1 to 0..1
    weighted = torch.from_numpy(weights / 2).to(model.device)
    there, way = start_row.to(model.device), (row - start_row).to(model.device)
    total = torch.zeros(row.shape, dtype=torch.float64, device=model.device)
    for start in range(0, parameters.steps, model.rows_at_once):
        yield start / parameters.steps
        piece = slice(start, start + model.rows_at_once)
        points = there + along[piece].view(-1, 1, 1, 1) * way
        found = backward(model, points, [ClassObjective(target)] * len(points))
        total += torch.einsum("b,bchw->chw", weighted[piece], found.gradients.double())
    values = (total * way).sum(0).cpu().numpy()
    difference = float(logits[0, target]) - float(logits[1, target])
    return Integral(
        values.astype(np.float32),
        logits[0],
        target,
        difference,
        abs(float(values.sum()) - difference),
    )
