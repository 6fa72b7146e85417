import pytest

from core.compute.pace import Pace


def test_a_guess_gives_way_to_what_is_measured() -> None:
    pace = Pace(0.01)
    assert pace.each_s == pytest.approx(0.01)
    for second in range(1, 30):
        pace.left(2, came=0, now=second)
    assert pace.each_s == pytest.approx(0.5, rel=0.01)


def test_idle_time_does_not_count() -> None:
    pace = Pace(1.0, count=1)
    for hour in range(1, 20):
        pace.left(1, came=3600 * hour, now=3600 * hour + 2)
    assert pace.each_s == pytest.approx(2, rel=0.01)


def test_what_leaves_together_shares_the_time() -> None:
    one, many = Pace(1.0, count=1), Pace(1.0, count=1)
    for second in range(1, 60):
        many.left(8, came=0, now=second)
        for eighth in range(8):
            one.left(1, came=0, now=second + eighth / 8)
    assert many.each_s == pytest.approx(one.each_s, rel=0.1) == pytest.approx(1 / 8, rel=0.1)


def test_one_that_took_long_does_not_stand_for_all() -> None:
    pace = Pace(0.01)
    now = 0.0
    for _ in range(200):
        now += 0.01
        pace.left(1, came=0, now=now)
    pace.left(1, came=0, now=now + 1)
    assert pace.each_s < 0.02
