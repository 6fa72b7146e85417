"""Match a state dict to a network: prefixes, old names, shapes. Knows no files."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import Tensor, nn

from core.errors import shown

_MAX_LISTED: Final = 3
_COUNTER: Final = ".num_batches_tracked"
_EXTRA: Final = "_extra_state"

StateDict = Mapping[str, Any]
"""Tensors by name, and what modules say of themselves beside (`get_extra_state`)."""


@dataclass(frozen=True, slots=True, eq=False)
class Weights:
    """A network's tensors, found in a file.

    Attributes:
        state: by the network's own names, all of them.
        notes: what was done to find them, a sentence each.
    """

    state: StateDict
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Candidate:
    """A state dict, or the part of one whose names begin alike.

    Attributes:
        key: dotted, where the state dict is in its file.
        prefix: what its names begin with before the network's own; empty if with nothing.
        state: without the prefix.
        beside: names that do not begin with it.
        met: how many of the network's names are there.
    """

    key: str
    prefix: str
    state: StateDict
    beside: tuple[str, ...]
    met: int

    @property
    def name(self) -> str:
        """Key and prefix, dotted."""
        return ".".join(filter(None, (self.key, self.prefix.rstrip("."))))

    def answers(self, name: str) -> bool:
        """Whether an operator who says this name may mean it: the whole, or either part."""
        return name.rstrip(".") in (self.name, self.key) or (
            bool(self.prefix) and name.rstrip(".") == self.prefix.rstrip(".")
        )


def candidates(own: StateDict, key: str, state: StateDict) -> list[Candidate]:
    """A state dict as it is, or, if no name is the network's, behind each prefix of its names.

    `module.` of DataParallel, `_orig_mod.` of torch.compile, `model.` of Lightning; `student.` and
    `teacher.`, of which both may fit.

    Args:
        own: the network's.
        key: of the state dict in its file.
        state: what is there.
    """
    prefixes = [""] if own.keys() & state.keys() else _prefixes(own, state) or [""]
    found = []
    for prefix in prefixes:
        behind = {n.removeprefix(prefix): v for n, v in state.items() if n.startswith(prefix)}
        beside = tuple(name for name in state if not name.startswith(prefix))
        found.append(Candidate(key, prefix, behind, beside, len(own.keys() & behind.keys())))
    return found


def _prefixes(own: StateDict, state: StateDict) -> list[str]:
    """Of the first of the network's names that stands behind any."""
    for first in sorted(own, key=lambda name: name.endswith(_COUNTER)):
        ends = [name for name in state if name.endswith(f".{first}")]
        if ends:
            return [name.removesuffix(first) for name in ends]
    return []


def fitted(module: nn.Module, own: StateDict, candidate: Candidate) -> Weights | str:
    """The state under the network's own names, or what keeps it from being the network's."""
    notes = []
    if candidate.prefix:
        left = f", and {listed(candidate.beside)} left out" if candidate.beside else ""
        notes.append(f"{shown(candidate.prefix)} taken off the names{left}")
    state = _renamed(module, candidate.state)
    filled = state | _implied(own, state)
    for problem, names in (
        ("lacks", [name for name in own if name not in filled]),
        ("has more than the network:", [name for name in filled if name not in own]),
    ):
        if names:
            more = f" and {len(names) - 1} more" if len(names) > 1 else ""
            return f"{problem} {shown(names[0])}{more}"
    for name, tensor in filled.items():
        if not isinstance(own[name], Tensor):
            continue
        if not isinstance(tensor, Tensor):
            return f"has no tensor {shown(name)}"
        if problem := _unlike(own[name], tensor):
            return f"has {shown(name)} {problem}"
        filled[name] = tensor.to(own[name].dtype)  # 1e300 is infinite as float32
        if not bool(filled[name].isfinite().all()):
            return f"has NaN or infinity in {shown(name)}"
    return Weights(filled, tuple(notes))


def distinct(fits: Sequence[tuple[Candidate, Weights]]) -> list[tuple[Candidate, Weights]]:
    """Those of one state dict that hold the same numbers once: a network that two modules hold."""
    found: list[tuple[Candidate, Weights]] = []
    for each, weights in fits:
        if not any(each.key == other.key and _equal(weights, same) for other, same in found):
            found.append((each, weights))
    return found


def _equal(one: Weights, other: Weights) -> bool:
    return all(
        torch.equal(value, other.state[name])
        for name, value in one.state.items()
        if isinstance(value, Tensor)
    )


def _renamed(module: nn.Module, state: StateDict) -> dict[str, Any]:
    """Under the names of today, where a layer knows what it was called: `weight_norm` does.

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.Module.html, of
    `register_load_state_dict_pre_hook`, which `load_state_dict` calls as this does.
    """
    renamed = dict(state)
    for name, layer in module.named_modules():
        for hook in layer._load_state_dict_pre_hooks.values():
            hook(renamed, f"{name}." if name else "", {}, True, [], [], [])
    return renamed


def _unlike(own: Tensor, tensor: Tensor) -> str:
    """What keeps a tensor from becoming one of the network's; empty if nothing does."""
    for odd, is_odd in (
        ("without values, as the device meta has it", tensor.is_meta),
        ("quantized", tensor.is_quantized),
        ("nested", tensor.is_nested),
        ("sparse", tensor.layout != torch.strided),
    ):
        if is_odd:
            return f"{odd}: save it as a plain tensor"
    if tensor.shape != own.shape:
        return f"of shape {tuple(tensor.shape)}, the network's is {tuple(own.shape)}"
    if tensor.is_complex() and not own.is_complex():
        return f"of {tensor.dtype}, the network's is {own.dtype}"
    return ""


def _implied(own: StateDict, state: StateDict) -> dict[str, Any]:
    """What a state need not say: counters that nothing reads in eval mode, and shared tensors.

    Nor what a module says of itself beside its tensors.
    """
    tensors = {name: each for name, each in own.items() if isinstance(each, Tensor)}
    at = {(each.data_ptr(), each.shape): state[n] for n, each in tensors.items() if n in state}
    implied = {name: own[name] for name in own if name not in state and name not in tensors}
    for name, tensor in tensors.items():
        if name in state:
            continue
        shared = at.get((tensor.data_ptr(), tensor.shape)) if tensor.numel() else None
        if shared is not None:
            implied[name] = shared
        elif name.endswith(_COUNTER) or f".{name}" == _COUNTER:
            implied[name] = tensor
    return implied


def is_extra(name: str) -> bool:
    """Whether it is what a module says of itself beside its tensors."""
    return name.rpartition(".")[2] == _EXTRA


def listed(names: Sequence[str]) -> str:
    """Some of them, and how many more there are."""
    some = ", ".join(shown(name) for name in names[:_MAX_LISTED])
    more = len(names) - _MAX_LISTED
    return f"{some} and {more} more" if more > 0 else some
