"""Owns guided ReLU: what the backward pass of an activation lets through; touches no module."""

from typing import Any, Literal, get_args

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from core.errors import MethodUnsupported

Rule = Literal["guided", "clamp-grad"]
RULES: tuple[str, ...] = get_args(Rule)

_aten = torch.ops.aten
_RELUS = frozenset({_aten.threshold_backward, _aten.hardtanh_backward, _aten.leaky_relu_backward})
_SMOOTH = frozenset(
    {
        _aten.gelu_backward,
        _aten.silu_backward,
        _aten.hardswish_backward,
        _aten.elu_backward,
        _aten.mish_backward,
        _aten.softplus_backward,
    }
)


class GuidedRelu(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Around `torch.autograd.grad` alone: activations pass back positive gradients only.

    The forward runs untouched and no module is changed or hooked: in the backward pass every
    nn.ReLU, ReLU6, in-place, reused or functional ReLU is the same operation, and it is caught
    there. The mode belongs to the thread that entered it.

    Args:
        rule: "guided" clamps what enters the backward pass of the ReLU family; "clamp-grad" also
            that of smooth activations (GELU, SiLU ...), for which no paper claims anything.

    Attributes:
        guided: how many activations were guided: a report of coverage.

    Source: Springenberg et al. 2015, arXiv:1412.6806, section 3.4.
    """

    def __init__(self, rule: Rule = "guided") -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.rule = rule
        self.guided = 0
        self._operations = _RELUS if rule == "guided" else _RELUS | _SMOOTH

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func.overloadpacket in self._operations:
            self.guided += 1
            args = (args[0].clamp(min=0), *args[1:])
        return func(*args, **(kwargs or {}))

    def require_coverage(self) -> None:
        """Raise MethodUnsupported if no activation was guided: the map would be the gradient."""
        if self.guided == 0:
            raise MethodUnsupported(
                "guided backpropagation found no ReLU to guide in this network"
                + (
                    "; rule=clamp-grad guides GELU, SiLU and the like"
                    if self.rule == "guided"
                    else ""
                )
            )
