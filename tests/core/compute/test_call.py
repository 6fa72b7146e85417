import pytest

from core.compute.call import Call
from core.errors import DeadlinePassed


def test_a_call_without_a_deadline_is_unbounded() -> None:
    call = Call()
    call.check()
    assert call.unbounded


def test_a_call_whose_time_is_up_says_so() -> None:
    call = Call.within(-1)
    assert call.remaining_s < 0
    with pytest.raises(DeadlinePassed):
        call.check()


def test_a_stage_entered_twice_sums_up_also_when_it_raises() -> None:
    call = Call()
    call.add("decode", 1.0)
    with pytest.raises(KeyError), call.measure("decode"):
        raise KeyError
    assert call.durations_s["decode"] > 1.0


def test_an_abandoned_call_is_over_even_without_a_deadline() -> None:
    call = Call()
    call.abandon()
    assert not call.unbounded
    with pytest.raises(DeadlinePassed):
        call.check()
