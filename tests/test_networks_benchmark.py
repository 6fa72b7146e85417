"""The benchmark of library networks: run on the smallest, and its references on their own."""

import ast
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from torch import nn

from benchmarks.networks import references, written_out
from benchmarks.networks.cells import compared, worst
from benchmarks.networks.checks import CHECKS, Report, examine
from benchmarks.networks.page import page
from benchmarks.networks.references import Reference, by_channel, channels_first
from benchmarks.networks.zoo import ALL


def test_a_small_network_has_no_wrong_cell() -> None:
    report = examine(ALL["timm:test_resnet"])
    assert {name: cell.verdict for name, cell in report.cells.items()} == {
        check.name: "ok" for check in CHECKS
    }
    assert "| timm:test_resnet | openvino |" in page([report], "a moment")


def test_a_process_that_was_lost_is_a_row() -> None:
    lost = Report("timm:test_vit", cells={"loads": worst({"x": compared([1.0], [2.0])})})
    assert "| timm:test_vit | **WRONG** 5e-01 |" in page([lost], "a moment")


@pytest.mark.parametrize("module", [references, written_out])
def test_references_share_no_code_with_core(module: ModuleType) -> None:
    tree = ast.parse(Path(str(module.__file__)).read_text())
    imported = {each.module or "" for each in ast.walk(tree) if isinstance(each, ast.ImportFrom)}
    imported |= {
        a.name for each in ast.walk(tree) if isinstance(each, ast.Import) for a in each.names
    }
    assert not {each for each in imported if each.split(".")[0] in ("core", "service")}


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ([1.0, 2.0], [1.0, 2.01]),
        ([1.0], [1.0, 2.0]),
        ([float("nan"), 2.0], [1.0, 2.0]),
        ([0.0, 0.0], [0.0, 0.0]),
    ],
)
def test_what_differs_or_says_nothing_is_wrong(ours: list[float], theirs: list[float]) -> None:
    assert compared(ours, theirs).verdict == "wrong"


def test_channels_are_found_on_every_kind_of_axes() -> None:
    maps = torch.arange(24.0).view(2, 3, 4)  # (C, h, w)
    square = torch.arange(18.0).view(2, 3, 3)
    tokens = torch.cat([torch.full((1, 2), 99.0), square.flatten(1).T])  # a class token first
    assert torch.equal(by_channel(maps, "chw"), by_channel(maps.permute(1, 2, 0), "hwc"))
    assert torch.equal(channels_first(maps.permute(1, 2, 0), "hwc", 0), maps)
    assert torch.equal(channels_first(tokens, "tokens", 1), square)


def test_references_gradient_is_the_slope_where_torchs_batch_norm_goes_back_wrongly() -> None:
    torch.manual_seed(0)

    class Tokens(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, 2), nn.BatchNorm2d(8), nn.ReLU())
            self.head = nn.Linear(8, 5)
            nn.init.uniform_(self.stem[1].running_var, 0.5, 2)
            nn.init.uniform_(self.stem[1].weight, 0.5, 2)

        def forward(self, rows: torch.Tensor) -> torch.Tensor:
            tokens = self.stem(rows).flatten(2).transpose(1, 2)
            logits: torch.Tensor = self.head(tokens.tanh().mean(1))
            return logits

    reference = Reference(Tokens())
    row = torch.randn(1, 3, 12, 12).double()
    gradient = reference.gradient(row, 2)
    for way in torch.randn(3, 3, 12, 12).double():
        expected = reference.slope(row, 2, way)
        assert float((gradient * way).sum()) == pytest.approx(expected, rel=1e-3)


def test_references_guided_gradient_by_hand() -> None:
    # Two ReLUs: (1, -1) -> weights -> logit. What comes back negative stops at each ReLU.
    net = nn.Sequential(nn.ReLU(), nn.Flatten(), nn.Linear(4, 1, bias=False), nn.ReLU6())
    with torch.no_grad():
        net[2].weight.copy_(torch.tensor([[1.0, -2.0, 3.0, 0.5]]))
    row = torch.tensor([[[[1.0, 0.5], [-1.0, 2.0]]]]).double()
    found = Reference(net).guided(row, 0)
    np.testing.assert_allclose(found.gradient, [[[1.0, 0.0], [0.0, 0.5]]])
    assert (found.guided, found.others) == (2, 0)
