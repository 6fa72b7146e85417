"""SmoothGrad: the gradient averaged over noisy copies of the picture."""

from dataclasses import dataclass
from typing import Annotated, Final

import torch
from torch import Tensor

from core.explain.gradients import InputGradient, input_gradients, summed
from core.explain.method import Finding, Inquiry, Method, Plan
from core.explain.objective import ClassObjective
from core.explain.saliency import Saliency
from core.explain.steps import Steps, Task
from core.fields import Meaning, as_mapping
from core.models.loaded import LoadedModel


@dataclass(frozen=True, slots=True)
class SmoothGrad(Saliency):
    """Saliency averaged over noisy copies of the picture.

    Attributes:
        samples: copies, 1 to 500.
        noise: standard deviation, as a share of the input's range, 0 to 1.
        seed: of the noise.

    Source: Smilkov et al. 2017, arXiv:1706.03825.
    """

    samples: Annotated[int, Meaning("Noisy copies, {within}.", 25, within=(1, 500))] = 25
    noise: Annotated[
        float, Meaning("Share of the input's range, {within}.", 0.15, within=(0, 1))
    ] = 0.15
    seed: Annotated[int, Meaning("Of the noise.", 0, within=(0, 2**63 - 1))] = 0


@dataclass(frozen=True, slots=True)
class Smoothed:
    """The gradient, averaged over noisy copies."""

    samples: Annotated[int, Meaning("", 25)]
    noise: Annotated[float, Meaning("", 0.15)]
    seed: Annotated[int, Meaning("", 0)]


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
    row = model.spec.preprocess.normalize(view)
    (clean,) = input_gradients(model, row[None], [ClassObjective(target)])
    spread = parameters.noise * float(row.max() - row.min())
    generator = torch.Generator().manual_seed(parameters.seed)

    def noisy(numbers: range) -> Tensor:
        # Drawn one by one: else it would depend on how many rows run at once.
        noise = [torch.randn(row.shape, generator=generator) for _ in numbers]
        return row + spread * torch.stack(noise)

    assert clean.target is not None  # the objective is a class
    weights = torch.full((parameters.samples,), 1 / parameters.samples, dtype=torch.float64)
    mean = yield from summed(model, noisy, weights, clean.target)
    return InputGradient(mean.float().cpu().numpy(), clean.logits, clean.target, clean.value, None)


def _plan(smooth: SmoothGrad, inquiry: Inquiry) -> Plan:
    def finish(found: InputGradient) -> Finding:
        extras = as_mapping(Smoothed(smooth.samples, smooth.noise, smooth.seed))
        return Finding(smooth(found.gradient), found.logits, found.target, extras=extras)

    return Plan(Task(smoothgrad(inquiry.model, inquiry.view, smooth, inquiry.target)), finish)


SMOOTHGRAD: Final = Method(
    name="smoothgrad",
    title="SmoothGrad",
    text="Saliency averaged over noisy copies of the picture.",
    parameters=SmoothGrad,
    plan=_plan,
    applies=lambda network: network.gradients,
    answers=Smoothed,
    schema="SmoothGrad",
    forwards=78,
)
