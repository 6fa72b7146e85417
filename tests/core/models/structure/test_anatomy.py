"""Where features and feature maps are in networks as people write them."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812 - torch's own name for it

from core.models.runtimes.runtime import LogitsAndFeatures, OpenVinoRuntime
from core.models.structure.anatomy import anatomy
from core.models.structure.axes import Axes
from core.models.structure.ports import Port
from tests.core.explain.networks import loaded
from tests.core.models.structure.small_networks import (
    ROWS,
    Auxiliary,
    BoxHead,
    Branches,
    Distilled,
    Functional,
    FunctionalAfterPool,
    Gated,
    Last,
    SqueezeBeforeAConvolutionHead,
    Stem,
    Transformer,
    Tutorial,
    WithCosine,
    seen,
)


@pytest.mark.parametrize(
    ("make", "port"),
    [
        (SqueezeBeforeAConvolutionHead, Port("head", "input")),
        (BoxHead, Port("fc", "input")),
        (Distilled, Port("head", "input")),
        (Auxiliary, Port("head", "input")),
        (WithCosine, Port("arc", "input")),
        (FunctionalAfterPool, Port("pool", "output")),
    ],
)
def test_features_are_what_the_logits_are_products_of(make: type[nn.Module], port: Port) -> None:
    assert seen(make()).features == port


def test_what_no_layer_multiplies_is_found_in_the_forward_itself() -> None:
    module = Functional().eval()
    found = seen(module)
    assert (found.features.layer, found.features.at) == ("Functional", "product")
    network = LogitsAndFeatures(module, found.features, found.features_axes)
    with torch.no_grad():
        logits, features = network(ROWS)
        compiled = OpenVinoRuntime(network.eval().requires_grad_(False), ROWS[:1])(ROWS)
    expected = torch.tanh(Stem.forward(module, ROWS).mean((2, 3)) @ module.hidden.T) * 3
    torch.testing.assert_close(features, expected)
    torch.testing.assert_close(logits, F.linear(expected, module.weight))
    np.testing.assert_allclose(compiled.features, features.detach(), atol=1e-5)


def test_a_softmax_or_a_scale_behind_the_classifier_is_looked_through() -> None:
    module = nn.Sequential(nn.Flatten(), nn.Linear(3072, 7), nn.ReLU(), nn.Linear(7, 5),
                           nn.BatchNorm1d(5), nn.Softmax(1))  # fmt: skip
    assert seen(module).features == Port("3", "input")


def test_a_network_without_a_product_has_no_anatomy() -> None:
    assert anatomy(nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten()).eval(), ROWS) is None


def test_maps_with_their_channels_last_are_known_as_such() -> None:
    found = seen(Last())
    assert found.axes[Port("patches")] == Axes(-3, (8, 8))
    for name, size in (("norm", (8, 8)), ("grow", (8, 8)), ("act", (8, 8)), ("merge", (4, 4))):
        assert found.axes[Port(name)] == Axes(-1, size)
    assert found.axes[Port("merge", "input")] == Axes(-1, (4, 4))
    assert found.maps[0] == (Port("merge"),)


def test_channels_last_are_pooled_over_rows_and_columns() -> None:
    model = loaded(Last(), classes=5)
    with torch.no_grad(), Port("act").captured(model.module) as seen:
        model.module(ROWS.clone())
    for pool, expected in (("avg", seen[0].mean((1, 2))), ("max", seen[0].amax((1, 2)))):
        vectors = model.layer_vectors(ROWS, Port("act"), pool)  # type: ignore[arg-type]
        assert vectors.shape == (2, 16)
        np.testing.assert_allclose(vectors, expected, atol=1e-5)
    entering = model.layer_vectors(ROWS, Port("act", "input"), "avg")
    leaving = model.layer_vectors(ROWS, Port("grow"), "avg")
    np.testing.assert_allclose(entering, leaving, atol=1e-6)


@pytest.mark.parametrize(
    ("make", "ports", "grid"),
    [
        (Transformer, (Port("blocks.0"),), (4, 4)),
        (Branches, (Port("one"), Port("other")), (8, 8)),
        (Gated, (Port("pool", "input"),), (8, 8)),
        (Tutorial, (Port("pool", "input"),), (10, 10)),
        (Distilled, (Port("conv"),), (8, 8)),
    ],
)
def test_the_last_maps_are_those_that_the_whole_answer_comes_of(
    make: type[nn.Module], ports: tuple[Port, ...], grid: tuple[int, int]
) -> None:
    torch.manual_seed(0)
    model = loaded(make(), classes=5)
    assert model.maps == ports
    assert model.known_axes[ports[0]].grid == grid


def test_a_network_of_vectors_has_no_maps() -> None:
    model = loaded(nn.Sequential(nn.Flatten(), nn.Linear(3072, 7), nn.ReLU(), nn.Linear(7, 5)),
                   classes=5)  # fmt: skip
    assert model.maps == ()
