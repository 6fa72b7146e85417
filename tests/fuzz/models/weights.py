"""Makes weights files: as training loops leave them, damaged, and of other kinds."""

import pickle
import random
import warnings
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from safetensors.torch import save
from torch import nn

from tests.fuzz.models.damage import Odd, damaged, no_file, odd_archive, odd_header, other_kind
from tests.fuzz.models.folder import Files, Link
from tests.fuzz.models.networks import SHAPES
from tests.fuzz.models.saving import saved, state

_NAMES = ("weights.pth", "weights.pt", "weights.safetensors", "weights.bin", "model.ckpt")
_DTYPES = (
    torch.float64,
    torch.float16,
    torch.bfloat16,
    torch.int64,
    torch.int8,
    torch.uint8,
    torch.bool,
    torch.complex64,
    torch.complex128,
    torch.float8_e4m3fn,
    torch.float8_e5m2,
    torch.uint16,
    torch.uint64,
)


def sound_weights(rng: random.Random, files: Files) -> tuple[str, str]:
    """Weights that must be taken; the file's name, and in words."""
    tensors = state(rng)
    if rng.random() < 0.1:
        tensors = {name: each.half().float() for name, each in tensors.items()}
    prefix = rng.choice(("", "", "module.", "_orig_mod.", "model."))
    tensors = {f"{prefix}{name}": each for name, each in tensors.items()}
    name = rng.choice(_NAMES)
    if rng.random() < 0.3:
        files[name] = save(tensors)
        return name, f"safetensors {prefix}"
    content: Any = rng.choice(
        (
            tensors,
            OrderedDict(tensors),
            {"state_dict": tensors, "epoch": 3},
            {"model_state_dict": tensors, "loss": 0.5, "classes": ["a", "b"]},
            {"model": tensors, "best": np.float64(0.9), "history": np.zeros(3)},
            {"ckpt": {"net": tensors}, "optimizer": {"state": {0: {"step": torch.tensor(3.0)}}}},
            {name: nn.Parameter(each) for name, each in tensors.items()},
        )
    )
    files[name] = saved(content, legacy=rng.random() < 0.2)
    return name, f"a checkpoint {prefix}"


def odd_weights(rng: random.Random, files: Files) -> tuple[str, str]:
    """Weights that may be wrong; the file's name, and in words."""
    name = rng.choice(_NAMES)
    make = rng.choice(_ODD)
    content, note = make(rng)
    files[name] = content
    if isinstance(content, Link) and content.target == ".":
        files[name] = Link(name)
    return name, f"{name} {note}"


# ---- what is wrong ----


def _misfit(rng: random.Random) -> Odd:
    """Tensors that are not the network's."""
    tensors: dict[Any, Any] = dict(state(rng))
    name = rng.choice(list(SHAPES))
    old = tensors[name]
    match rng.randrange(11):
        case 0:
            del tensors[name]
        case 1:
            tensors["extra" * rng.choice((1, 1000))] = torch.zeros(2)
        case 2:
            tensors[name] = old.flatten() if rng.random() < 0.5 else old[None]
        case 3:
            tensors[name] = rng.choice((torch.zeros(()), torch.zeros(0), old[:0], old.flip(0)))
        case 4:
            value = rng.choice((float("nan"), float("inf"), -float("inf"), 3e38, 1e-45))
            tensors[name] = old.clone().view(-1).index_fill(0, torch.tensor([0]), value)
            tensors[name] = tensors[name].view(old.shape)
        case 5:
            name = name if rng.random() < 0.5 else "every one"
            dtype = rng.choice(_DTYPES)
            chosen = SHAPES if name == "every one" else (name,)
            tensors |= {each: tensors[each].abs().to(dtype) for each in chosen}
            return saved(tensors), f"with {name} as {dtype}"
        case 6:
            renamed = rng.choice((name.upper(), name.replace(".", "_"), f"module.{name}", ""))
            tensors[renamed] = tensors.pop(name)
        case 7:
            tensors[rng.choice((3, None, ("a",), 2.5, b"a", True))] = old
        case 8:
            tensors[name] = rng.choice((None, 3, "text", [1.0], old.tolist(), {}, old.numpy()))
        case 9:
            tensors = {f"{each}\n" if each == name else each: t for each, t in tensors.items()}
        case _:
            return saved(_strange(rng, tensors, name)), f"with a strange {name}"
    return saved(tensors, legacy=rng.random() < 0.2), f"of {list(tensors)[:6]!r:.60}"


def _strange(rng: random.Random, tensors: dict[Any, Any], name: str) -> dict[Any, Any]:
    old = tensors[name]
    match rng.randrange(6):
        case 0:
            tensors[name] = old.to("meta")
        case 1:
            tensors[name] = old.to_sparse()
        case 2:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                tensors[name] = torch.quantize_per_tensor(old, 0.1, 0, torch.qint8)
        case 3:
            tensors[name] = old[..., :1].expand(old.shape)
        case 4:
            tensors[name] = old.requires_grad_(True)
        case _:
            tensors[name] = torch.nested.nested_tensor([old, old])
    return tensors


def _other_content(rng: random.Random) -> Odd:
    """What `torch.save` writes of something that is no state dict."""
    tensors = state(rng)
    looped: dict[str, Any] = {}
    looped.update({str(number): looped for number in range(200)}, a=tensors)
    deep: Any = tensors
    for _ in range(rng.choice((4, 50))):
        deep = {"net": deep}
    make = rng.choice(
        (
            lambda: None,
            lambda: 3,
            lambda: "text",
            lambda: [],
            lambda: {},
            lambda: [tensors],
            lambda: (tensors, 3),
            lambda: list(tensors.values()),
            lambda: tensors["fc1.weight"],
            lambda: {"epoch": 3},
            lambda: {"model": None, "state_dict": []},
            lambda: {"model": tensors, "ema": tensors},
            lambda: {
                "model": tensors,
                "ema": {k: 2 * v for k, v in tensors.items()},
                "a\nb": tensors,
            },
            lambda: {"x" * 5000: {k: v[:0] for k, v in tensors.items()}},
            lambda: {f"run {number}": dict(tensors) for number in range(300)},
            lambda: looped,
            lambda: deep,
            lambda: nn.Linear(2, 2),
            lambda: nn.Linear,
            lambda: torch.optim.SGD,
            lambda: {"model": nn.Linear(2, 2), "state_dict": tensors},
            lambda: {"state_dict": tensors, "config": complex(1, 2), "seen": {1, 2}},
            lambda: {"state_dict": tensors, "rng": torch.get_rng_state(), "dtype": torch.float32},
            lambda: {"state_dict": tensors, "device": torch.device("cpu"), "size": torch.Size([3])},
            lambda: {f"name {number}": torch.zeros(1) for number in range(5000)},
        )
    )
    content = make()
    return saved(content), f"that hold {content!r:.60}"


def _pickled(rng: random.Random) -> Odd:
    """A plain pickle, of a protocol that torch may not read."""
    tensors = {name: each.numpy() for name, each in state(rng).items()}
    content = rng.choice((tensors, [1], {"a": {"b": 1}}, print, slice(3), ValueError("x"), {1, 2}))
    protocol = rng.randrange(6)
    return pickle.dumps(content, protocol), f"pickled by protocol {protocol}"


_ODD: tuple[Callable[[random.Random], Odd], ...] = (
    other_kind,
    no_file,
    damaged,
    damaged,
    odd_header,
    _misfit,
    _misfit,
    _other_content,
    _pickled,
    odd_archive,
)
