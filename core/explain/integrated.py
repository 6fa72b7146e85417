"""Integrated gradients: gradients along the straight line from a baseline to the picture."""

from dataclasses import dataclass
from typing import Annotated, Final

import numpy as np
import torch
from torch import Tensor

from core.errors import InvalidValue
from core.explain.fill import Fill, filled
from core.explain.gradients import summed
from core.explain.method import Finding, Inquiry, Method, Plan
from core.explain.objective import require_class
from core.explain.steps import Steps, Task
from core.fields import Meaning, as_mapping, check_fields
from core.models.loaded import LoadedModel
from core.models.predictions import require_finite
from core.types import FloatArray


@dataclass(frozen=True, slots=True)
class IntegratedGradients:
    """Gradients along the straight line from a baseline to the picture.

    Attributes:
        steps: Gauss-Legendre nodes, 1 to 500.
        baseline: the fill that stands for "no picture".

    Source: Sundararajan et al. 2017, arXiv:1703.01365.
    """

    steps: Annotated[int, Meaning("Gauss-Legendre nodes, {within}.", 32, within=(1, 500))] = 32
    baseline: Annotated[Fill, Meaning("What stands for no picture.", "black")] = "black"

    def __post_init__(self) -> None:
        check_fields(self)


@dataclass(frozen=True, slots=True)
class Integrated:
    """The values of the map add up to `logit_difference`, up to `completeness_error`."""

    completeness_error: Annotated[
        float, Meaning("|sum of the map - logit_difference|, in units of the logit.", 0.04)
    ]
    logit_difference: Annotated[
        float, Meaning("The target's logit for the picture minus that for the baseline.", 8.1)
    ]


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


def integrated_gradients(
    model: LoadedModel, view: Tensor, parameters: IntegratedGradients, target: int | None = None
) -> Steps[Integral]:
    """The path integral, by Gauss-Legendre quadrature.

    Args:
        model: whose torch module is run.
        view: (C, H, W) uint8, as `model.spec.preprocess.view` gives.
        parameters: how many nodes, and from where.
        target: a class; None = the picture's top prediction.

    Raises:
        InvalidValue: the network's answer for the baseline is NaN or infinite.
        OutputNotFinite: its answer for the picture is.
        TargetOutOfRange: the model has no such class.
    """
    normalize = model.spec.preprocess.normalize
    row, start_row = normalize(view), normalize(filled(view, parameters.baseline))
    logits = model.runtime(torch.stack((row, start_row))).logits
    require_finite(logits[0])
    if not np.isfinite(logits[1]).all():
        allowed = "one for which the network's answer is finite: blur or noise, perhaps"
        raise InvalidValue("baseline", parameters.baseline, allowed)
    target = int(logits[0].argmax()) if target is None else target
    require_class(target, logits.shape[1])
    nodes, weights = np.polynomial.legendre.leggauss(parameters.steps)
    along = torch.from_numpy((nodes + 1) / 2).float().to(model.device)  # from -1..1 to 0..1
    there, way = start_row.to(model.device), (row - start_row).to(model.device)

    def between(numbers: range) -> Tensor:
        return there + along[numbers.start : numbers.stop].view(-1, 1, 1, 1) * way

    total = yield from summed(model, between, torch.from_numpy(weights / 2), target)
    values = (total * way).sum(0).cpu().numpy()
    difference = float(logits[0, target]) - float(logits[1, target])
    return Integral(
        values.astype(np.float32),
        logits[0],
        target,
        difference,
        abs(float(values.sum()) - difference),
    )


def _plan(integrated: IntegratedGradients, inquiry: Inquiry) -> Plan:
    def finish(found: Integral) -> Finding:
        extras = as_mapping(Integrated(found.completeness_error, found.difference))
        return Finding(found.values, found.logits, found.target, extras=extras)

    steps = integrated_gradients(inquiry.model, inquiry.view, integrated, inquiry.target)
    return Plan(Task(steps), finish)


INTEGRATED_GRADIENTS: Final = Method(
    name="integrated-gradients",
    title="integrated gradients",
    text="Gradients along the line from a baseline to the picture: the map adds up to the logit.",
    parameters=IntegratedGradients,
    plan=_plan,
    applies=lambda network: network.gradients,
    answers=Integrated,
    schema="Integrated",
    forwards=98,
    compared=2,
)
