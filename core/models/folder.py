"""Owns networks of one's own: a folder's code, weights and `model.toml` become spec and module."""

from collections import OrderedDict
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from core.errors import (
    ANY_FAILURE,
    MethodUnsupported,
    ModelUnusable,
    UnknownLayer,
    UnknownName,
    first_line,
    shown,
    told,
)
from core.models.checkpoint import weights_of
from core.models.importing import import_file
from core.models.layers import find_layer, last_seen
from core.models.manifest import Manifest, read_manifest
from core.models.ports import Port
from core.models.sources import timm_model, torchvision_model
from core.models.spec import ModelSpec

_LIBRARIES = {"torchvision": torchvision_model, "timm": timm_model}
_ONE_FOR_TWO = (1, 2)  # outputs and labels, where one output is the second label's
_PROBE_ROWS = (2, 1)  # a network that mixes rows up, or loses the axis of one, shows it


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
        activation=manifest.activation,
    )
    _materialise(module.eval(), spec, manifest)
    if pretrained and manifest.weights is not None:
        spec = replace(spec, notes=_load_weights(module, manifest, manifest.weights))
    _check(module, spec, manifest)
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
        problem = f"{manifest.source} does not take them: {first_line(error)}"
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
    except ANY_FAILURE as error:
        raise manifest.unusable("[model.args]", f"{name}(...) failed: {told(error)}") from error
    if not isinstance(module, nn.Module):
        problem = f"{name}(...) gave {type(module).__name__}, not a torch.nn.Module"
        raise manifest.unusable("[model] source", problem)
    return module


def _imported(path: Path, manifest: Manifest) -> object:
    if path.suffix != ".py" or not path.is_file():
        raise manifest.unusable("[model] source", f"there is no file {path.name!r} in the folder")
    try:
        return import_file(path)
    except ANY_FAILURE as error:
        problem = f"importing {path.name} failed: {told(error)}"
        raise manifest.unusable("[model] source", problem) from error


# ---- its weights ----


def _load_weights(module: nn.Module, manifest: Manifest, file: Path) -> tuple[str, ...]:
    """Put a file's weights into the network; what was done to find them."""
    try:
        found = weights_of(module, file, manifest.weights_key)
    except ModelUnusable as error:
        raise manifest.unusable("[model] weights", str(error)) from error
    complete = OrderedDict(found.state)
    # What versions of its layers a state is of: complete, it is of the network's own.
    complete._metadata = module.state_dict()._metadata  # type: ignore[attr-defined]
    module.load_state_dict(complete, strict=True)
    return found.notes


def _materialise(module: nn.Module, spec: ModelSpec, manifest: Manifest) -> None:
    """Have lazy layers find their sizes, so that weights can be loaded."""
    tensors = (*module.parameters(), *module.buffers())
    if any(map(is_lazy, tensors)):
        _logits(module, spec, manifest, rows=2)


# ---- what it gives ----


def _check(module: nn.Module, spec: ModelSpec, manifest: Manifest) -> None:
    if spec.feature_layer is not None:
        try:
            find_layer(module, spec.feature_layer)
        except UnknownLayer as error:
            raise manifest.unusable("[features] layer", str(error)) from error
        with Port(spec.feature_layer, "input").captured(module) as seen:
            _logits(module, spec, manifest, rows=2)
        try:
            last_seen(seen, spec.feature_layer, 2)
        except MethodUnsupported as error:
            raise manifest.unusable("[features] layer", str(error)) from error
    for rows in _PROBE_ROWS:
        logits = _logits(module, spec, manifest, rows)
        if not isinstance(logits, Tensor) or logits.ndim != 2 or len(logits) != rows:
            found = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
            problem = (
                "the network must give one row of logits per picture, (B, K); "
                f"for B = {rows} it gave {found}"
            )
            raise manifest.unusable("[model] source", problem)
    if logits.shape[1] != len(spec.labels) and (logits.shape[1], len(spec.labels)) != _ONE_FOR_TWO:
        problem = f"{len(spec.labels)} labels, and the network puts out {logits.shape[1]} classes"
        raise manifest.unusable("[classes] labels", problem)


def _logits(module: nn.Module, spec: ModelSpec, manifest: Manifest, rows: int) -> Any:
    try:
        with torch.no_grad():
            return module(torch.zeros(rows, *spec.input_shape))
    except ANY_FAILURE as error:
        shape = " x ".join(map(str, spec.input_shape))
        pictures = f"{rows} pictures" if rows > 1 else "one picture"
        problem = f"the network does not run on {pictures} of {shape}: {told(error)}"
        raise manifest.unusable("[input]", problem) from error
