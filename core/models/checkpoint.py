"""Read a weights file: its kind and the state dicts in it. Nothing in the file is run."""

import argparse
import codecs
import pathlib
import re
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, Final

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from core.errors import ModelUnusable, first_line, shown
from core.models.fitting import Weights, candidates, distinct, fitted, is_extra, listed

_HEAD_BYTES: Final = 512
_MAX_DEPTH: Final = 3

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


def weights_of(module: nn.Module, file: Path, key: str | None = None) -> Weights:
    """The tensors of a network in a file, on the CPU.

    They may lie below other keys, as training loops save them, under names with a prefix; without
    BatchNorm's counters; and without tensors that the network shares, as `save_model` leaves out.

    Args:
        module: whose names and shapes they have.
        file: a state dict or checkpoint of torch, or of safetensors, whatever its name ends in.
        key: where in the checkpoint they are, a prefix of their names included; None = wherever
            they fit.

    Raises:
        ModelUnusable: one sentence that names the file and what was found in it.
    """
    states = dict(_states(_content(file), {}))
    if not states:
        raise ModelUnusable(f"{file.name} holds no state dict, that is tensors by name")
    own = module.state_dict()
    found = [each for name, state in states.items() for each in candidates(own, name, state)]
    if key is not None:
        chosen = [each for each in found if each.answers(key)]
        if not chosen:
            names = listed(list(dict.fromkeys(each.name for each in found)))
            raise ModelUnusable(f"{file.name} has no state dict {shown(key)}: {names}")
        found = chosen
    fits = [(each, fitted(module, own, each)) for each in found]
    fitting = distinct([(each, fit) for each, fit in fits if isinstance(fit, Weights)])
    if len(fitting) > 1:
        names = listed([each.name for each, _ in fitting])
        raise ModelUnusable(
            f"{file.name} has more than one state dict for this network: {names}; "
            f'name one: weights_key = "{fitting[0][0].name}"'
        )
    if not fitting:
        nearest, problem = max(fits, key=lambda fit: fit[0].met)
        below = f" below {shown(nearest.key)}" if nearest.key else ""
        raise ModelUnusable(f"{file.name}{below} {problem}")
    ((taken, weights),) = fitting
    notes = [f"the weights lie below {shown(taken.key)}"] if taken.key and not key else []
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
    return f"is a ZIP archive of {listed(names)}, and no weights of torch"


def _text(head: bytes) -> str:
    try:
        text, _ = codecs.utf_8_decode(head)  # whose last letter may be cut off
    except UnicodeDecodeError:
        return ""
    return "" if re.search(r"[\x00-\x08\x0e-\x1f]", text) else text


# ---- what is in it ----


def _states(
    content: Any, seen: dict[int, int], key: str = "", depth: int = 0
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every mapping of names to tensors in there, under its dotted key; with the extra state.

    A mapping inside itself has no end, and a few of them have one that nobody lives to see: none
    is searched again unless it was met further down.
    """
    if not isinstance(content, Mapping) or depth >= seen.get(id(content), _MAX_DEPTH + 1):
        return
    seen[id(content)] = depth
    state = {
        name: value
        for name, value in content.items()
        if isinstance(value, Tensor) or (isinstance(name, str) and is_extra(name))
    }
    tensors = [name for name, value in state.items() if isinstance(value, Tensor)]
    if tensors and all(isinstance(name, str) for name in state):
        yield key, state
    for name, value in content.items():
        if isinstance(name, str):
            yield from _states(value, seen, f"{key}.{name}" if key else name, depth + 1)
