"""The list of explanation methods: a new one is one file beside this, and one line here."""

from collections.abc import Mapping
from typing import Any, Final

from core.errors import InvalidValue
from core.explain.cam import GRAD_CAM
from core.explain.guided import GUIDED_BACKPROP
from core.explain.integrated import INTEGRATED_GRADIENTS
from core.explain.method import Inquiry, Method, Plan, Possible
from core.explain.objective import LayerObjective
from core.explain.occlusion import OCCLUSION
from core.explain.rise import RISE
from core.explain.saliency import SALIENCY
from core.explain.smoothgrad import SMOOTHGRAD
from core.models.loaded import LoadedModel

_ROWS: Final[tuple[Method[Any], ...]] = (
    OCCLUSION,
    SALIENCY,
    GUIDED_BACKPROP,
    SMOOTHGRAD,
    INTEGRATED_GRADIENTS,
    GRAD_CAM,
    RISE,
)

METHODS: Final[Mapping[str, Method[Any]]] = {row.name: row for row in _ROWS}
"""By the name clients know them by, in the order in which they are listed."""

COMPARED: Final = tuple(
    row.name for row in sorted(_ROWS, key=lambda row: row.compared) if row.compared
)
"""The names of those compared where none are named."""


def method_of(parameters: object) -> Method[Any]:
    """The method that has parameters of this kind."""
    return next(row for row in _ROWS if row.parameters is type(parameters))


def prepare(model: LoadedModel) -> tuple[str, ...]:
    """Make ready what explanations need; the names of the methods that apply to the network."""
    network = Possible(model)
    return tuple(row.name for row in _ROWS if row.applies(network))


def plan(parameters: object, inquiry: Inquiry) -> Plan:
    """How to run a method on a picture.

    Args:
        parameters: of one of the methods.
        inquiry: what is explained.

    Raises:
        CostTooHigh: it would take too many forwards; the message names the estimate.
        InvalidValue: a parameter does not fit the picture.
        MethodUnsupported: the method does not apply to this network.
    """
    method = method_of(parameters)
    if isinstance(inquiry.objective, LayerObjective) and not method.layers:
        able = ", ".join(row.name for row in _ROWS if row.layers)
        raise InvalidValue("layer", inquiry.objective.layer, f"only with {able}")
    return method.plan(parameters, inquiry)
