"""Owns weights files: what one is, which of its tensors are a network's; nothing in it is run."""

import argparse
import codecs
import pathlib
import re
import warnings
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, Final

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from core.errors import ModelUnusable, first_line, shown

_HEAD_BYTES: Final = 512
_MAX_DEPTH: Final = 3
_MAX_LISTED: Final = 3

_STATE_DICT: Final = "save module.state_dict(), best with safetensors.torch.save_file"
_SCALAR: Final = np.float64(0).__reduce__()[0]
_ARRAY: Final = np.zeros(0).__reduce__()[0]
# What else training loops save; none of it runs code when it is unpickled. NumPy renamed modules.
_PLAIN: Final[list[Any]] = [
    *(np.ndarray, np.dtype, codecs.encode, argparse.Namespace, pathlib.PosixPath),
    *(type(np.dtype(kind)) for kind in "?bhilqBHILQefdSU"),
    (_SCALAR, "numpy.core.multiarray.scalar"),
    (_SCALAR, "numpy._core.multiarray.scalar"),
    (_ARRAY, "numpy.core.multiarray._reconstruct"),
    (_ARRAY, "numpy._core.multiarray._reconstruct"),
]


@dataclass(frozen=True, slots=True, eq=False)
class Weights:
    """A network's tensors, found in a file.

    Attributes:
        state: by the network's own names, all of them.
        notes: what was done to find them, a sentence each.
    """

    state: Mapping[str, Tensor]
    notes: tuple[str, ...]


def weights_of(module: nn.Module, file: Path, key: str | None = None) -> Weights:
    """The tensors of a network in a file, on the CPU.

    They may lie below other keys, as training loops save them, under names with a prefix; without
    BatchNorm's counters; and without tensors that the network shares, as `save_model` leaves out.

    Args:
        module: whose names and shapes they have.
        file: a state dict or checkpoint of torch, or of safetensors, whatever its name ends in.
        key: where in the checkpoint they are; None = wherever they fit.

    Raises:
        ModelUnusable: one sentence that names the file and what was found in it.
    """
    own = module.state_dict()
    states = dict(_states(_content(file), {}))
    if not states:
        raise ModelUnusable(f"{file.name} holds no state dict, that is tensors by name")
    if key is not None:
        if key not in states:
            raise ModelUnusable(f"{file.name} has no state dict {shown(key)}: {_listed(states)}")
        states = {key: states[key]}
    fitting = {name: _fitted(own, state) for name, state in states.items()}
    found = {name: fit for name, fit in fitting.items() if isinstance(fit, Weights)}
    if len(found) > 1:
        raise ModelUnusable(
            f"{file.name} has more than one state dict for this network: {_listed(found)}; "
            f'name one: weights_key = "{next(iter(found))}"'
        )
    if not found:
        nearest = max(states, key=lambda name: len(own.keys() & states[name].keys()))
        below = f" below {shown(nearest)}" if nearest else ""
        raise ModelUnusable(f"{file.name}{below} {fitting[nearest]}")
    ((name, weights),) = found.items()
    notes = [f"the weights lie below {shown(name)}"] if name and not key else []
    notes += weights.notes
    return Weights(weights.state, tuple(f"{file.name}: {each}" for each in notes))


# ---- what a file is ----


def _content(file: Path) -> Any:
    """What is in the file: tensors by name, or whatever was saved with them."""
    with file.open("rb") as opened:
        head = opened.read(_HEAD_BYTES)
    if problem := _other_kind(file, head):
        raise ModelUnusable(f"{file.name} {problem}")
    try:
        if head[8:9] == b"{":
            return load_file(file)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of old pickles and sparse tensors, to its developers
            return _loaded(file)
    except UnpicklingError as error:
        if head[:1] not in (b"\x80", b"P"):  # neither a pickle nor the archive that holds one
            raise ModelUnusable(f"{file.name} is damaged, or no weights of torch") from error
        found = re.search(r"GLOBAL ([\w.]+)|[Uu]nsupported class\W+([\w.]+)", str(error))
        what = f" ({found[1] or found[2]})" if found else ""
        raise ModelUnusable(
            f"{file.name} holds pickled objects{what}, which could run code, and is refused; "
            f"{_STATE_DICT}"
        ) from error
    except Exception as error:  # a damaged file raises whatever its reader stumbles over
        # What torch advises for its older formats is to run what is in the file.
        said = "" if "weights_only" in first_line(error) else f": {first_line(error)}"
        raise ModelUnusable(f"{file.name} is damaged, or no weights{said}") from error


def _loaded(file: Path) -> Any:
    # Opened, because torch goes by the name where it has one.
    with torch.serialization.safe_globals(_PLAIN), file.open("rb") as opened:
        return torch.load(opened, map_location="cpu", weights_only=True)


