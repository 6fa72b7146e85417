"""What `make crash-test` shows in many rounds, in a few."""

from pathlib import Path

import pytest

from tests.crash.campaign import Campaign
from tests.crash.ledger import Ledger, Promise, State
from tests.crash.network import Picture


def test_a_server_killed_again_and_again_loses_nothing(tmp_path: Path) -> None:
    totals = Campaign(tmp_path, seed=1, longest_s=1.5, damaged_share=0.6).run(5)
    assert totals["inserts"] > 0
    assert totals["deletes"] > 0


ONE, TWO = State("1", None), State("2", None)


def test_the_ledger_notices_what_was_lost() -> None:
    ledger = Ledger(told={"a": ONE})
    with pytest.raises(AssertionError, match="a: told"):
        ledger.settle({})


def test_the_ledger_notices_what_came_back() -> None:
    ledger = Ledger(told={"a": None})
    with pytest.raises(AssertionError, match="a: told None"):
        ledger.settle({"a": ONE})


def test_the_ledger_notices_an_older_content() -> None:
    ledger = Ledger(told={"a": ONE})
    ledger.begin("a", TWO)
    ledger.end("a", "upserts")
    with pytest.raises(AssertionError, match="a: told"):
        ledger.settle({"a": ONE})


def test_the_ledger_notices_what_nobody_sent() -> None:
    with pytest.raises(AssertionError, match="nobody sent b"):
        Ledger().settle({"b": ONE})


@pytest.mark.parametrize(("found", "outcome"), [({"a": ONE}, (0, 1)), ({"a": TWO}, (1, 0))])
def test_what_was_in_flight_may_be_there_or_not(
    found: dict[str, State], outcome: tuple[int, int]
) -> None:
    ledger = Ledger(told={"a": ONE})
    ledger.begin("a", TWO)
    assert ledger.settle(found) == outcome
    assert ledger.told == found


def test_a_promise_in_flight_may_be_kept_once() -> None:
    picture = Picture(b"picture")
    state = State(picture.sha256, "red")
    ledger = Ledger()
    ledger.promise("key", Promise(picture, "red"))
    assert ledger.settle({"x": state}) == (1, 0)
    ledger = Ledger()
    ledger.promise("key", Promise(picture, "red"))
    with pytest.raises(AssertionError, match="nobody sent y"):
        ledger.settle({"x": state, "y": state})
