"""Where the channels are in networks that multiply along their tokens."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from core.explain.cam import grad_cam
from core.models.loaded import LoadedModel
from core.models.structure.axes import Axes
from core.models.structure.ports import Port
from tests.core.explain.networks import loaded, rows
from tests.core.models.structure.small_networks import seen


class Across(nn.Module):
    """A Linear over the tokens, of which there are 16."""

    def __init__(self, bias: bool) -> None:
        super().__init__()
        self.linear = nn.Linear(16, 16, bias)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x.transpose(1, 2)).transpose(1, 2)


class Contiguous(Across):
    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x.transpose(1, 2).contiguous()).transpose(1, 2)


class Matrix(Across):
    def forward(self, x: Tensor) -> Tensor:
        return self.linear.weight @ x


class Transposed(Across):
    def forward(self, x: Tensor) -> Tensor:
        return (x.transpose(1, 2) @ self.linear.weight).transpose(1, 2)


class Twice(Across):
    """Two layers over the tokens, with something between."""

    def __init__(self, bias: bool) -> None:
        super().__init__(bias)
        self.wide, self.back = nn.Linear(16, 24, bias), nn.Linear(24, 16, bias)

    def forward(self, x: Tensor) -> Tensor:
        return self.back(self.wide(x.transpose(1, 2)).relu()).transpose(1, 2)


class Einsum(Across):
    def forward(self, x: Tensor) -> Tensor:
        return torch.einsum("btc,ts->bsc", x, self.linear.weight)


class Mixer(nn.Module):
    """(B, 3, 32, 32) -> 16 tokens of 12 channels, mixed, and normalized by channel."""

    def __init__(self, across: type[Across], bias: bool = True) -> None:
        super().__init__()
        self.emb, self.tok = nn.Conv2d(3, 12, 8, 8), across(bias)
        self.ln, self.head = nn.LayerNorm(12), nn.Linear(12, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.tok(self.emb(x).flatten(2).transpose(1, 2))
        logits: Tensor = self.head(self.ln(x).mean(1))
        return logits


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("across", [Across, Contiguous, Matrix, Transposed, Twice, Einsum])
def test_channels_stay_where_they_are_when_tokens_are_mixed(
    across: type[Across], bias: bool
) -> None:
    axes = seen(Mixer(across, bias)).axes
    for port in (Port("tok", "input"), Port("tok"), Port("ln", "input"), Port("ln")):
        assert axes[port] == Axes(-1, (4, 4)), port


def mixer() -> LoadedModel:
    torch.manual_seed(0)
    return loaded(Mixer(Across), classes=5)


def test_vectors_of_mixed_tokens_have_one_number_for_each_channel() -> None:
    model = mixer()
    batch = rows(model, 2)
    with torch.no_grad(), Port("tok").captured(model.module) as captured:
        model.module(batch)
    for port in (Port("tok"), Port("ln", "input")):
        vectors = model.layer_vectors(batch, port, "avg")
        np.testing.assert_allclose(vectors, captured[0].mean(1), atol=1e-5)


def test_grad_cam_of_mixed_tokens_is_of_their_grid() -> None:
    model = mixer()
    (found,) = grad_cam(model, rows(model, 1), [0], (Port("tok"),))
    assert found.cells == (4, 4)
