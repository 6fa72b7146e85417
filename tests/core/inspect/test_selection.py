import pytest

from core.errors import InvalidValue
from core.inspect.selection import Selection


def test_numbers_and_ranges_are_taken_in_the_order_sent_each_once() -> None:
    assert Selection.parse("0-3,20").within(21) == (0, 1, 2, 3, 20)
    assert Selection.parse(" 7 , 2 - 4,3,7").within(8) == (7, 2, 3, 4)
    assert Selection.parse("5").within(6) == (5,)


@pytest.mark.parametrize("text", ["", ",", "a", "1-", "-1", "1-2-3", "1,,2", "1.5", "٣", "0x1"])
def test_anything_else_is_refused_with_the_form(text: str) -> None:
    with pytest.raises(InvalidValue, match="such as 0-15,20") as raised:
        Selection.parse(text)
    assert raised.value.value == text


def test_a_range_that_runs_backwards_is_refused() -> None:
    with pytest.raises(InvalidValue, match=r"'9-3'.*upwards"):
        Selection.parse("1,9-3")


@pytest.mark.parametrize(
    ("text", "wrong"), [("32", "'32'"), ("0,30-99", "'30-99'"), ("0-" + "9" * 300, "0 to 31")]
)
def test_a_channel_that_is_not_there_is_named_with_the_range(text: str, wrong: str) -> None:
    with pytest.raises(InvalidValue, match=f"{wrong}.*0 to 31|0 to 31"):
        Selection.parse(text).within(32)
