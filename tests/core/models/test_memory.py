"""A network that keeps something from one picture for the next, or throws dice, is refused."""

from pathlib import Path

import pytest

from tests.core.models.folders import VIEW, loaded, net, refused, written

LAST = VIEW.replace("return", "y =")

KEEPS = {
    "the last answer": (
        "self.last = None",
        f"{LAST}\nif self.last is not None and self.last.shape == y.shape:\n"
        "    y = 0.5 * y + 0.5 * self.last\nself.last = y.detach()\nreturn y",
        "keeps 'last'",
    ),
    "a mean in a buffer": (
        "self.register_buffer('center', torch.zeros(1, 10))",
        f"{LAST}\nself.center = self.center * 0.999 + y.mean(0, keepdim=True) * 0.001\n"
        "return y - self.center",
        "keeps 'center'",
    ),
    "a mean in a buffer, in place": (
        "self.register_buffer('center', torch.zeros(1, 10))",
        f"{LAST}\nself.center.mul_(0.999).add_(y.mean(0, keepdim=True) * 0.001)\n"
        "return y - self.center",
        "keeps 'center'",
    ),
    "a list": (
        "self.seen = []",
        f"{LAST}\nself.seen = [*self.seen[-3:], y.mean(0)]\nreturn y - 0.1 * sum(self.seen)",
        "keeps 'seen'",
    ),
    "a count": (
        "self.count = 0",
        f"{LAST}\nself.count += 1\nreturn y * (1 + 1e-3 * self.count)",
        "keeps 'count'",
    ),
    "every second": (
        "self.even = False",
        f"{LAST}\nself.even = not self.even\nreturn y if self.even else -y",
        "keeps 'even'",
    ),
}


@pytest.mark.parametrize("what", KEEPS)
def test_what_is_kept_from_one_picture_for_the_next_is_named(tmp_path: Path, what: str) -> None:
    made, body, said = KEEPS[what]
    message = refused(written(tmp_path, net(body).replace("self.pool =", f"{made}; self.pool =")))
    assert said in message
    assert "the same picture gets answers that differ by" in message


@pytest.mark.parametrize(
    "line",
    [
        "x = x + 0.001 * torch.randn_like(x)",
        "x = F.dropout(x, 0.01)",
        "import random; x = x + 0.01 * random.random()",
        "import numpy; x = x + 0.01 * float(numpy.random.rand())",
    ],
)
def test_a_little_chance_is_chance(tmp_path: Path, line: str) -> None:
    message = refused(written(tmp_path, net(f"{line}\n{VIEW}")))
    assert "something random stays on" in message


@pytest.mark.parametrize(
    "body",
    [
        f"x = F.dropout(x, 0.0, training=True)\ntorch.rand(1)\n{VIEW}",
        f"{LAST}\nself.attention = y.softmax(1)\nself.calls = getattr(self, 'calls', 0) + 1\n"
        "return y",
        "if not hasattr(self, 'grid'):\n    self.grid = torch.linspace(0, 1, x.shape[-1])\n"
        f"x = x * self.grid\n{VIEW}",
    ],
)
def test_what_no_answer_depends_on_may_be_kept_or_thrown(tmp_path: Path, body: str) -> None:
    assert loaded(tmp_path, net(body)).notes == ()
