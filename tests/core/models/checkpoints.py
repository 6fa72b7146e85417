"""A small network, its weights in files, and whether they are taken or refused."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from core.errors import ModelUnusable
from core.models.checkpoint import weights_of


class Net(nn.Module):
    """A convolution, a BatchNorm, and a linear layer whose weights another one shares."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 2, 3)
        self.bn = nn.BatchNorm2d(2)
        self.fc = nn.Linear(2, 2)
        self.twin = nn.Linear(2, 2)
        self.twin.weight = self.fc.weight


def trained() -> Net:
    torch.manual_seed(7)
    module = Net()
    module.bn.running_mean.normal_()  # type: ignore[union-attr]
    return module


def state(prefix: str = "") -> dict[str, Tensor]:
    return {f"{prefix}{name}": each for name, each in trained().state_dict().items()}


def assert_taken(file: Path, key: str | None = None) -> str:
    """Whether a file's tensors are those of the trained network; what was said of it."""
    found = weights_of(Net(), file, key)
    expected = trained().state_dict()
    assert found.state.keys() == expected.keys()
    for name, tensor in expected.items():
        assert torch.equal(found.state[name], tensor), name
    return "; ".join(found.notes)


def refused(file: Path) -> str:
    with pytest.raises(ModelUnusable) as caught:
        weights_of(Net(), file)
    message = str(caught.value)
    assert message.startswith(file.name)
    assert "\n" not in message
    assert "weights_only" not in message
    return message
