import urllib.request
from urllib.error import URLError

import pytest
import timm
import torch

from core.errors import ModelUnusable, UnknownModel, WeightsUnavailable
from core.models.registry import ModelRegistry, standard_registry
from tests.tinycnn import TinyCNN, tiny_spec

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("name", "feature_layer", "feature_dim"),
    [
        ("torchvision:resnet18", "fc", 512),
        ("torchvision:squeezenet1_1", "classifier.1", 512),
        ("timm:resnet10t", "fc", 512),
        ("timm:convnext_atto", "head.fc", 320),
    ],
)
def test_models_of_both_libraries_load_with_random_weights(
    name: str, feature_layer: str, feature_dim: int
) -> None:
    model = standard_registry().load(name, CPU, pretrained=False)
    assert model.spec.name == name
    assert (model.features.layer, model.feature_dim) == (feature_layer, feature_dim)
    assert model.num_classes == len(model.spec.labels) == 1000
    assert model.runtime.name == "openvino"


def test_torchvision_weights_that_cannot_be_fetched_are_a_clear_error(
    monkeypatch: pytest.MonkeyPatch, tmp_path: object
) -> None:
    def offline(*_: object, **__: object) -> None:
        raise URLError("no route to host")

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(urllib.request, "urlopen", offline)
    monkeypatch.setattr("torch.hub.urlopen", offline)
    with pytest.raises(WeightsUnavailable, match=r"torchvision:resnet18.*no route to host"):
        standard_registry().load("torchvision:resnet18", CPU)


def test_timm_weights_that_cannot_be_fetched_are_a_clear_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def offline(*_: object, **__: object) -> None:
        raise ConnectionError("offline")

    monkeypatch.setattr(timm, "create_model", offline)
    with pytest.raises(WeightsUnavailable, match=r"timm:resnet18.*offline"):
        standard_registry().load("timm:resnet18", CPU)


@pytest.mark.parametrize(
    "name", ["nope", "torchvision:nope", "timm:nope", "torchvision:", "efficientnet-lite0:b"]
)
def test_unknown_names_are_refused_with_the_known_ones(name: str) -> None:
    with pytest.raises(UnknownModel, match="known: "):
        standard_registry().load(name, CPU)


def test_a_taken_name_is_refused() -> None:
    registry = ModelRegistry()
    registry.register("tiny", lambda *_: (tiny_spec(), TinyCNN()))
    with pytest.raises(ModelUnusable, match="'tiny' is taken"):
        registry.register("tiny", lambda *_: (tiny_spec(), TinyCNN()))
