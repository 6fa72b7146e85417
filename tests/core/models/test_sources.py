"""Networks of a library in a folder of one's own."""

from pathlib import Path

import timm
import torch

from core.models.folder import model_of_folder
from core.models.registry import standard_registry
from tests.core.models.folders import CPU
from tests.folders import toy_folder


def test_a_network_of_a_library_takes_arguments_and_own_weights(tmp_path: Path) -> None:
    manifest = """
        [model]
        source = "timm:resnet10t"
        weights = "w.pt"
        [model.args]
        num_classes = 3
        in_chans = 1
        [input]
        channels = 1
        height = 64
        width = 32
        resize = "stretch"
        mean = [0.5]
        std = [0.5]
        [classes]
        labels = ["a", "b", "c"]
    """
    folder = toy_folder(tmp_path, manifest=manifest)

    module = timm.create_model("resnet10t", num_classes=3, in_chans=1)
    torch.save(module.state_dict(), folder / "w.pt")
    spec, loaded = model_of_folder(folder)
    assert spec.input_shape == (1, 64, 32)
    assert torch.equal(loaded.fc.weight, module.fc.weight)


def test_a_library_says_what_a_manifest_leaves_out(tmp_path: Path) -> None:
    folder = toy_folder(tmp_path, manifest='[model]\nsource = "torchvision:resnet18"\n')
    spec, _ = model_of_folder(folder, pretrained=False)
    assert spec.name == "toy"
    assert spec.input_shape == (3, 224, 224)
    assert len(spec.labels) == 1000


def test_mnasnet_of_torchvision_takes_its_own_weights(tmp_path: Path) -> None:
    import torchvision

    folder = tmp_path / "mnasnet"
    folder.mkdir()
    module = torchvision.models.mnasnet0_5(weights=None, num_classes=3)
    torch.save(module.state_dict(), folder / "w.pth")
    (folder / "model.toml").write_text(
        '[model]\nsource = "torchvision:mnasnet0_5"\nweights = "w.pth"\n'
        '[model.args]\nnum_classes = 3\n[classes]\nlabels = ["a", "b", "c"]\n'
    )
    assert standard_registry(tmp_path).load("mnasnet", CPU).num_classes == 3
