import numpy as np
import pytest
import torch
from torch import Tensor, nn

from core.errors import InvalidValue, MethodUnsupported, OutputNotFinite, UnknownLayer
from core.inspect.activations import Activations, Channels, activations
from core.inspect.selection import Selection
from core.models.structure.ports import Port
from core.render.activations import draw_activations
from tests.core.inspect.hooks import hooks
from tests.tinycnn import TinyCNN

PICTURE = torch.arange(2.0 * 3 * 4).reshape(1, 2, 3, 4) - 10


class Parts(nn.Module):
    """Maps, tokens, a vector, a tuple and windows of one picture, all told by hand."""

    def __init__(self) -> None:
        super().__init__()
        self.scaled = nn.Conv2d(2, 3, 1, bias=False)
        self.scaled.weight.data = torch.tensor([[1.0, 0], [0, 1], [0, -1]])[..., None, None]
        self.inplace = nn.ReLU(inplace=True)
        self.tokens, self.pair, self.windows = nn.Flatten(2), Pair(), Windows()
        self.vector, self.never = nn.Flatten(), nn.ReLU()

    def forward(self, batch: Tensor) -> Tensor:
        rows = self.inplace(self.scaled(batch))
        self.windows(rows)
        self.tokens(self.pair(rows)[0])
        return self.vector(rows)


class Pair(nn.Module):
    def forward(self, batch: Tensor) -> tuple[Tensor, None]:
        return batch * 2, None


class Windows(nn.Module):
    def forward(self, batch: Tensor) -> Tensor:
        return batch.reshape(12, 3)


def look(layer: str, channels: Channels | None = None, picture: Tensor = PICTURE) -> Activations:
    return activations(Parts().eval(), picture, Port(layer), {}, channels or Channels())


def test_feature_maps_are_what_the_layer_put_out_before_a_later_layer_overwrote_them() -> None:
    found = look("scaled")
    expected = torch.cat([PICTURE, -PICTURE[:, 1:]], 1)[0].numpy()
    np.testing.assert_array_equal(found.values, expected)
    assert (found.shape, found.axis, found.indices) == ((3, 3, 4), 0, (0, 1, 2))
    np.testing.assert_allclose(found.means, expected.mean((1, 2)))
    np.testing.assert_array_equal(found.maxima, [1, 13, -2])


def test_the_most_active_channels_are_those_of_the_largest_mean() -> None:
    found = look("scaled")
    assert [index for index, _, _ in found.most_active] == [1, 0, 2]
    assert found.most_active[0] == (1, 7.5, 13.0)
    top = look("scaled", Channels(top=2))
    assert top.indices == (1, 0)
    np.testing.assert_array_equal(top.values, found.values[[1, 0]])
    picked = look("scaled", Channels(Selection.parse("2,0")))
    np.testing.assert_array_equal(picked.values, found.values[[2, 0]])
    assert picked.most_active == found.most_active


def test_tokens_vectors_and_tuples_keep_their_shape() -> None:
    assert look("pair").shape == (3, 3, 4)
    tokens = look("tokens", Channels(Selection.parse("11")))
    assert (tokens.shape, tokens.axis, tokens.values.shape) == ((3, 12), 1, (3, 1))
    vector = look("vector", Channels(top=1))
    assert (vector.shape, vector.values.tolist()) == ((36,), [13.0])


def test_what_cannot_be_taken_is_named_with_what_can() -> None:
    with pytest.raises(InvalidValue, match=r"channels='3'.*0 to 2"):
        look("scaled", Channels(Selection.parse("3")))
    with pytest.raises(InvalidValue, match=r"top=4.*1 to 3"):
        look("scaled", Channels(top=4))
    with pytest.raises(InvalidValue, match=r"top=0.*1 or more"):
        Channels(top=0)
    with pytest.raises(InvalidValue, match=r"top=1.*channels"):
        Channels(Selection.parse("0"), top=1)
    with pytest.raises(UnknownLayer, match="'nope'"):
        look("nope")
    with pytest.raises(MethodUnsupported, match="takes no part"):
        look("never")
    with pytest.raises(MethodUnsupported, match="12 rows for 1 picture: it runs on parts of them"):
        look("windows")
    with pytest.raises(OutputNotFinite):
        look("scaled", picture=PICTURE.log())


def test_bright_is_active() -> None:
    drawn = draw_activations(look("scaled")).astype(int).sum(-1)
    maps = drawn[-150:]  # below the title
    brightest = np.unravel_index(maps.argmax(), maps.shape)
    assert maps.max() > 600
    assert maps[brightest] > maps.mean()


def test_a_channel_that_says_nothing_is_dark_on_either_scale() -> None:
    found = look("inplace", Channels(Selection.parse("2")))  # all below zero before the ReLU
    assert found.maxima.tolist() == [0.0]
    for scale in ("each", "shared"):
        drawn = draw_activations(found, scale)  # type: ignore[arg-type]
        assert (drawn == (0, 0, 3)).all(-1).any()  # the darkest color of the map


def test_many_maps_are_drawn_in_part_the_most_active_first() -> None:
    wide = nn.Sequential(nn.Conv2d(3, 100, 3)).eval()
    found = activations(wide, torch.randn(1, 3, 300, 200), Port("0"), {}, Channels())
    drawn = draw_activations(found)
    assert found.values.shape == (100, 298, 198)
    assert max(drawn.shape) < 1200


def test_a_vector_is_drawn_as_cells_and_tokens_are_refused() -> None:
    assert draw_activations(look("vector")).shape[2] == 3
    with pytest.raises(InvalidValue, match="json or npy: at layer 'tokens' are 3 x 12"):
        draw_activations(look("tokens"))


def test_a_forward_that_fails_leaves_no_hook_behind() -> None:
    module = TinyCNN().eval()
    with pytest.raises(RuntimeError):
        activations(module, torch.zeros(1, 7, 32, 32), Port("conv2"), {}, Channels())
    assert not hooks(module)


def test_a_layer_that_runs_twice_shows_its_last_run() -> None:
    module = TinyCNN().eval()
    found = activations(module, torch.randn(1, 3, 32, 32), Port("reused"), {}, Channels())
    assert found.shape == (16, 16, 16)
