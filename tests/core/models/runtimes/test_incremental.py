import numpy as np
import pytest
import timm
import torch
import torchvision
from torch import Tensor, nn

from core.models.loaded import LoadedModel
from core.models.runtimes import spans as spans_module
from core.models.runtimes.graph import beginnings, folded
from core.models.runtimes.incremental import ChangedWindows, Incremental
from core.models.runtimes.runtime import LogitsAndFeatures, _convert
from core.models.runtimes.spans import Span, gain, spans
from core.models.structure.axes import Axes
from core.models.structure.ports import Port
from tests.pictures import photo

SIZE = 96


class Awkward(nn.Module):
    """Every operation that runs on parts of maps, with paddings, strides and dilations."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 5, stride=2, padding=2)
        self.pool = nn.MaxPool2d(3, stride=2, ceil_mode=True)
        self.wide = nn.Conv2d(8, 8, 3, padding=2, dilation=2, groups=2)
        self.flat = nn.Conv2d(8, 8, (1, 3), padding=(0, 1), bias=False)
        self.average = nn.AvgPool2d(2)
        self.last = nn.Conv2d(16, 32, 3, stride=2, padding=1)
        self.heavy = nn.Sequential(*[nn.Conv2d(32, 32, 1) for _ in range(3)])
        self.classifier = nn.Linear(32, 5)

    def forward(self, batch: Tensor) -> Tensor:
        """(B, 3, 96, 96) -> (B, 5)."""
        rows = self.pool(torch.relu(self.stem(batch)))
        rows = rows + nn.functional.silu(self.wide(rows)) * 0.5
        rows = torch.cat([rows, torch.tanh(self.flat(rows))], 1)
        rows = nn.functional.pad(
            self.average(nn.functional.hardswish(rows)), (0, 1, 1, 0), value=0.3
        )
        rows = self.heavy(nn.functional.relu6(self.last(rows)))
        return self.classifier(torch.sigmoid(rows).mean((2, 3)))


def network_of(module: nn.Module, layer: str) -> LogitsAndFeatures:
    return LogitsAndFeatures(module, Port(layer, "input"), Axes(-1, None)).eval()


def incremental(module: nn.Module, layer: str, size: int) -> Incremental:
    network = network_of(module.eval().requires_grad_(False), layer)
    return Incremental(_convert(network, torch.zeros(1, 3, size, size)))


@pytest.fixture(scope="module")
def awkward() -> tuple[nn.Module, Incremental]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        module = Awkward()
    return module, incremental(module, "classifier", SIZE)


def check(
    module: nn.Module, network: Incremental, window: tuple[int, int], starts: list[int]
) -> None:
    """Logits of windows here and there equal those of the whole picture run by torch."""
    size = network.size[0]
    random = torch.Generator().manual_seed(1)
    row, other = torch.randn(2, 3, size, size, generator=random)
    tops, lefts = ([min(s, size - side) for s in starts] for side in window)
    changed = ChangedWindows(network, row, window, tops, lefts)
    places = [(i, j) for i in range(len(tops)) for j in range(len(lefts))]
    expected = row.repeat(len(places), 1, 1, 1)
    for each, (i, j) in zip(expected, places, strict=True):
        where = (
            slice(None),
            slice(tops[i], tops[i] + window[0]),
            slice(lefts[j], lefts[j] + window[1]),
        )
        each[where] = other[where]
    np.testing.assert_allclose(
        changed.logits(other, places), module(expected).numpy(), atol=1e-4, rtol=1e-4
    )


@pytest.mark.parametrize("window", [(12, 12), (5, 31), (1, 1), (20, 7)])
def test_windows_anywhere_give_the_logits_of_a_whole_forward(
    awkward: tuple[nn.Module, Incremental], window: tuple[int, int]
) -> None:
    check(*awkward, window, [0, 1, 7, 30, 41, 84, 96])


@pytest.mark.parametrize(
    ("make", "layer", "size"),
    [
        (lambda: torchvision.models.resnet18(), "fc", 128),
        (lambda: torchvision.models.vgg11_bn(num_classes=10), "classifier.6", 64),
        (lambda: torchvision.models.densenet121(), "classifier", 128),
        (lambda: timm.create_model("tf_efficientnet_lite0"), "classifier", 128),
        (lambda: torchvision.models.googlenet(init_weights=False, aux_logits=False), "fc", 128),
    ],
    ids=["resnet18", "vgg11_bn", "densenet121", "efficientnet_lite0", "googlenet"],
)
def test_real_networks_give_the_logits_of_a_whole_forward(
    make: object, layer: str, size: int
) -> None:
    module = make()  # type: ignore[operator]
    check(module, incremental(module, layer, size), (16, 24), [0, 8, 51, size])


class Counting(Awkward):
    """A tracer takes `len(x)` for a number, here 1; with it rows run into one another."""

    def forward(self, batch: Tensor) -> Tensor:
        """(B, 3, 96, 96) -> (B, 5)."""
        rows = torch.relu(self.wide(torch.relu(self.stem(batch))))
        return self.classifier(rows.flatten(2).transpose(1, 2).reshape(len(rows), -1, 32).mean(1))


def test_rows_that_run_into_one_another_behind_the_cut_are_run_one_by_one(
    awkward: tuple[nn.Module, Incremental],
) -> None:
    module = Counting()
    network = incremental(module, "classifier", SIZE)
    assert (network.rows_at_once, awkward[1].rows_at_once) == (1, 8)
    check(module, network, (12, 12), [0, 30, 84])


def test_default_model_is_cut_late_and_a_large_window_does_not_pay(lite0: LoadedModel) -> None:
    network = lite0.incremental
    assert network is not None
    assert network.beginning.cut.size[0] <= 28
    assert network.pays((32, 32))
    assert not network.pays((200, 200))
    row = lite0.spec.preprocess(photo("chelsea"))
    changed = ChangedWindows(network, row, (32, 32), [96], [80])
    hidden = row.clone()
    hidden[:, 96:128, 80:112] = 0
    ours = changed.logits(torch.zeros_like(row), [(0, 0)])
    np.testing.assert_allclose(ours, lite0.runtime(hidden[None]).logits, atol=1e-4)


def test_squeeze_and_excitation_ends_the_part_that_runs_on_windows() -> None:
    module = torchvision.models.mobilenet_v3_small().eval()
    network = network_of(module, "classifier.3")
    graph = folded(_convert(network, torch.zeros(1, 3, 224, 224)))
    longest = beginnings(graph)[-1]
    assert not any("ReduceMean" in each.name for each in longest.operations)
    assert len(longest.operations) < 8


def test_a_network_of_linear_layers_is_not_cut() -> None:
    module = nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 32, 8))
    with pytest.raises(ValueError, match="gains nothing"):
        incremental(module, "1", 32)


def test_spans_cover_every_cell_that_an_experiment_changes(
    awkward: tuple[nn.Module, Incremental],
) -> None:
    _, network = awkward
    row = torch.randn(3, SIZE, SIZE, generator=torch.Generator().manual_seed(2))
    other = row.clone()
    other[:, 40:52, 10:22] += 1
    maps = [ChangedWindows(network, each, (12, 12), [40], [10])._maps for each in (row, other)]
    vertical = spans(network.beginning, SIZE, 0, Span((40,), 12))
    horizontal = spans(network.beginning, SIZE, 1, Span((10,), 12))
    for operation in network.beginning.operations:
        different = (maps[0][operation.name] != maps[1][operation.name])[0].any(0)
        for axis, found in ((1, vertical), (0, horizontal)):
            cells = different.any(axis).nonzero().ravel()
            span = found[operation.name]
            assert span.starts[0] <= cells.min(), operation.name
            assert cells.max() < span.starts[0] + span.length, operation.name


def test_a_window_as_large_as_the_picture_costs_more_than_a_whole_forward(
    awkward: tuple[nn.Module, Incremental],
) -> None:
    _, network = awkward
    assert gain(network.beginning, network.size, network.size, network._whole) < 1
    assert spans_module._COST_ON_WINDOWS > 1
