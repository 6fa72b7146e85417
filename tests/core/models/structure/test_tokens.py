"""Which tokens of a sequence are those of a grid, wherever others are joined to them."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 - torch's own name for it

from core.models.structure.axes import Axes
from core.models.structure.ports import Port
from tests.core.models.structure.small_networks import Transformer, seen


@pytest.mark.parametrize(
    ("join", "length", "extra"),
    [
        (lambda x, one: torch.cat([one, x], 1), 17, 1),
        (lambda x, one: torch.cat([x, one], 1), 17, 0),
        (lambda x, one: torch.cat([one, one, x, one], 1), 19, 2),
        (lambda x, one: torch.cat([torch.cat([one, x], 1), one, one], 1), 19, 1),
        (lambda x, one: torch.cat([x.mean(1, keepdim=True), x], 1), 17, 1),
        (lambda x, one: torch.cat([one, one, x], 1)[:, 1:], 17, 1),
        (lambda x, one: F.pad(x, (0, 0, 0, 1)), 17, 0),
        (lambda x, one: F.pad(x, (0, 0, 2, 1)), 19, 2),
        (lambda x, one: torch.cat([one, x], 1)[:, 1:], 16, 0),
    ],
)
def test_tokens_beside_those_of_the_grid_are_known_wherever_they_are(
    join: Callable[[Tensor, Tensor], Tensor], length: int, extra: int
) -> None:
    class Joined(Transformer):
        def forward(self, x: Tensor) -> Tensor:
            x = self.patches(x).flatten(2).transpose(1, 2)
            x = self.blocks(join(x, self.token.expand(len(x), -1, -1)))
            return self.head(self.norm(x).mean(1))

    found = seen(Joined())
    assert found.axes[Port("blocks.1")] == Axes(-1, (4, 4), extra)
    tokens = torch.arange(2.0 * length * 8).reshape(2, length, 8)
    maps = found.axes[Port("blocks.1")].maps(tokens)
    assert maps is not None
    assert torch.equal(maps[1, :, 2, 3], tokens[1, extra + 11])


class Written(Transformer):
    """Tokens that are written into a place that was made for them."""

    def forward(self, x: Tensor) -> Tensor:
        x = self.patches(x).flatten(2).transpose(1, 2)
        tokens = self.token.expand(len(x), 17, -1).clone()
        tokens[:, :16] = x
        return self.head(self.norm(self.blocks(tokens)).mean(1))


def test_tokens_that_came_together_unseen_form_no_grid() -> None:
    assert seen(Written()).axes[Port("blocks.1")].grid is None


def test_two_sequences_of_one_length_that_differ_form_no_grid() -> None:
    class Twice(Transformer):
        def forward(self, x: Tensor) -> Tensor:
            x = self.patches(x).flatten(2).transpose(1, 2)
            token = self.token.expand(len(x), -1, -1)
            first, last = (self.blocks(torch.cat(each, 1)) for each in ([token, x], [x, token]))
            return self.head(self.norm(first + last).mean(1))

    assert seen(Twice()).axes[Port("blocks.1")].grid is None
