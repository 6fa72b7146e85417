"""Whose picture what a layer has is of, wherever the layer has its pictures."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - torch's own name for it

from core.errors import MethodUnsupported
from core.explain.cam import grad_cam
from core.explain.gradients import input_gradients
from core.explain.objective import LayerObjective
from core.inspect.activations import Channels, activations
from core.inspect.table import layer_table
from core.models.loaded import LoadedModel
from core.models.structure.ports import Port
from tests.core.explain.networks import loaded, rows


class Patches(nn.Module):
    """(B, 3, 32, 32) -> (T, B, 16), as torch's transformers take it unless told otherwise."""

    def __init__(self, side: int = 16) -> None:
        super().__init__()
        self.p = nn.Conv2d(3, 16, side, side)

    def forward(self, x: Tensor) -> Tensor:
        tokens: Tensor = self.p(x).flatten(2).permute(2, 0, 1)
        return tokens


class SequenceFirst(Patches):
    """A transformer of four tokens."""

    def __init__(self) -> None:
        super().__init__()
        self.pos = nn.Parameter(torch.randn(4, 1, 16) * 0.3)
        layer = nn.TransformerEncoderLayer(16, 2, 32)
        self.enc = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.head = nn.Linear(16, 5)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.head(self.enc(super().forward(x) + self.pos).mean(0))
        return logits


