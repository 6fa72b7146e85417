"""The guided ReLU rule, set around one backward pass; puts no hook on a module, replaces none."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal, get_args

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from core.errors import MethodUnsupported
from core.fields import Meaning

Rule = Literal["guided", "clamp-grad"]
RULES: tuple[str, ...] = get_args(Rule)

_aten = torch.ops.aten
# Operation of the backward pass -> the autograd node that runs it -> what people call it. Gates
# (sigmoid, hardsigmoid) are no activations and stay as they are.
_RELUS: Mapping[object, Mapping[str, str]] = {
    _aten.threshold_backward: {"ReluBackward0": "ReLU", "ThresholdBackward0": "Threshold"},
    _aten.hardtanh_backward: {"HardtanhBackward0": "ReLU6"},
    _aten.leaky_relu_backward: {"LeakyReluBackward0": "LeakyReLU"},
    _aten._prelu_kernel_backward: {"PreluKernelBackward0": "PReLU"},
    _aten.rrelu_with_noise_backward: {"RreluWithNoiseBackward0": "RReLU"},
}
_SMOOTH: Mapping[object, Mapping[str, str]] = {
    _aten.gelu_backward: {"GeluBackward0": "GELU"},
    _aten.silu_backward: {"SiluBackward0": "SiLU"},
    _aten.hardswish_backward: {"HardswishBackward0": "Hardswish"},
    _aten.elu_backward: {"EluBackward0": "ELU"},
    _aten.mish_backward: {"MishBackward0": "Mish"},
    _aten.softplus_backward: {"SoftplusBackward0": "Softplus"},
}
# Activations that no rule guides.
_OTHERS: Mapping[str, str] = {
    "TanhBackward0": "Tanh",
    "LogSigmoidBackward0": "LogSigmoid",
    "HardshrinkBackward0": "Hardshrink",
    "SoftshrinkBackward0": "Softshrink",
    "ClampBackward0": "clamp",
    "ClampBackward1": "clamp",
    "ClampMinBackward0": "clamp",
    "ClampMinBackward1": "clamp",
}
# These pass a gradient or stop it: clamping what leaves is clamping what enters, and needs no copy.
_GATES = frozenset({_aten.threshold_backward, _aten.hardtanh_backward})
_OPERATIONS: Mapping[str, Mapping[object, Mapping[str, str]]] = {
    "guided": _RELUS,
    "clamp-grad": {**_RELUS, **_SMOOTH},
}
_NAMES: Mapping[str, str] = dict(
    each for names in (*_RELUS.values(), *_SMOOTH.values(), _OTHERS) for each in names.items()
)
_FEWEST: Final = 0.5
"""Share of the activations that must be guided: with fewer the map is nearly the plain gradient."""


@dataclass(frozen=True, slots=True)
class Coverage:
    """How many activations were guided on the way back."""

    guided: Annotated[int, Meaning("", 33)]
    unguided: Annotated[
        Mapping[str, int],
        Meaning(
            "How many were not, by their kind; where fewer than half are guided, the map is "
            "refused.",
            {},
        ),
    ]
    rule: Annotated[str, Meaning("", "guided")]


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


def coverage(output: Tensor, rule: Rule) -> Coverage:
    """How many activations between an output and the input the rule takes hold of.

    Counted in the autograd graph, not while the backward pass runs: so that in a batch of mixed
    objectives each has the count it would have alone.

    Raises:
        MethodUnsupported: fewer than half of them, so the map would be nearly the plain gradient.
    """
    hold = {node for names in _OPERATIONS[rule].values() for node in names}
    met = [node.name() for node in _graph(output) if _is_activation(node)]
    guided = sum(name in hold for name in met)
    left = Counter(sorted(_NAMES[name] for name in met if name in _NAMES and name not in hold))
    unguided = dict(left.most_common())
    if guided and guided >= _FEWEST * (guided + left.total()):
        return Coverage(guided, unguided, rule)
    raise MethodUnsupported(_refusal(guided, unguided, rule))


def _is_activation(node: Any) -> bool:
    """Not so a clamp that keeps a divisor from 0, or bounds from above alone."""
    if not node.name().startswith("Clamp"):
        return True
    low = node._saved_min
    return low is not None and bool(torch.as_tensor(low <= 0).any())


def _refusal(guided: int, unguided: Mapping[str, int], rule: Rule) -> str:
    others = ", ".join(f"{count} {name}" for name, count in unguided.items())
    if not guided and not others:
        return (
            "guided backpropagation found no activation to guide between this output and the input"
        )
    total = guided + sum(unguided.values())
    found = (
        f"guided backpropagation would guide {guided} of {total} activations between this output "
        f"and the input, and the map would be nearly the plain gradient; not guided: {others}"
    )
    smooth = {name for names in _SMOOTH.values() for name in names.values()} & set(unguided)
    if rule == "guided" and smooth:
        return f"{found}; rule=clamp-grad guides {', '.join(sorted(smooth))}, too"
    return found


def _graph(output: Tensor) -> set[Any]:
    waiting = [output.grad_fn]
    met = set(waiting)
    while waiting:
        node = waiting.pop()
        behind = {each for each, _ in node.next_functions if each is not None} if node else set()
        waiting.extend(behind - met)
        met |= behind
    return met - {None}
