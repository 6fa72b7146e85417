"""Owns guided ReLU: what the backward pass of an activation lets through; touches no module."""

from collections.abc import Mapping
from typing import Any, Literal, get_args

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from core.errors import MethodUnsupported

Rule = Literal["guided", "clamp-grad"]
RULES: tuple[str, ...] = get_args(Rule)

_aten = torch.ops.aten
# Operation of the backward pass -> names of the autograd nodes that run it. Gates (sigmoid,
# hardsigmoid) are no activations and stay as they are.
_RELUS: Mapping[object, frozenset[str]] = {
    _aten.threshold_backward: frozenset({"ReluBackward0", "ThresholdBackward0"}),
    _aten.hardtanh_backward: frozenset({"HardtanhBackward0"}),
    _aten.leaky_relu_backward: frozenset({"LeakyReluBackward0"}),
}
_SMOOTH: Mapping[object, frozenset[str]] = {
    _aten.gelu_backward: frozenset({"GeluBackward0"}),
    _aten.silu_backward: frozenset({"SiluBackward0"}),
    _aten.hardswish_backward: frozenset({"HardswishBackward0"}),
    _aten.elu_backward: frozenset({"EluBackward0"}),
    _aten.mish_backward: frozenset({"MishBackward0"}),
    _aten.softplus_backward: frozenset({"SoftplusBackward0"}),
}
# These pass a gradient or stop it: clamping what leaves is clamping what enters, and needs no copy.
_GATES = frozenset({_aten.threshold_backward, _aten.hardtanh_backward})
_OPERATIONS: Mapping[str, Mapping[object, frozenset[str]]] = {
    "guided": _RELUS,
    "clamp-grad": {**_RELUS, **_SMOOTH},
}


class GuidedRelu(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Around `torch.autograd.grad` alone: activations pass back positive gradients only.

    The forward runs untouched and no module is changed or hooked: in the backward pass every
    nn.ReLU, ReLU6, in-place, reused or functional ReLU is the same operation, and it is caught
    there. The mode belongs to the thread that entered it.

    Args:
        rule: "guided" clamps what enters the backward pass of the ReLU family; "clamp-grad" also
            that of smooth activations (GELU, SiLU ...), for which no paper claims anything.

    Source: Springenberg et al. 2015, arXiv:1412.6806, section 3.4.
    """

    def __init__(self, rule: Rule) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._operations = _OPERATIONS[rule]

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func.overloadpacket not in self._operations:
            return func(*args, **(kwargs or {}))
        if func.overloadpacket in _GATES:
            return func(*args, **(kwargs or {})).clamp_(min=0)
        return func(args[0].clamp(min=0), *args[1:], **(kwargs or {}))


def coverage(output: Tensor, rule: Rule) -> int:
    """How many activations between an output and the input the rule takes hold of.

    Counted in the autograd graph, not while the backward pass runs: so that in a batch of mixed
    objectives each has the count it would have alone.

    Raises:
        MethodUnsupported: none, so the map would be the plain gradient.
    """
    names = frozenset().union(*_OPERATIONS[rule].values())
    count = sum(node.name() in names for node in _graph(output))
    if count == 0:
        raise MethodUnsupported(
            "guided backpropagation found no ReLU to guide between this output and the input"
            + ("; rule=clamp-grad guides GELU, SiLU and the like" if rule == "guided" else "")
        )
    return count


def _graph(output: Tensor) -> set[Any]:
    waiting = [output.grad_fn]
    met = set(waiting)
    while waiting:
        node = waiting.pop()
        behind = {each for each, _ in node.next_functions if each is not None} if node else set()
        waiting.extend(behind - met)
        met |= behind
    return met - {None}
