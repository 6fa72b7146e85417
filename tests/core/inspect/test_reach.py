"""Receptive fields against the plainest oracle: a row of NaN reaches whatever depends on it."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - torch's own name for it

from core.inspect.table import layer_table

HEIGHT, WIDTH = 23, 18


class Lambda(nn.Module):
    def __init__(self, function: object) -> None:
        super().__init__()
        self.function = function

    def forward(self, batch: Tensor) -> Tensor:
        return self.function(batch)  # type: ignore[operator, no-any-return]


class Residual(nn.Sequential):
    def forward(self, batch: Tensor) -> Tensor:
        return batch + super().forward(batch)


class Joined(nn.Module):
    """Branches side by side, like Inception's."""

    def __init__(self, *branches: nn.Module, axis: int = 1) -> None:
        super().__init__()
        self.branches, self.axis = nn.ModuleList(branches), axis

    def forward(self, batch: Tensor) -> Tensor:
        return torch.cat([each(batch) for each in self.branches], self.axis)


class Gated(nn.Module):
    """Squeeze and excitation: every position depends on every other."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = nn.Conv2d(3, 3, 1)

    def forward(self, batch: Tensor) -> Tensor:
        return batch * self.gate(batch.mean((2, 3), keepdim=True)).sigmoid()


def conv(**options: object) -> nn.Conv2d:
    return nn.Conv2d(3, 3, **{"kernel_size": 3, **options})  # type: ignore[arg-type]


NETWORKS: dict[str, list[nn.Module]] = {
    "plain": [conv(), nn.ReLU(inplace=True), conv(kernel_size=(1, 5))],
    "padded": [conv(padding=1), nn.BatchNorm2d(3), conv(padding=(2, 0))],
    "strided, so that the last rows are never read": [
        conv(stride=3), nn.ReLU6(), conv(stride=2, padding=1)
    ],
    "dilated": [conv(dilation=3, padding=2), conv(dilation=(1, 2))],
    "same, even": [conv(kernel_size=4, padding="same"), conv(stride=2)],
    "grouped": [conv(groups=3, padding=1), nn.Hardswish(), conv(kernel_size=1)],
    "pooled": [nn.MaxPool2d(3, 2, 1), nn.AvgPool2d(2), nn.LeakyReLU()],
    "pooled with a ceiling": [nn.MaxPool2d(2, ceil_mode=True), nn.MaxPool2d(3, 3, ceil_mode=True)],
    "adaptive": [conv(), nn.AdaptiveAvgPool2d((4, 3)), nn.AdaptiveMaxPool2d((2, 2))],
    "reflected": [conv(padding=2, padding_mode="reflect", kernel_size=5), conv(stride=2)],
    "reflected far": [nn.ReflectionPad2d((4, 1, 0, 5)), conv(stride=2)],
    "replicated": [conv(padding=1, padding_mode="replicate"), nn.PReLU()],
    "zero padded, cropped": [nn.ZeroPad2d((3, 0, 1, -2)), conv(stride=2)],
    "residual": [conv(stride=2), Residual(conv(padding=1), nn.GELU(), conv(padding=1))],
    "joined": [Joined(conv(padding=1), conv(kernel_size=1), nn.MaxPool2d(5, 1, 2)), nn.SiLU()],
    "joined below one another": [Joined(conv(), conv(stride=(2, 1)), axis=2)],
    "joined beside one another": [Joined(conv(), conv(dilation=(1, 2), padding=(0, 1)), axis=3)],
    "gated": [conv(), Gated()],
    "sliced": [Lambda(lambda x: x[:, :, 2:-3, 1::2]), conv()],
    "shuffled": [conv(padding=1), nn.ChannelShuffle(3), Lambda(lambda x: x.split(2, 1)[0])],
    "shuffled by hand": [
        conv(),
        Lambda(lambda x: x.view(len(x), 3, 1, *x.shape[2:]).transpose(1, 2).reshape(x.shape)),
    ],
    "padding alone": [nn.ZeroPad2d((9, 9, 9, 9)), conv(stride=2), nn.Threshold(0, 1)],
    "clipped": [conv(), Lambda(lambda x: F.hardtanh(x).clamp(-1, 1)), nn.Dropout()],
}  # fmt: skip


def depends(module: nn.Module, size: int, axis: int) -> Tensor:
    """(size, h, w): whether a position depends on that row (axis 2) or column (axis 3)."""
    # In float64, where torch's own plain loops run: no kernel that works on blocks of pixels.
    pictures = torch.randn(size, 3, HEIGHT, WIDTH, dtype=torch.float64)
    for index in range(size):
        pictures[index].select(axis - 1, index).fill_(torch.nan)
    with torch.no_grad():
        return module(pictures).isnan().any(1)


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel:UserWarning")
@pytest.mark.parametrize("name", NETWORKS)
def test_a_position_depends_on_just_the_rows_and_columns_said(name: str) -> None:
    torch.manual_seed(0)
    # The identity is the last leaf to run, whatever the network ends in.
    module = nn.Sequential(*NETWORKS[name], nn.Identity()).eval().double()
    table = layer_table(module, torch.randn(1, 3, HEIGHT, WIDTH, dtype=torch.float64))
    reach = table.reaches[table.rows[-1].name]
    assert reach is not None
    for spans, axis, size in ((reach.rows, 2, HEIGHT), (reach.cols, 3, WIDTH)):
        read = depends(module, size, axis).any(4 - axis)  # (size, positions along the axis)
        assert len(spans) == read.shape[1]
        for position, (first, last) in enumerate(spans):
            where = read[:, position].nonzero().flatten().tolist()
            assert (first, last) == ((where[0], where[-1] + 1) if where else (first, last))
            assert bool(where) == (first < last)


@pytest.mark.parametrize(
    "module",
    [
        nn.Upsample(scale_factor=2),
        nn.ConvTranspose2d(3, 3, 2, stride=2),
        nn.GroupNorm(1, 3),
        Lambda(lambda x: x.transpose(2, 3)),
        Lambda(lambda x: x.flip(2)),
        conv(padding=1, padding_mode="circular"),
    ],
    ids=lambda module: type(module).__name__,
)
def test_what_is_not_followed_is_said_to_be_unknown(module: nn.Module) -> None:
    network = nn.Sequential(module, nn.Conv2d(3, 1, 1)).eval()
    table = layer_table(network, torch.randn(1, 3, HEIGHT, WIDTH))
    assert table.reaches["1"] is None
    assert table.row("1").receptive_field is None


def test_writing_in_place_into_a_view_forgets_what_was_known_of_the_whole() -> None:
    class Written(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.wide = nn.Conv2d(3, 4, 1), nn.Conv2d(3, 2, 5, padding=2)
            self.last = nn.Conv2d(4, 1, 1)

        def forward(self, batch: Tensor) -> Tensor:
            rows = self.first(batch)
            rows[:, :2] += self.wide(batch)
            return self.last(rows)

    table = layer_table(Written().eval(), torch.randn(1, 3, HEIGHT, WIDTH))
    assert table.row("wide").receptive_field == (5, 5)
    assert table.row("last").receptive_field is None
