from core.compute.shares import Shares


def test_what_a_client_asks_for_is_due_one_after_the_other() -> None:
    shares = Shares()
    assert [shares.take("a", 10.0, 2.0) for _ in range(3)] == [10.0, 12.0, 14.0]


def test_a_client_that_comes_anew_is_due_at_once() -> None:
    shares = Shares()
    for _ in range(3):
        shares.take("a", 10.0, 2.0)
    assert shares.take("b", 11.0, 2.0) == 11.0


def test_a_client_that_has_waited_owes_nothing() -> None:
    shares = Shares()
    shares.take("a", 10.0, 2.0)
    assert shares.take("a", 20.0, 2.0) == 20.0


def test_nothing_is_put_off_by_more_than_a_minute() -> None:
    shares = Shares()
    shares.take("a", 0.0, 1000.0)
    assert shares.take("a", 1.0, 1000.0) == 61.0


def test_clients_who_owe_nothing_are_forgotten_when_there_are_many() -> None:
    shares = Shares()
    shares.take("owes", 0.0, 30.0)
    for number in range(3000):
        shares.take(str(number), 1.0 + number / 1000, 0.0)
    assert len(vars(shares)["_due"]) <= 1001
    assert shares.take("owes", 5.0, 1.0) == 30.0
