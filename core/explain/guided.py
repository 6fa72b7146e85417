"""Guided backpropagation: saliency whose ReLUs pass back positive gradients only."""

from dataclasses import dataclass
from typing import Annotated, Final

from core.explain.gradients import Gradients, InputGradient
from core.explain.method import Finding, Inquiry, Method, Plan
from core.explain.relu import Coverage, Rule
from core.explain.saliency import Saliency
from core.fields import Meaning, as_mapping


@dataclass(frozen=True, slots=True)
class GuidedBackprop(Saliency):
    """Saliency whose backward pass is guided; see `core.explain.relu.GuidedRelu`.

    Attributes:
        rule: "guided" or "clamp-grad".
    """

    rule: Annotated[
        Rule,
        Meaning("`guided` for the ReLU family; `clamp-grad` also for GELU, SiLU ...", "guided"),
    ] = "guided"


@dataclass(frozen=True, slots=True)
class Guided:
    """The gradient, with the backward pass of every ReLU guided."""

    coverage: Coverage


def _plan(guided: GuidedBackprop, inquiry: Inquiry) -> Plan:
    def finish(found: InputGradient) -> Finding:
        assert found.coverage is not None  # it has a rule
        extras = as_mapping(Guided(found.coverage))
        values = guided(found.gradient)
        return Finding(values, found.logits, found.target, found.value, extras)

    work = Gradients(inquiry.model, guided.rule), (inquiry.row, inquiry.objective)
    return Plan(work, finish)


GUIDED_BACKPROP: Final = Method(
    name="guided-backprop",
    title="guided backpropagation",
    text="""Saliency that lets only positive gradients pass back through each ReLU.

With `layer` (and `channel`, `row`, `col`) it explains what that part of the network puts out
instead of a class. `coverage` says how many activations were guided.""",
    parameters=GuidedBackprop,
    plan=_plan,
    applies=lambda network: network.guided,
    answers=Guided,
    schema="Guided",
    layers=True,
)
