"""A small seeded network with the shapes of trouble that real ones have."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - torch's own name for it

from core.models.loaded import LoadedModel
from core.models.preprocess import Preprocessing
from core.models.spec import ModelSpec

SIZE = 32


class TinyCNN(nn.Module):
    """Two convolutions with an in-place, a reused and a functional ReLU."""

    def __init__(self, n_classes: int = 10, channels: int = 3, seed: int = 0) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.conv1 = nn.Conv2d(channels, 8, 3, padding=1)
            self.inplace = nn.ReLU(inplace=True)
            self.conv2 = nn.Conv2d(8, 16, 3, padding=1)
            self.reused = nn.ReLU()
            self.hidden = nn.Linear(16, 24)
            self.classifier = nn.Linear(24, n_classes)

    def forward(self, batch: Tensor) -> Tensor:
        """(B, C, 32, 32) -> (B, K)."""
        rows = F.max_pool2d(self.inplace(self.conv1(batch)), 2)
        rows = self.reused(self.conv2(self.reused(rows)))
        return self.classifier(F.relu(self.hidden(rows.mean((2, 3)))))


def tiny_spec(name: str = "tiny", n_classes: int = 10, channels: int = 3) -> ModelSpec:
    preprocess = Preprocessing(
        channels=channels,
        height=SIZE,
        width=SIZE,
        resize=SIZE,
        interpolation="bilinear",
        mean=(0.5,) * channels,
        std=(0.25,) * channels,
    )
    return ModelSpec(name, preprocess, tuple(f"class {i}" for i in range(n_classes)))


def tiny_model(seed: int = 0, name: str = "tiny") -> LoadedModel:
    return LoadedModel(tiny_spec(name), TinyCNN(seed=seed), torch.device("cpu"))
