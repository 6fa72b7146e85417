"""Values that Python reads out of a network are noticed, however it reads them."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from core.models.loaded import LoadedModel
from core.models.reads import Reads
from tests.core.explain.networks import loaded as wrapped
from tests.core.models.folders import VIEW, loaded, net, pictures

READS = [
    "x.mean((1, 2, 3)).tolist()[0] > 0.2",
    "x.numpy().mean() > 0.2",
    "np.asarray(x).mean() > 0.2",
    "np.from_dlpack(x).mean() > 0.2",
    "float(x.mean()) > 0.2",
    "0 in x",
    "torch.equal(x, x * 2)",
    "torch.allclose(x, x * 2)",
    "[0, 1][(x.mean() > 0.2).int()]",
    "len(x.nonzero()) > 3",
    "x[x > 0.2].numel() > 3",
    "len(torch.unique(x)) > 3",
    "f'{x.mean():.1f}' == '0.2'",
]


@pytest.mark.parametrize("read", READS)
def test_a_read_of_any_kind_has_torch_run_each_picture_alone(tmp_path: Path, read: str) -> None:
    code = "import numpy as np" + net(f"if {read}:\n    x = x + 1\n" + VIEW)
    model = loaded(tmp_path, code)
    assert "an `if` on a tensor" in " ".join(model.notes)
    assert "net.py, line 14" in " ".join(model.notes)
    assert model.rows_at_once == 1
    rows = torch.cat([pictures(3), pictures(1) + 2, torch.zeros(1, 1, 8, 8)])
    expected = torch.cat([model.module(row[None].clone()) for row in rows])
    np.testing.assert_allclose(model.runtime(rows).logits, expected.numpy(), atol=1e-5)


class Routed(torch.nn.Module):
    """Reddish pictures go another way than the others."""

    def __init__(self) -> None:
        super().__init__()
        self.c = torch.nn.Conv2d(3, 8, 3)
        self.a, self.b = torch.nn.Linear(8, 5), torch.nn.Linear(8, 5)

    def forward(self, x: Tensor) -> Tensor:
        means = x.mean((0, 2, 3)).tolist()
        f = self.c(x).relu().mean((2, 3))
        logits: Tensor = self.b(f) if means[0] > means[1] + 0.1 else self.a(f)
        return logits


def routed() -> LoadedModel:
    torch.manual_seed(0)
    return wrapped(Routed(), classes=5)


def test_a_branch_on_color_is_answered_as_torch_answers_it() -> None:
    model = routed()
    gray = torch.rand(2, 1, 32, 32).expand(2, 3, 32, 32)
    rows = torch.cat([gray, gray + torch.tensor([0.5, 0, 0])[:, None, None]])
    expected = torch.cat([model.module(row[None]) for row in rows])
    np.testing.assert_allclose(model.runtime(rows).logits, expected, atol=1e-5)
    assert "test_reads.py, line" in " ".join(model.notes)


def test_a_picture_whose_way_leads_past_the_features_is_classified_without_them() -> None:
    model = routed()
    assert "past the layer of its features" in " ".join(model.notes)
    rows = torch.zeros(2, 3, 32, 32)
    rows[0, 0] = 1
    outputs = model.runtime(rows)
    assert np.isfinite(outputs.logits).all()
    assert outputs.features.shape == (2, 8)
    assert np.isnan(outputs.features).all(1).sum() == 1


@pytest.mark.parametrize(
    "line",
    [
        "k = int(self.fc1.weight.abs().sum() > 0)",
        "k = self.fc1.bias.tolist()",
        "n = x.numel() + x.shape[0] + len(x)",
        "print(x)",
        "m = F.one_hot(torch.arange(3)).nonzero()",
        "x = x[:, torch.arange(1)]",
        "x = x.masked_fill(x < -1, 0)",
    ],
)
def test_what_is_the_same_for_every_picture_is_no_read(tmp_path: Path, line: str) -> None:
    model = loaded(tmp_path, net(f"{line}\n{VIEW}"))
    assert model.notes == ()
    assert model.runtime.name == "openvino"


def test_two_reads_are_both_said(tmp_path: Path) -> None:
    model = loaded(tmp_path, net(f"assert not torch.isnan(x).any()\nx.max().item()\n{VIEW}"))
    assert "at net.py, line 14 and net.py, line 15" in " ".join(model.notes)


def test_reading_is_unwatched_again_after_an_error() -> None:
    rows = pictures()
    with pytest.raises(ZeroDivisionError), Reads(rows) as reads:
        raise ZeroDivisionError
    rows.tolist()
    assert reads.locations == ()
