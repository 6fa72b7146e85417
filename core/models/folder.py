"""Owns networks of one's own: a folder's code, weights and `model.toml` become spec and module."""

import importlib.util
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from core.errors import UnknownLayer, UnknownName, shown
from core.models.layers import find_layer
from core.models.manifest import Manifest, read_manifest
from core.models.sources import timm_model, torchvision_model
from core.models.spec import ModelSpec

_LIBRARIES = {"torchvision": torchvision_model, "timm": timm_model}
_PROBE_ROWS = 2  # more than one, so that a network which mixes rows up shows it


def model_of_folder(folder: Path, pretrained: bool = True) -> tuple[ModelSpec, nn.Module]:
    """The network in a folder, checked by running it once.

    A folder's Python is the operator's own code and runs with this process's rights; weights are
    data and never run.

    Args:
        folder: holds `model.toml`; its name is the model's.
        pretrained: False leaves the random initialisation.

    Raises:
        ModelUnusable: one sentence that names the file and the field.
    """
    manifest = read_manifest(folder)
    if manifest.of_library:
        spec, module = _of_library(manifest, pretrained)
    else:
        module = _of_file(manifest)
        assert manifest.preprocess is not None  # only libraries may leave these out
        assert manifest.labels is not None
        spec = ModelSpec(folder.name, manifest.preprocess, manifest.labels)
    spec = replace(
        spec,
        name=folder.name,
        preprocess=manifest.preprocess or spec.preprocess,
        labels=manifest.labels or spec.labels,
        feature_layer=manifest.feature_layer,
        feature_at=manifest.feature_at,
    )
    if pretrained and manifest.weights is not None:
        _load_weights(module, manifest, manifest.weights)
    _check(module.eval(), spec, manifest)
    return spec, module


# ---- the network ----


def _of_library(manifest: Manifest, pretrained: bool) -> tuple[ModelSpec, nn.Module]:
    library, _, name = manifest.source.partition(":")
    make = _LIBRARIES[library]
    try:
        return make(name, pretrained and manifest.weights is None, **manifest.arguments)
    except UnknownName as error:
        raise manifest.unusable("[model] source", str(error)) from error
    except (TypeError, ValueError) as error:
        problem = f"{manifest.source} does not take them: {_first_line(error)}"
        raise manifest.unusable("[model.args]", problem) from error


def _of_file(manifest: Manifest) -> nn.Module:
    file, colon, name = manifest.source.partition(":")
    path = manifest.file.parent / file
    if not colon or not name.isidentifier() or path.parent != manifest.file.parent:
        allowed = "FILE.py:NAME with a file of the folder, torchvision:NAME or timm:NAME"
        problem = f"{shown(manifest.source)} is not allowed: {allowed}"
        raise manifest.unusable("[model] source", problem)
    make = getattr(_imported(path, manifest), name, None)
    if not callable(make):
        raise manifest.unusable("[model] source", f"{file} has no callable {name!r}")
    try:
        module = make(**manifest.arguments)
    except Exception as error:  # the operator's own code
        raise manifest.unusable("[model.args]", f"{name}(...) failed: {_told(error)}") from error
    if not isinstance(module, nn.Module):
        problem = f"{name}(...) gave {type(module).__name__}, not a torch.nn.Module"
        raise manifest.unusable("[model] source", problem)
    return module


def _imported(path: Path, manifest: Manifest) -> object:
    if path.suffix != ".py" or not path.is_file():
        raise manifest.unusable("[model] source", f"there is no file {path.name!r} in the folder")
    name = f"seethrough_model_{path.parent.name}_{path.stem}".replace("-", "_").replace(".", "_")
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None  # a file that ends in .py always has a loader
    assert spec.loader is not None
    code = importlib.util.module_from_spec(spec)
    sys.modules[name] = code  # dataclasses and pickles look their module up
    try:
        spec.loader.exec_module(code)
    except Exception as error:  # the operator's own code
        del sys.modules[name]
        problem = f"importing {path.name} failed: {_told(error)}"
        raise manifest.unusable("[model] source", problem) from error
    return code


# ---- its weights ----


def _load_weights(module: nn.Module, manifest: Manifest, file: Path) -> None:
    field = "[model] weights"
    state, own = _state(manifest, file), module.state_dict()
    for problem, names in (
        ("lacks", [name for name in own if name not in state]),
        ("has more than the network:", [name for name in state if name not in own]),
    ):
        if names:
            more = f" and {len(names) - 1} more" if len(names) > 1 else ""
            raise manifest.unusable(field, f"{file.name} {problem} {shown(names[0])}{more}")
    for name, tensor in state.items():
        if tensor.shape != own[name].shape:
            found, expected = (tuple(each.shape) for each in (tensor, own[name]))
            problem = f"{file.name} has {name!r} of shape {found}, the network's is {expected}"
            raise manifest.unusable(field, problem)
        if tensor.is_floating_point() and not bool(tensor.isfinite().all()):
            raise manifest.unusable(field, f"{file.name} has NaN or infinity in {name!r}")
    module.load_state_dict(dict(state), strict=True)


def _state(manifest: Manifest, file: Path) -> Mapping[str, Tensor]:
    """The tensors in a weights file by name; nothing in it is run."""
    try:
        if file.suffix == ".safetensors":
            return load_file(file)
        state = torch.load(file, map_location="cpu", weights_only=True)
    except (SafetensorError, OSError, EOFError, RuntimeError) as error:
        problem = f"{file.name} is damaged, or no weights: {_first_line(error)}"
        raise manifest.unusable("[model] weights", problem) from error
    except UnpicklingError as error:
        problem = (
            f"{file.name} holds pickled objects, which could run code, and is refused; save "
            "module.state_dict(), best with safetensors.torch.save_file"
        )
        raise manifest.unusable("[model] weights", problem) from error
    if isinstance(state, dict) and isinstance(state.get("state_dict"), dict):
        state = state["state_dict"]  # what training loops save beside an optimizer's state
    if not isinstance(state, dict) or not all(isinstance(each, Tensor) for each in state.values()):
        problem = f"{file.name} holds no state dict, that is tensors by name"
        raise manifest.unusable("[model] weights", problem)
    return state


# ---- what it gives ----


def _check(module: nn.Module, spec: ModelSpec, manifest: Manifest) -> None:
    if spec.feature_layer is not None:
        try:
            find_layer(module, spec.feature_layer)
        except UnknownLayer as error:
            raise manifest.unusable("[features] layer", str(error)) from error
    try:
        with torch.no_grad():
            logits: Any = module(torch.zeros(_PROBE_ROWS, *spec.input_shape))
    except Exception as error:  # the operator's own code
        shape = " x ".join(map(str, spec.input_shape))
        problem = f"the network does not run on {shape}: {_told(error)}"
        raise manifest.unusable("[input]", problem) from error
    if not isinstance(logits, Tensor) or logits.ndim != 2 or len(logits) != _PROBE_ROWS:
        found = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
        problem = f"the network must give one row of logits per picture, (B, K); it gave {found}"
        raise manifest.unusable("[model] source", problem)
    if logits.shape[1] != len(spec.labels):
        problem = f"{len(spec.labels)} labels, and the network puts out {logits.shape[1]} classes"
        raise manifest.unusable("[classes] labels", problem)


def _told(error: Exception) -> str:
    return f"{type(error).__name__}: {_first_line(error)}"


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)
