"""Networks as people write them, each of a few layers."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - torch's own name for it

from core.models.structure.anatomy import Anatomy, anatomy

ROWS = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))


def seen(module: nn.Module, rows: Tensor = ROWS) -> Anatomy:
    found = anatomy(module.eval(), rows)
    assert found is not None
    return found


class Stem(nn.Module):
    """(B, 3, 32, 32) -> (B, 8, 8, 8)."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 4, stride=4)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.conv(x))


class SqueezeBeforeAConvolutionHead(Stem):
    """The last Linear that runs belongs to the gate; the head is a convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = nn.Sequential(nn.Linear(8, 4), nn.ReLU(), nn.Linear(4, 8), nn.Sigmoid())
        self.pool, self.head = nn.AdaptiveAvgPool2d(1), nn.Conv2d(8, 5, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = super().forward(x)
        gate = self.gate(x.mean((2, 3)))[:, :, None, None]
        return self.head(self.pool(x) * gate).flatten(1)


class BoxHead(Stem):
    """Another head runs last, and nobody looks at what it says."""

    def __init__(self) -> None:
        super().__init__()
        self.fc, self.box = nn.Linear(8, 5), nn.Linear(8, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = super().forward(x).mean((2, 3))
        scores = self.fc(x)
        self.box(x * 2)
        return scores


class Distilled(Stem):
    """Two heads, whose mean is the answer."""

    def __init__(self) -> None:
        super().__init__()
        self.head, self.head_dist = nn.Linear(8, 5), nn.Linear(8, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = super().forward(x).flatten(2).transpose(1, 2)
        return (self.head(x[:, 0]) + self.head_dist(x[:, 1])) / 2


class Auxiliary(Stem):
    """The best of what every token says is added, as in VOLO."""

    def __init__(self) -> None:
        super().__init__()
        self.head, self.aux = nn.Linear(8, 5), nn.Linear(8, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = super().forward(x).flatten(2).transpose(1, 2)
        return self.head(x.mean(1)) + 0.5 * self.aux(x).amax(1)


class Cosine(nn.Module):
    """A head of its own, without a Linear: the cosine to each class."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(5, 8))

    def forward(self, x: Tensor) -> Tensor:
        return 16 * F.linear(F.normalize(x), F.normalize(self.weight))


class WithCosine(Stem):
    def __init__(self) -> None:
        super().__init__()
        self.arc = Cosine()

    def forward(self, x: Tensor) -> Tensor:
        return self.arc(super().forward(x).mean((2, 3)))


class FunctionalAfterPool(Stem):
    """Weights of the network's own, behind a pooling layer."""

    def __init__(self) -> None:
        super().__init__()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.weight = nn.Parameter(torch.randn(5, 8))

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(self.pool(super().forward(x)).flatten(1), self.weight)


class Functional(Stem):
    """Nothing but parameters: no layer has the features at its input or output."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden = nn.Parameter(torch.randn(6, 8))
        self.weight = nn.Parameter(torch.randn(5, 6))

    def forward(self, x: Tensor) -> Tensor:
        hidden = torch.tanh(super().forward(x).mean((2, 3)) @ self.hidden.T)
        return F.linear(hidden * 3, self.weight)


class Last(nn.Module):
    """Maps as (h, w, C), as Swin and ConvNeXt have them inside."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, 8, 4, stride=4)
        self.norm = nn.LayerNorm(8)
        self.grow = nn.Linear(8, 16)
        self.act = nn.GELU()
        self.merge = nn.Linear(64, 6)
        self.head = nn.Linear(6, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.act(self.grow(self.norm(self.patches(x).permute(0, 2, 3, 1))))  # (B, 8, 8, 16)
        batch, height, width, channels = x.shape
        x = x.reshape(batch, height // 2, 2, width // 2, 2, channels).permute(0, 1, 3, 4, 2, 5)
        return self.head(self.merge(x.flatten(3)).mean((1, 2)))


class Block(nn.Module):
    """A transformer's block."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mlp = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(),
                                 nn.Linear(2 * width, width))  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        batch, tokens, width = x.shape
        qkv = self.qkv(self.norm1(x)).reshape(batch, tokens, 3, 2, width // 2)
        q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind(0)
        mixed = F.scaled_dot_product_attention(q, k, v).transpose(1, 2)
        x = x + self.proj(mixed.reshape(batch, tokens, width))
        return x + self.mlp(self.norm2(x))


class Transformer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, 8, 8, stride=8)
        self.token = nn.Parameter(torch.randn(1, 1, 8))
        self.blocks = nn.Sequential(Block(8), Block(8))
        self.norm, self.head = nn.LayerNorm(8), nn.Linear(8, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.patches(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.token.expand(len(x), -1, -1), x], 1)
        return self.head(self.norm(self.blocks(x))[:, 0])


class Branches(nn.Module):
    """Two branches side by side, pooled by a function."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.other = nn.Conv2d(3, 4, 4, stride=4), nn.Conv2d(3, 6, 4, stride=4)
        self.head = nn.Linear(10, 5)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(torch.cat([self.one(x), self.other(x)], 1).mean((2, 3)))


class Gated(Stem):
    """Squeeze and excite: its 1 x 1 maps run after the maps that they scale."""

    def __init__(self) -> None:
        super().__init__()
        self.reduce, self.expand = nn.Conv2d(8, 2, 1), nn.Conv2d(2, 8, 1)
        self.pool, self.head = nn.AdaptiveAvgPool2d(1), nn.Conv2d(8, 16, 1)
        self.fc = nn.Linear(16, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = super().forward(x)
        x = x * torch.sigmoid(self.expand(F.relu(self.reduce(x.mean((2, 3), keepdim=True)))))
        return self.fc(F.hardswish(self.head(self.pool(x))).flatten(1))


class Tutorial(nn.Module):
    """The last map is the one before the pooling, however it is pooled."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.pool = nn.Conv2d(3, 8, 5), nn.MaxPool2d(2)
        self.conv2, self.fc = nn.Conv2d(8, 16, 5), nn.Linear(16 * 5 * 5, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.pool(F.relu(self.conv2(self.pool(F.relu(self.conv1(x))))))
        return self.fc(x.view(-1, 16 * 5 * 5))
