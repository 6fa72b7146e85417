"""Load a network of one's own: a folder's code, weights and `model.toml`, checked by a forward."""

from collections import OrderedDict
from dataclasses import replace
from pathlib import Path
from traceback import extract_tb
from types import ModuleType
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
    summary,
)
from core.models.checkpoint import weights_of
from core.models.importing import import_file, neighbors, package_name
from core.models.manifest import Manifest, read_manifest, require_name
from core.models.sources import timm_model, torchvision_model
from core.models.spec import ModelSpec
from core.models.structure.axes import Axes
from core.models.structure.batch import batching
from core.models.structure.layers import find_layer
from core.models.structure.layout import Layout
from core.models.structure.ports import Port

_LIBRARIES = {"torchvision": torchvision_model, "timm": timm_model}
_ONE_FOR_TWO = (1, 2)  # outputs and labels, where one output is the second label's
_PROBE_ROWS = (2, 1)  # a network that mixes rows up, or loses the axis of one, shows it


def model_of_folder(folder: Path, pretrained: bool = True) -> tuple[ModelSpec, nn.Module]:
    """The network in a folder, checked by running it once.

    A folder's Python is the operator's own code and runs with this process's rights; weights are
    data and never run.

    Args:
        folder: holds `model.toml`; its name is the model's.
        pretrained: False leaves the random initialization.

    Raises:
        ModelUnusable: one sentence that names the file and the field.
    """
    require_name(folder)
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
    module.eval()
    _materialize(module, spec, manifest)
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
    code = _imported(path, manifest)
    make = getattr(code, name, None)
    if not callable(make):
        own = [n for n, each in vars(code).items() if _is_network(each, code)]
        hint = f"; is {shown(own[-1])} meant?" if own else ""
        raise manifest.unusable("[model] source", f"{file} has no callable {shown(name)}{hint}")
    try:
        module = make(**manifest.arguments)
    except ANY_FAILURE as error:
        problem = f"{name}(...) failed: {_failure(error, manifest)}"
        raise manifest.unusable("[model.args]", problem) from error
    if not isinstance(module, nn.Module):
        problem = f"{name}(...) gave {type(module).__name__}, not a torch.nn.Module"
        raise manifest.unusable("[model] source", problem)
    module = _unwrapped(module)
    if isinstance(module, torch.jit.ScriptModule):
        problem = f"{name}(...) gave a TorchScript program, whose layers cannot be watched: give "
        raise manifest.unusable("[model] source", f"{problem}the module it is made of")
    return module


def _unwrapped(module: nn.Module) -> nn.Module:
    """The network itself, without what deals it out to GPUs or compiles it when it first runs."""
    while True:
        inner = getattr(module, "_orig_mod", None)  # of torch.compile
        if isinstance(module, nn.DataParallel | nn.parallel.DistributedDataParallel):
            inner = module.module
        if not isinstance(inner, nn.Module):
            break
        module = inner
    for each in module.modules():
        each._compiled_call_impl = None  # of `module.compile()`
    return module


def _is_network(value: object, code: ModuleType) -> bool:
    if not isinstance(value, type) or value.__module__ != code.__name__:
        return False
    return issubclass(value, nn.Module)


def _imported(path: Path, manifest: Manifest) -> ModuleType:
    if path.suffix != ".py" or not path.is_file():
        raise manifest.unusable("[model] source", f"there is no file {path.name!r} in the folder")
    try:
        return import_file(path)
    except ANY_FAILURE as error:
        problem = f"importing {path.name} failed: {_failure(error, manifest)}"
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


def _materialize(module: nn.Module, spec: ModelSpec, manifest: Manifest) -> None:
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
    for rows in _PROBE_ROWS:
        logits = _logits(module, spec, manifest, rows)
        if not isinstance(logits, Tensor) or logits.ndim != 2 or len(logits) != rows:
            found = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
            found = "None: is a `return` missing in forward?" if logits is None else found
            problem = (
                "the network must give one row of logits per picture, (B, K); "
                f"for B = {rows} it gave {found}"
            )
            raise manifest.unusable("[model] source", problem)
    if spec.feature_layer is not None:
        _check_features(module, spec, manifest, Port(spec.feature_layer, spec.feature_at))
    if logits.is_complex():
        raise manifest.unusable("[model] source", f"its logits are complex: {logits.dtype}")
    if logits.shape[1] != len(spec.labels) and (logits.shape[1], len(spec.labels)) != _ONE_FOR_TWO:
        problem = f"{len(spec.labels)} labels, and the network puts out {logits.shape[1]} classes"
        raise manifest.unusable("[classes] labels", problem)


def _check_features(module: nn.Module, spec: ModelSpec, manifest: Manifest, port: Port) -> None:
    found = batching(module, torch.zeros(3, *spec.input_shape))
    with port.captured(module) as seen:
        _logits(module, spec, manifest, rows=1)
    axes = {each: Axes(-1, None, batch=axis) for each, axis in found.axes.items()}
    try:
        Layout(axes, found.problems).taken(port, seen, 1)
    except MethodUnsupported as error:
        raise manifest.unusable("[features] layer", str(error)) from error


def _logits(module: nn.Module, spec: ModelSpec, manifest: Manifest, rows: int) -> Any:
    try:
        with torch.no_grad():
            return module(torch.zeros(rows, *spec.input_shape))
    except ANY_FAILURE as error:
        shape = " x ".join(map(str, spec.input_shape))
        pictures = f"{rows} pictures" if rows > 1 else "one picture"
        failure = _failure(error, manifest)
        problem = f"the network does not run on {pictures} of {shape}: {failure}"
        raise manifest.unusable("[input]", problem) from error


def _failure(error: BaseException, manifest: Manifest) -> str:
    """What the folder's own code raised, and where in it."""
    folder = manifest.file.parent
    text = summary(error).replace(f"{package_name(folder)}.", "")
    if isinstance(error, ModuleNotFoundError):
        missing = (error.name or "").removeprefix(f"{package_name(folder)}.").partition(".")[0]
        if missing not in neighbors(folder):
            text += "; it is neither installed nor a file of the folder"
    if isinstance(error, SyntaxError):  # which says so itself
        return text
    locations = [
        f" ({Path(frame.filename).name}, line {frame.lineno})"
        for frame in extract_tb(error.__traceback__)
        if Path(frame.filename).is_relative_to(folder)
    ]
    return text + next(reversed(locations), "")