class ClassToken(Patches):
    """nn.TransformerEncoder as it is made without further words, with a class token."""

    def __init__(self) -> None:
        super().__init__(8)
        self.cls = nn.Parameter(torch.randn(1, 1, 16))
        self.pos = nn.Parameter(torch.randn(17, 1, 16) * 0.3)
        layer = nn.TransformerEncoderLayer(16, 2, 32)
        self.enc = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.head = nn.Linear(16, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = super().forward(x)
        x = torch.cat([self.cls.expand(-1, x.shape[1], -1), x]) + self.pos
        logits: Tensor = self.head(self.enc(x)[0])
        return logits


class Recurrent(nn.Module):
    """Columns of maps as the steps of a GRU."""

    def __init__(self) -> None:
        super().__init__()
        self.c = nn.Sequential(nn.Conv2d(3, 16, 4, 4), nn.ReLU(), nn.AdaptiveAvgPool2d((1, 8)))
        self.rnn, self.fc = nn.GRU(16, 12, bidirectional=True), nn.Linear(24, 5)

    def forward(self, x: Tensor) -> Tensor:
        steps, _ = self.rnn(self.c(x).squeeze(2).permute(2, 0, 1))
        logits: Tensor = self.fc(steps[-1])
        return logits


def made(network: type[nn.Module]) -> LoadedModel:
    torch.manual_seed(0)
    return loaded(network(), classes=5)


LAYERS = [
    (SequenceFirst, "enc.layers.0", 4),
    (SequenceFirst, "enc.layers.1.linear1", 4),
    (SequenceFirst, "enc", 4),
    (ClassToken, "enc.layers.1", 17),
    (Recurrent, "rnn", 8),
]


@pytest.mark.parametrize(("network", "layer", "tokens"), LAYERS)
def test_as_many_pictures_as_tokens_each_get_the_vector_that_they_get_alone(
    network: type[nn.Module], layer: str, tokens: int
) -> None:
    model = made(network)
    for at in ("output", "input"):
        port = Port(layer, at)  # type: ignore[arg-type]
        batch = rows(model, tokens)
        for count in (1, 2, tokens - 1, tokens):
            together = model.layer_vectors(batch[:count], port, "avg")
            assert len(together) == count
            for number, vector in enumerate(together):
                (alone,) = model.layer_vectors(batch[number, None], port, "avg")
                np.testing.assert_allclose(vector, alone, atol=1e-5)


@pytest.mark.parametrize(("network", "layer", "tokens"), LAYERS)
def test_as_many_pictures_as_tokens_each_get_the_explanation_that_they_get_alone(
    network: type[nn.Module], layer: str, tokens: int
) -> None:
    model = made(network)
    batch = rows(model, tokens)
    part = LayerObjective(layer, 1)
    for number, found in enumerate(input_gradients(model, batch, [part] * tokens)):
        (alone,) = input_gradients(model, batch[number, None], [part])
        assert found.value == pytest.approx(alone.value, abs=1e-4)
        np.testing.assert_allclose(found.gradient, alone.gradient, atol=1e-5)


def test_a_channel_of_a_layer_with_tokens_first_is_that_of_the_picture() -> None:
    model = made(SequenceFirst)
    row = rows(model, 1)
    with torch.no_grad(), Port("enc").captured(model.module) as seen:
        model.module(row)
    (found,) = input_gradients(model, row, [LayerObjective("enc", 3, 1, 0)])
    assert found.value == pytest.approx(float(seen[0][2, 0, 3]), abs=1e-5)
    (vector,) = model.layer_vectors(row, Port("enc"), "flatten")
    np.testing.assert_allclose(vector, seen[0][:, 0].flatten(), atol=1e-5)


def test_grad_cam_of_tokens_first_is_that_of_the_last_block_of_which_more_than_one_counts() -> None:
    model = made(ClassToken)
    assert model.maps == (Port("enc.layers.0"),)
    batch = rows(model, 17)
    together = grad_cam(model, batch, [2] * 17, model.maps)
    with Port("enc.layers.0").tapped(model.module) as seen:
        logits = model.module(batch[:1])
    (slopes,) = torch.autograd.grad(logits[0, 2], seen)
    tokens, slopes = (each.detach()[1:, 0] for each in (seen[0], slopes))  # (16, 16)
    expected = (tokens @ slopes.mean(0)).relu().reshape(1, 1, 4, 4)
    expected = F.interpolate(expected, (32, 32), mode="bilinear")[0, 0]
    np.testing.assert_allclose(together[0].values, expected, atol=1e-5)
    for number in (0, 5, 16):
        (alone,) = grad_cam(model, batch[number, None], [2], model.maps)
        np.testing.assert_allclose(together[number].values, alone.values, atol=1e-5)


def test_the_table_and_the_activations_of_tokens_first_have_no_batch_axis() -> None:
    model = made(ClassToken)
    row = model.to_device(rows(model, 1))
    table = layer_table(model.module, row, model.known_axes)
    found = table.row("enc.layers.1.norm2")
    assert (found.input_shape, found.output_shape, found.channel_axis) == ((17, 16), (17, 16), 1)
    looked = activations(model.module, row, Port("enc.layers.1"), model.known_axes, Channels())
    assert (looked.shape, looked.axis, looked.grid, looked.extra) == ((17, 16), 1, (4, 4), 1)


class AttentionPool(nn.Module):
    """CLIP's, whose projection gives the logits, (1, B, K)."""

    def __init__(self) -> None:
        super().__init__()
        self.c, self.attn = nn.Conv2d(3, 16, 8, 8), nn.MultiheadAttention(16, 2)
        self.proj = nn.Linear(16, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.c(x).flatten(2).permute(2, 0, 1)
        x = torch.cat([x.mean(0, keepdim=True), x])
        query, _ = self.attn(x[:1], x, x, need_weights=False)
        logits: Tensor = self.proj(query).squeeze(0)
        return logits


class OneByOne(nn.Module):
    """A loop over the pictures."""

    def __init__(self) -> None:
        super().__init__()
        self.c, self.fc = nn.Conv2d(3, 8, 5, 2), nn.Linear(8, 5)

    def forward(self, x: Tensor) -> Tensor:
        return torch.stack([self.fc(F.relu(self.c(each[None])).mean((2, 3)))[0] for each in x])


class Mirrored(nn.Module):
    """Each picture and its mirror image, as one batch; their logits are averaged."""

    def __init__(self) -> None:
        super().__init__()
        self.c, self.fc = nn.Conv2d(3, 8, 5, 2), nn.Linear(8, 5)

    def forward(self, x: Tensor) -> Tensor:
        both = torch.cat([x, x.flip(-1)])
        one, other = self.fc(F.relu(self.c(both)).mean((2, 3))).chunk(2)
        return (one + other) / 2


@pytest.mark.parametrize("network", [AttentionPool, OneByOne, Mirrored])
def test_features_that_are_no_first_axis_do_not_keep_a_network_from_serving(
    network: type[nn.Module],
) -> None:
    model = made(network)
    batch = rows(model, 3)
    head = model.module.proj if network is AttentionPool else model.module.fc
    expected = torch.cat([model.module(row[None]) for row in batch])
    outputs = model.runtime(batch)
    np.testing.assert_allclose(outputs.logits, expected, atol=1e-5)
    logits = head(torch.from_numpy(outputs.features))  # type: ignore[operator]
    np.testing.assert_allclose(logits, expected, atol=1e-5)
    said = "each picture is run alone" in " ".join(model.notes)
    assert said == (model.rows_at_once == 1) == (network is not AttentionPool)


class Beside(nn.Module):
    """Layers of which the logits know nothing: over the batch, of the batch, of no picture."""

    def __init__(self) -> None:
        super().__init__()
        self.c, self.fc = nn.Conv2d(3, 8, 8, 8), nn.Linear(8, 5)
        self.centered, self.similar = nn.Identity(), nn.Identity()
        self.table, self.back = nn.Linear(8, 8), nn.Identity()
        self.register_buffer("positions", torch.randn(3, 8))

    def forward(self, x: Tensor) -> Tensor:
        x = self.c(x).mean((2, 3))
        self.centered(x - x.mean(0))
        self.similar(x @ x.T)
        self.table(self.positions)
        self.back(x.flip(0))
        logits: Tensor = self.fc(x)
        return logits


@pytest.mark.parametrize(
    ("layer", "said"),
    [
        ("centered", "depends on the others of its batch"),
        ("back", "depends on the others of its batch"),
        ("similar", r"\(2, 2\) for 2 pictures and \(3, 3\) for 3: no axis is theirs alone"),
        ("table", r"\(3, 8\) for any number of pictures"),
    ],
)
def test_what_is_of_no_one_picture_is_always_refused(layer: str, said: str) -> None:
    model = made(Beside)
    assert model.notes == ()
    for count in (1, 2, 3, 5):
        batch = rows(model, count)
        with pytest.raises(MethodUnsupported, match=said):
            model.layer_vectors(batch, Port(layer), "avg")
        with pytest.raises(MethodUnsupported, match=said):
            input_gradients(model, batch, [LayerObjective(layer, 1)] * count)
        with pytest.raises(MethodUnsupported, match=said):
            grad_cam(model, batch, [0] * count, (Port(layer),))
