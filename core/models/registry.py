"""`ModelRegistry`: names to sources of models; refuses a name that is taken."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path

import torch
from torch import nn

from core.errors import ANY_FAILURE, ModelUnusable, SeethroughError, UnknownModel, summary
from core.models.folder import model_of_folder
from core.models.loaded import LoadedModel
from core.models.manifest import model_folders
from core.models.sources import (
    DEFAULT_MODEL,
    Source,
    efficientnet_lite0,
    timm_model,
    torchvision_model,
)
from core.models.spec import ModelSpec


class ModelRegistry:
    """Sources by name; `family:NAME` asks the source of the family for NAME."""

    def __init__(self) -> None:
        self._sources: dict[str, Source] = {}

    @property
    def sources(self) -> Mapping[str, Source]:
        """What is registered, by name or family."""
        return self._sources

    def register(self, name: str, source: Source) -> None:
        """Add a source under a name (`my-net`) or, ending in a colon, a family (`torchvision:`).

        Raises:
            ModelUnusable: the name is taken.
        """
        if name in self._sources:
            raise ModelUnusable(f"the model name {name!r} is taken")
        self._sources[name] = source

    def load(
        self, name: str, device: torch.device, *, pretrained: bool = True, threads: int = 0
    ) -> LoadedModel:
        """Build the network, load its weights and make it ready to run.

        Args:
            name: a registered name, or `family:NAME`.
            device: where the torch module runs.
            pretrained: False leaves the random initialization, for tests and benchmarks.
            threads: CPU threads of a compiled forward; 0 = all.

        Raises:
            UnknownModel: nothing is registered under the name.
            ModelUnusable: the model cannot be served.
            WeightsUnavailable: its weights could not be fetched.
        """
        family, colon, member = name.partition(":")
        source = self._sources.get(family + colon)
        if source is None or (colon and not member):
            known = [f"{each}NAME" if each.endswith(":") else each for each in self._sources]
            raise UnknownModel(name, known)
        spec, module = source(member, pretrained)
        try:
            return LoadedModel(spec, module, device, threads=threads)
        except SeethroughError as error:
            raise ModelUnusable(f"model {name!r}: {error}") from error
        except ANY_FAILURE as error:  # the network's own code
            raise ModelUnusable(f"model {name!r} does not run: {summary(error)}") from error


def standard_registry(models_dir: Path | None = None) -> ModelRegistry:
    """The registry with everything this project ships, and the networks of a directory.

    Args:
        models_dir: each folder in it that holds a `model.toml` is a model of that name.

    Raises:
        ModelUnusable: there is no such directory, or a folder has a name that is taken.
    """
    registry = ModelRegistry()
    registry.register(DEFAULT_MODEL, efficientnet_lite0)
    registry.register("torchvision:", torchvision_model)
    registry.register("timm:", timm_model)
    for folder in model_folders(models_dir) if models_dir else ():
        registry.register(folder.name, partial(_folder_source, folder))
    return registry


def _folder_source(folder: Path, _name: str, pretrained: bool) -> tuple[ModelSpec, nn.Module]:
    try:
        return model_of_folder(folder, pretrained)
    except SeethroughError:
        raise
    except ANY_FAILURE as error:  # a network that overrides what every torch module has
        raise ModelUnusable(f"{folder}: the network cannot be used: {summary(error)}") from error
