"""Refuse a network that keeps state from one picture for the next, or is random."""

import hashlib
import random
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor, nn

from core.errors import ModelUnusable, shown

# Pictures among those of `core.models.probing.probes`.
_ASKED: Final = 4
_OTHERS: Final = (5, 1)

_DEEP: Final = 4
_NOISE: Final = 1e-5
"""Of the largest logit: what is left to a library that adds up in any order."""
_TORCH: Final = frozenset(vars(nn.Module())) - {"_parameters", "_buffers", "training"}


def require_no_memory(module: nn.Module, rows: Tensor) -> None:
    """Ask for one picture after another, after a third, and after itself: it is answered the same.

    On a CPU they are equal to the last bit. Where they are not, whether a generator of random
    numbers moved, or something that the network holds changed, says why.

    Args:
        module: in eval mode, on the CPU.
        rows: (B, C, H, W) float32, as `core.models.probing.probes` gives.

    Raises:
        ModelUnusable: they are not.
    """
    answers = []
    for other in _OTHERS:
        _run(module, rows, other)
        answers.append(_run(module, rows, _ASKED))
    answers.append(_run(module, rows, _ASKED))  # with no other between
    worst = max(_difference(answers[0], each) for each in answers[1:])
    if not worst:
        return
    said = f"the same picture gets answers that differ by {worst:.1e}"
    chance = _generators()
    _run(module, rows, _OTHERS[0])
    if chance != _generators():
        raise ModelUnusable(
            f"{said}: something random stays on in eval mode, such as F.dropout(x) without "
            "training=self.training"
        )
    before = _held(module)
    _run(module, rows, _ASKED)
    after = _held(module)
    kept = [name for name in after if before.get(name) != after[name]]
    if kept:
        raise ModelUnusable(
            f"{said} after other pictures: the network keeps {shown(kept[0])} from one picture "
            "for the next"
        )
    if worst > _NOISE:
        raise ModelUnusable(
            f"{said}: they depend on what else was asked, or something random stays on in eval mode"
        )


def _run(module: nn.Module, rows: Tensor, number: int) -> Tensor:
    with torch.no_grad():
        answer: Tensor = module(rows[number, None].clone())
    return answer.clone()


def _difference(one: Tensor, other: Tensor) -> float:
    """Relative to the largest value; 0 only where all are the same to the last bit."""
    if one.shape != other.shape:
        return float("inf")
    one, other = (each.double().nan_to_num(nan=0.5, posinf=1, neginf=-1) for each in (one, other))
    scale = max(float(one.abs().max()), float(np.finfo(np.float32).tiny))
    return float((one - other).abs().max()) / scale


def _generators() -> tuple[object, ...]:
    """Where the generators are that everybody shares."""
    return (
        torch.get_rng_state().numpy().tobytes(),
        random.getstate(),
        str(np.random.get_state()),
    )


# ---- what a network holds ----


def _held(module: nn.Module) -> dict[str, object]:
    """What each of its modules has, by dotted name, as something to compare."""
    found: dict[str, object] = {}
    for name, each in module.named_modules():
        start = f"{name}." if name else ""
        for key, value in vars(each).items():
            if key in ("_parameters", "_buffers"):
                found |= {f"{start}{at}": seen(tensor) for at, tensor in value.items()}
            elif key not in _TORCH:
                found[f"{start}{key}"] = seen(value)
    return found


def seen(value: Any, depth: int = 0) -> object:
    """A value as something to compare, of plain types; of an object only its kind."""
    if isinstance(value, Tensor):
        value = value.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy()
    if isinstance(value, np.ndarray):
        return hashlib.sha256(value.tobytes()).digest()
    if isinstance(value, bool | int | float | complex | str | bytes | None):
        return repr(value)
    if depth == _DEEP:
        return type(value).__name__
    if isinstance(value, Mapping):
        return [(repr(key), seen(each, depth + 1)) for key, each in value.items()]
    if isinstance(value, list | tuple):
        return [seen(each, depth + 1) for each in value]
    return type(value).__name__
