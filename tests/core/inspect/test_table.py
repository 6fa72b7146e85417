import warnings
from collections.abc import Callable

import pytest
import timm
import torch
import torchvision
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import relu
from torch.utils.flop_counter import FlopCounterMode

from core.errors import InvalidValue, UnknownLayer
from core.inspect.table import LayerTable, find_convolution, layer_table
from tests.core.inspect.hooks import hooks
from tests.tinycnn import TinyCNN

NETWORKS: dict[str, tuple[Callable[[], nn.Module], int]] = {
    "resnet50": (lambda: torchvision.models.resnet50(weights=None), 224),
    "densenet121": (lambda: torchvision.models.densenet121(weights=None), 224),
    "inception_v3": (
        lambda: torchvision.models.inception_v3(weights=None, init_weights=False),
        299,
    ),
    "tf_efficientnet_lite0": (lambda: timm.create_model("tf_efficientnet_lite0"), 224),
    "vit_tiny_patch16_224": (lambda: timm.create_model("vit_tiny_patch16_224"), 224),
}


class Branches(nn.Module):
    """Adds, joins, writes in place, hands on: what comes from where is told by hand below."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 4, 3, padding=1)
        self.inplace = nn.ReLU(inplace=True)
        self.left = nn.Conv2d(4, 4, 1)
        self.same = nn.Identity()
        self.right = nn.Conv2d(4, 4, 3, padding=1)
        self.pair = Pair()
        self.added = nn.BatchNorm2d(4)
        self.joined = nn.Conv2d(8, 2, 1)
        self.flat = nn.Flatten()
        self.never = nn.Conv2d(1, 1, 1)
        self.last = nn.Linear(2 * 8 * 8, 5)

    def forward(self, batch: Tensor) -> Tensor:
        rows = self.inplace(self.first(batch))
        left = self.left(self.same(rows))
        right = self.right(rows)
        added = self.added(left + relu(right))
        halves = self.pair(added)
        rows = self.joined(torch.cat([halves[0], rows, halves[1]], 1))
        return self.last(self.flat(rows * 2))


class Pair(nn.Module):
    """A layer that answers a tuple."""

    def forward(self, batch: Tensor) -> tuple[Tensor, Tensor]:
        first, second = batch.chunk(2, 1)
        return first.clone(), second.clone()


def tabulated(module: nn.Module, *shape: int) -> LayerTable:
    generator = torch.Generator().manual_seed(0)
    return layer_table(module.eval(), torch.randn(1, *shape, generator=generator))


def hooked(
    module: nn.Module, example: Tensor
) -> list[tuple[str, tuple[int, ...], tuple[int, ...]]]:
    """Name, input and output shape of each leaf that runs, by hooks and nothing else."""
    seen = []

    def hook(name: str) -> Callable[..., None]:
        return lambda _module, inputs, output: seen.append(
            (name, tuple(inputs[0].shape[1:]), tuple(output.shape[1:]))
        )

    handles = [
        each.register_forward_hook(hook(name))
        for name, each in module.named_modules()
        if not list(each.children())
    ]
    with torch.no_grad():
        module(example)
    for each in handles:
        each.remove()
    return seen


@pytest.mark.parametrize("name", NETWORKS)
def test_the_table_of_a_real_network_is_what_hooks_see_and_the_flop_counter_counts(
    name: str,
) -> None:
    make, side = NETWORKS[name]
    module = make().eval()
    table = tabulated(module, 3, side, side)
    example = torch.zeros(1, 3, side, side)
    rows = [(row.name, row.input_shape, row.output_shape) for row in table.rows]
    assert rows == hooked(module, example)
    # The counter knows no fused attention on a CPU: it sees it only taken apart.
    counter = FlopCounterMode(display=False)
    with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), counter:
        module(example)
    assert table.totals.macs == pytest.approx(counter.get_total_flops() / 2, rel=0.01)
    assert table.totals.parameters == sum(each.numel() for each in module.parameters())
    listed = {row.name: row.parameters for row in table.rows}
    assert sum(listed.values()) + table.elsewhere.parameters == table.totals.parameters
    assert sum(row.macs for row in table.rows) + table.elsewhere.macs == table.totals.macs
    assert not hooks(module)


def test_shapes_of_a_large_picture_through_one_of_each_layer() -> None:
    module = nn.Sequential(
        nn.Conv2d(3, 6, 5, padding="same"),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(6, 10),
    )
    table = tabulated(module, 3, 800, 800)
    assert [(row.type, row.input_shape, row.output_shape) for row in table.rows] == [
        ("Conv2d", (3, 800, 800), (6, 800, 800)),
        ("ReLU", (6, 800, 800), (6, 800, 800)),
        ("MaxPool2d", (6, 800, 800), (6, 400, 400)),
        ("AdaptiveAvgPool2d", (6, 400, 400), (6, 1, 1)),
        ("Flatten", (6, 1, 1), (6,)),
        ("Linear", (6,), (10,)),
    ]
    assert [row.parameters for row in table.rows] == [3 * 5 * 5 * 6 + 6, 0, 0, 0, 0, 6 * 10 + 10]
    assert [row.macs for row in table.rows] == [800 * 800 * 6 * 3 * 5 * 5, 0, 0, 0, 0, 60]
    assert [row.has_filters for row in table.rows] == [True, False, False, False, False, False]
    fields = [row.receptive_field for row in table.rows]
    assert fields == [(5, 5), (5, 5), (6, 6), (800, 800), None, None]
    conv, _, pool, *_ = table.rows
    assert (conv.kernel, conv.stride, conv.padding) == ((5, 5), (1, 1), "same")
    assert (conv.dilation, conv.groups) == ((1, 1), 1)
    assert (pool.kernel, pool.stride, pool.padding, pool.groups) == ((2, 2), (2, 2), (0, 0), None)


def test_a_layer_follows_those_whose_output_reaches_it_past_no_other() -> None:
    table = tabulated(Branches(), 3, 8, 8)
    assert {row.name: row.follows for row in table.rows} == {
        "first": ("input",),
        "inplace": ("first",),
        "same": ("inplace",),
        "left": ("same",),
        "right": ("inplace",),  # and not "same", which handed the same tensor on
        "added": ("left", "right"),
        "pair": ("added",),
        "joined": ("pair", "inplace"),
        "flat": ("joined",),
        "last": ("flat",),
    }


def test_a_layer_that_runs_twice_is_listed_twice() -> None:
    table = tabulated(TinyCNN(), 3, 32, 32)
    assert [row.name for row in table.rows] == [
        "conv1", "inplace", "reused", "conv2", "reused", "hidden", "classifier"
    ]  # fmt: skip
    assert [row.follows for row in table.rows if row.name == "reused"] == [("inplace",), ("conv2",)]
    assert table.row("reused").output_shape == (16, 16, 16)


def test_writing_into_a_view_reaches_whoever_reads_the_whole() -> None:
    class Written(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = nn.Conv2d(3, 4, 1), nn.Conv2d(3, 2, 1)
            self.last = nn.Conv2d(4, 1, 1)

        def forward(self, batch: Tensor) -> Tensor:
            rows = self.first(batch)
            rows[:, :2] += self.second(batch)
            return self.last(rows)

    table = tabulated(Written(), 3, 6, 6)
    assert table.row("last").follows == ("first", "second")


def test_attention_whose_parts_never_run_as_modules_is_one_layer() -> None:
    tokens, width = 7, 8

    class Attending(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.attention = nn.MultiheadAttention(width, 2, batch_first=True)

        def forward(self, batch: Tensor) -> Tensor:
            return self.attention(batch, batch, batch, need_weights=False)[0]

    fast = torch.backends.mha.get_fastpath_enabled()
    module = Attending().eval()
    table = layer_table(module, torch.randn(1, tokens, width))
    (row,) = table.rows
    assert (row.type, row.output_shape) == ("MultiheadAttention", (tokens, width))
    assert row.parameters == sum(each.numel() for each in module.parameters())
    assert row.macs == 4 * tokens * width * width + 2 * tokens * tokens * width
    assert torch.backends.mha.get_fastpath_enabled() == fast


def test_a_shared_parameter_is_counted_once_in_the_totals() -> None:
    module = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
    module[1].weight = module[0].weight
    table = layer_table(module.eval(), torch.zeros(1, 3, 4, 4))
    assert [row.parameters for row in table.rows] == [20, 20]
    assert table.totals.parameters == 24
    assert table.elsewhere.parameters == 0


def test_a_forward_that_fails_leaves_no_hook_behind() -> None:
    module = TinyCNN().eval()
    with pytest.raises(RuntimeError):
        layer_table(module, torch.zeros(1, 5, 32, 32))
    assert not hooks(module)
    assert torch.backends.mha.get_fastpath_enabled()
    assert len(layer_table(module, torch.zeros(1, 3, 32, 32)).rows) == 7


def test_the_table_leaves_the_network_as_it_was() -> None:
    module = Branches().eval()
    example = torch.randn(1, 3, 8, 8)
    before = {name: value.clone() for name, value in module.state_dict().items()}
    with torch.no_grad(), warnings.catch_warnings():
        expected = module(example)
        layer_table(module, example)
        assert torch.equal(module(example), expected)
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())


def test_another_layer_than_a_convolution_is_named_with_some_convolutions() -> None:
    module = Branches()
    with pytest.raises(InvalidValue, match=r"'last'.*which a Linear is not; there are first, left"):
        find_convolution(module, "last")
    with pytest.raises(UnknownLayer, match="'nope'"):
        find_convolution(module, "nope")
    with pytest.raises(UnknownLayer, match="'never'"):
        tabulated(module, 3, 8, 8).row("never")
    with pytest.raises(InvalidValue, match="none: this network has none"):
        find_convolution(nn.Sequential(nn.ReLU()), "0")
