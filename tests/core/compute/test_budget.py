import pytest
from prometheus_client import CollectorRegistry, Gauge

from core.compute.budget import STEP_BYTES, Budget
from core.errors import MemoryFull

MIB = 2**20


@pytest.fixture
def budget() -> Budget:
    return Budget(4 * MIB, Gauge("held", "held", registry=CollectorRegistry()))


def test_what_is_taken_is_given_back_at_the_end_also_when_it_fails(budget: Budget) -> None:
    with budget.hold() as hold:
        hold.take(MIB)
        hold.take(MIB)
        hold.give(MIB // 2)
        assert budget.held_bytes == hold.bytes == MIB * 3 // 2
    assert budget.held_bytes == 0

    hold.give(MIB)  # by a task that is cancelled later than its request ends
    assert budget.held_bytes == 0

    def fails() -> None:
        with budget.hold() as hold:
            hold.take(MIB)
            raise KeyError

    with pytest.raises(KeyError):
        fails()
    assert budget.held_bytes == 0


def test_large_holds_leave_a_quarter_to_small_ones(budget: Budget) -> None:
    with budget.hold() as large, budget.hold() as other:
        large.take(3 * MIB)
        with pytest.raises(MemoryFull, match="hold 3145728 bytes; 262145 more") as refused:
            other.take(STEP_BYTES + 1)
        assert refused.value.retry_after_s > 0
        assert other.bytes == 0
        other.take(STEP_BYTES)
        with pytest.raises(MemoryFull):  # two steps are no small hold
            other.take(1)


def test_small_holds_end_at_the_limit(budget: Budget) -> None:
    holds = [budget.hold() for _ in range(17)]
    for each in holds[:16]:
        each.__enter__().take(STEP_BYTES)
    assert budget.held_bytes == budget.limit_bytes
    with holds[16] as hold, pytest.raises(MemoryFull):
        hold.take(1)


def test_a_hold_that_is_refused_keeps_what_it_has(budget: Budget) -> None:
    with budget.hold() as hold:
        hold.take(MIB)
        with pytest.raises(MemoryFull):
            hold.take(4 * MIB)
        assert budget.held_bytes == MIB


def test_the_metric_shows_what_is_held() -> None:
    registry = CollectorRegistry()
    budget = Budget(MIB, Gauge("held", "held", registry=registry))
    with budget.hold() as hold:
        hold.take(7)
        assert registry.get_sample_value("held") == 7
    assert registry.get_sample_value("held") == 0
