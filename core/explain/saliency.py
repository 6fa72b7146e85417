"""Saliency: the gradient of a class's logit, reduced to one value per pixel."""

from dataclasses import dataclass
from typing import Annotated, Final, Literal

import numpy as np

from core.errors import InvalidValue
from core.explain.gradients import Gradients, InputGradient
from core.explain.method import Finding, Inquiry, Method, Plan
from core.fields import Meaning, check_fields
from core.types import FloatArray

Reduce = Literal["max", "l2", "sum"]


@dataclass(frozen=True, slots=True)
class Saliency:
    """How a gradient over color channels becomes one value per pixel.

    Attributes:
        reduce: largest magnitude, Euclidean length, or sum over the channels.
        signed: keep the sign; otherwise magnitudes.

    Raises:
        InvalidValue: no such reduction, or a signed length.
    """

    reduce: Annotated[
        Reduce, Meaning("Over color channels: largest magnitude, length, sum.", "max")
    ] = "max"
    signed: Annotated[bool, Meaning("Keep the sign.", False)] = False

    def __post_init__(self) -> None:
        check_fields(self)
        if self.signed and self.reduce == "l2":
            raise InvalidValue("reduce", self.reduce, "max or sum, where signed=true")

    def __call__(self, gradient: FloatArray) -> FloatArray:
        """(C, H, W) -> (H, W).

        Source: Simonyan et al. 2014, arXiv:1312.6034, section 3.1.
        """
        magnitude = np.abs(gradient)
        found: FloatArray
        if self.reduce == "l2":
            found = np.sqrt(np.square(gradient).sum(0))
        elif self.reduce == "sum":
            found = (gradient if self.signed else magnitude).sum(0)
        elif self.signed:
            found = np.take_along_axis(gradient, magnitude.argmax(0)[None], 0)[0]
        else:
            found = magnitude.max(0)
        return found


def _plan(saliency: Saliency, inquiry: Inquiry) -> Plan:
    def finish(found: InputGradient) -> Finding:
        return Finding(saliency(found.gradient), found.logits, found.target)

    return Plan((Gradients(inquiry.model), (inquiry.row, inquiry.objective)), finish)


SALIENCY: Final = Method(
    name="saliency",
    title="saliency",
    text="The gradient of the target's logit with respect to the normalized input.",
    parameters=Saliency,
    plan=_plan,
    applies=lambda network: network.gradients,
    compared=1,
)
