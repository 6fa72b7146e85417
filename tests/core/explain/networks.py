"""Networks to explain, with random weights and the smallest input they take; maps compared."""

from functools import cache

import numpy as np
import torch
import torchvision
from torch import Tensor, nn

from core.explain.gradients import input_gradients
from core.explain.objective import ClassObjective
from core.models.loaded import LoadedModel
from core.models.preprocess import Preprocessing
from core.models.spec import ModelSpec
from tests.tinycnn import TinyCNN, tiny_spec


def loaded(module: nn.Module, size: int = 32, classes: int = 10, channels: int = 3) -> LoadedModel:
    preprocess = Preprocessing(
        channels=channels,
        height=size,
        width=size,
        resize=size,
        interpolation="bilinear",
        mean=(0.5,) * channels,
        std=(0.25,) * channels,
    )
    labels = tuple(f"class {i}" for i in range(classes))
    return LoadedModel(ModelSpec("test", preprocess, labels), module, torch.device("cpu"))


@cache
def network(name: str) -> LoadedModel:
    """A torchvision network of 10 classes, random weights, small input."""
    sizes = {"inception_v3": 96, "vgg11": 48}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        module = _made(name)
        for layer in module.modules():
            if isinstance(
                layer, nn.BatchNorm2d
            ):  # else the activations of deep ones all but vanish
                nn.init.uniform_(layer.running_mean, -0.1, 0.1)
                nn.init.uniform_(layer.running_var, 0.5, 1.0)
    return loaded(module, sizes.get(name, 64))


def _made(name: str) -> nn.Module:
    if name == "densenet":  # with all kinds of layers of DenseNet-121, and a tenth of their number
        return torchvision.models.DenseNet(8, (2, 4, 4, 2), 16, num_classes=10)
    options = {"init_weights": False} if name == "inception_v3" else {}
    module = torchvision.models.get_model(name, weights=None, num_classes=10, **options)
    if name == "vgg11":  # nine tenths of its weights are linear layers of 4096
        module.classifier = nn.Sequential(
            *(nn.Linear(512 * 7 * 7, 64), nn.ReLU(True), nn.Dropout()),
            *(nn.Linear(64, 64), nn.ReLU(True), nn.Dropout(), nn.Linear(64, 10)),
        )
    return module


def rows(model: LoadedModel, count: int, seed: int = 5) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, *model.spec.input_shape, generator=generator)


def view(model: LoadedModel, seed: int = 5) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, model.spec.input_shape, generator=generator, dtype=torch.uint8)


@cache
def tiny() -> LoadedModel:
    return LoadedModel(tiny_spec(), TinyCNN(), torch.device("cpu"))


def plain(model: LoadedModel, batch: Tensor, target: int) -> np.ndarray:
    """(C, H, W): the gradient of a class's logit."""
    return input_gradients(model, batch, [ClassObjective(target)])[0].gradient


def relative(ours: np.ndarray, theirs: np.ndarray) -> float:
    """The largest difference, as a share of the largest value."""
    return float(np.abs(ours - theirs).max() / np.abs(theirs).max())
