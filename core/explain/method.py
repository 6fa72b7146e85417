"""`Method`: all there is to know of an explanation method, as a row of the list."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor

from core.errors import ANY_FAILURE, CostTooHigh, MethodUnsupported, summary
from core.explain.gradients import input_gradients
from core.explain.objective import ClassObjective, Objective
from core.explain.relu import Rule
from core.explain.steps import Work
from core.models.loaded import LoadedModel
from core.types import FloatArray

_log = logging.getLogger(__name__)

P = TypeVar("P")


@dataclass(frozen=True, slots=True, eq=False)
class Finding:
    """What a method found, in one form for all of them.

    Attributes:
        values: (H, W) float32, raw.
        logits: (K,) float32, of the whole picture.
        target: the class explained; None where a layer was.
        value: what the layer put out, where one was explained.
        extras: what only this method has, by the name clients see.
    """

    values: FloatArray
    logits: FloatArray
    target: int | None
    value: float | None = None
    extras: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """Work for the worker: one payload of a batch, or a task in pieces.

    Attributes:
        work: what it runs.
        finish: makes a finding of the work's result.
    """

    work: Work
    finish: Callable[[Any], Finding]


@dataclass(frozen=True, slots=True, eq=False)
class Inquiry:
    """What is explained.

    Attributes:
        model: the network.
        view: (C, H, W) uint8, as `model.spec.preprocess.view` gives.
        objective: a class, or, where the method can, a part of a layer.
        limit_forwards: the most forwards it may take.
    """

    model: LoadedModel
    view: Tensor
    objective: Objective
    limit_forwards: int

    @property
    def target(self) -> int | None:
        """The class; None = the picture's top prediction."""
        assert isinstance(self.objective, ClassObjective)  # a row says whether layers can be
        return self.objective.target

    @property
    def row(self) -> Tensor:
        """(C, H, W) float32, the view on the model's own scale."""
        return self.model.spec.preprocess.normalize(self.view)

    def afford(self, forwards: int, name: str, value: str, why: str = "") -> None:
        """Raise CostTooHigh if so many forwards are more than may be.

        Args:
            forwards: what it would take.
            name: the parameter that makes it so many.
            value: of that.
            why: what takes so many; left out: the parameter.
        """
        if forwards > self.limit_forwards:
            raise CostTooHigh(
                name,
                value,
                f"at most {self.limit_forwards} forwards a request; {why or f'{name}={value}'} "
                f"would take {forwards}",
            )


class Possible:
    """What a network allows, each found out once."""

    def __init__(self, model: LoadedModel) -> None:
        self.model = model

    @cached_property
    def gradients(self) -> bool:
        """Whether it can be differentiated with respect to the picture."""
        return self._differentiable(None)

    @cached_property
    def guided(self) -> bool:
        """Whether enough of its activations can be guided on the way back."""
        return self.gradients and self._differentiable("guided")

    def _differentiable(self, rule: Rule | None) -> bool:
        row = torch.zeros(1, *self.model.spec.input_shape)
        try:
            input_gradients(self.model, row, [ClassObjective()], rule)
        except MethodUnsupported:
            return False
        except ANY_FAILURE as error:  # the network's own code, which need not run with gradients
            _log.info("%s cannot be differentiated: %s", self.model.spec.name, summary(error))
            return False
        return True


@dataclass(frozen=True, slots=True, eq=False)
class Method(Generic[P]):
    """A row of the list of methods.

    Attributes:
        name: as in the address of its endpoint.
        title: as in a sentence.
        text: what it does, in Markdown.
        parameters: a frozen dataclass of described fields, each with a default.
        plan: how to run it.
        applies: whether it does to a network; makes ready what the first request would wait for.
        answers: a dataclass of described fields: what only this method answers; its docstring says
            what the map is.
        schema: how the API's document calls that.
        forwards: about how many it takes with its defaults, a backward pass for two.
        layers: whether it can explain a part of a layer instead of a class.
        compared: where it stands among those compared if none are named; 0 = not among them.
    """

    name: str
    title: str
    text: str
    parameters: type[P]
    plan: Callable[[P, Inquiry], Plan]
    applies: Callable[[Possible], bool]
    answers: type | None = None
    schema: str = ""
    forwards: int = 3
    layers: bool = False
    compared: int = 0