def _other_kind(file: Path, head: bytes) -> str:
    """What a file is that holds no weights for torch, and what to do; empty if it may hold some."""
    if not head:
        return "is empty"
    if head.startswith(b"version https://git-lfs"):
        return "is a Git LFS pointer, not the file it stands for: run `git lfs pull`"
    if head.startswith(b"\x89HDF\r\n\x1a\n"):
        return f"is an HDF5 file, as Keras writes, and no weights of torch: {_STATE_DICT}"
    if head.startswith(b"PK"):
        return _of_archive(file)
    if head.startswith(b"\x93NUMPY"):
        return f"is a NumPy array, and no state dict: {_STATE_DICT}"
    if head[:1] == b"\x08" and (b"onnx" in head or b"pytorch" in head or file.suffix == ".onnx"):
        return f"is an ONNX graph, and no state dict of torch: {_STATE_DICT}"
    if head[8:9] != b"{" and (text := _text(head)):
        page = "an HTML page" if re.match(r"\s*<(!doctype html|html)", text, re.I) else "a text"
        return f"is {page}, and no weights: it begins with {shown(text[:40])}"
    return ""


def _of_archive(file: Path) -> str:
    try:
        with zipfile.ZipFile(file) as archive:
            members = archive.infolist()
    except zipfile.BadZipFile:
        return "is damaged: its end is missing"
    names = [each.filename for each in members]
    if any(name.endswith("/constants.pkl") or "/code/" in name for name in names):
        return (
            f"is a TorchScript program, which is code: {_STATE_DICT} of the module it was made of"
        )
    if any(name.endswith("/data.pkl") for name in names):
        # Torch does not compress: what has been may be a thousand times as large in memory.
        stored = all(each.compress_type == zipfile.ZIP_STORED for each in members)
        return "" if stored else f"is compressed, as torch leaves no file: {_STATE_DICT}"
    if all(name.endswith(".npy") for name in names):
        return f"is a NumPy archive, and no state dict: {_STATE_DICT}"
    return f"is a ZIP archive of {_listed(names)}, and no weights of torch"


def _text(head: bytes) -> str:
    try:
        text, _ = codecs.utf_8_decode(head)  # whose last letter may be cut off
    except UnicodeDecodeError:
        return ""
    return "" if re.search(r"[\x00-\x08\x0e-\x1f]", text) else text


# ---- which of its tensors ----


def _states(
    content: Any, seen: dict[int, int], key: str = "", depth: int = 0
) -> Iterator[tuple[str, dict[str, Tensor]]]:
    """Every mapping of names to tensors in there, under its dotted key.

    A mapping inside itself has no end, and a few of them have one that nobody lives to see: none
    is searched again unless it was met further down.
    """
    if not isinstance(content, Mapping) or depth >= seen.get(id(content), _MAX_DEPTH + 1):
        return
    seen[id(content)] = depth
    tensors = {name: value for name, value in content.items() if isinstance(value, Tensor)}
    if tensors and all(isinstance(name, str) for name in tensors):
        yield key, tensors
    for name, value in content.items():
        if isinstance(name, str):
            yield from _states(value, seen, f"{key}.{name}" if key else name, depth + 1)


def _fitted(own: Mapping[str, Tensor], state: Mapping[str, Tensor]) -> Weights | str:
    """The state under the network's own names, or what keeps it from being the network's."""
    notes = []
    prefix = _prefix(own, state)
    if prefix:
        beside = [name for name in state if not name.startswith(prefix)]
        left = f", and {_listed(beside)} left out" if beside else ""
        notes.append(f"{shown(prefix)} taken off the names{left}")
        state = {n.removeprefix(prefix): each for n, each in state.items() if n.startswith(prefix)}
    filled = dict(state) | _implied(own, state)
    for problem, names in (
        ("lacks", [name for name in own if name not in filled]),
        ("has more than the network:", [name for name in filled if name not in own]),
    ):
        if names:
            more = f" and {len(names) - 1} more" if len(names) > 1 else ""
            return f"{problem} {shown(names[0])}{more}"
    for name, tensor in filled.items():
        if problem := _unlike(own[name], tensor):
            return f"has {shown(name)} {problem}"
        filled[name] = tensor.to(own[name].dtype)  # 1e300 is infinite as float32
        if not bool(filled[name].isfinite().all()):
            return f"has NaN or infinity in {shown(name)}"
    return Weights(filled, tuple(notes))


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


def _prefix(own: Mapping[str, Tensor], state: Mapping[str, Tensor]) -> str:
    """What stands before every name of the network: `module.` of DataParallel, `_orig_mod.`."""
    if not own or own.keys() & state.keys():
        return ""
    counters = ".num_batches_tracked"
    first = next((name for name in own if not name.endswith(counters)), next(iter(own)))
    for name in state:
        prefix = name.removesuffix(first)
        if prefix.endswith(".") and prefix != name and f"{prefix}{first}" == name:
            return prefix
    return ""


def _implied(own: Mapping[str, Tensor], state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """What a state need not say: counters that nothing reads in eval mode, and shared tensors."""
    at = {(own[n].data_ptr(), own[n].shape): state[n] for n in own if n in state}
    implied = {}
    for name, tensor in own.items():
        if name in state:
            continue
        shared = at.get((tensor.data_ptr(), tensor.shape)) if tensor.numel() else None
        if shared is not None:
            implied[name] = shared
        elif name.rpartition(".")[2] == "num_batches_tracked":
            implied[name] = tensor
    return implied


def _listed(names: Mapping[str, object] | Sequence[str]) -> str:
    some = ", ".join(shown(name) for name in list(names)[:_MAX_LISTED])
    more = len(names) - _MAX_LISTED
    return f"{some} and {more} more" if more > 0 else some
