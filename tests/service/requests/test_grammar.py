import pytest

from core.errors import InvalidValue, RequestUnreadable
from core.gallery.records import ANY_VERSION
from service.requests.grammar import if_match, parse_json, whole_number


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (b'{"a": "\xc3\xa9"}', {"a": "é"}),
        (b"\xef\xbb\xbf[1]", [1]),
        (b'"\\ud83d\\ude00"', "😀"),
        (b"1" + b"0" * 400, 10**400),
    ],
)
def test_json_is_read(text: bytes, value: object) -> None:
    assert parse_json(text, "it") == value


@pytest.mark.parametrize(
    "text",
    [b"", b"{", b"NaN", b"[Infinity]", b'"\\ud800"', b'"\xff"', b"[" * 10_000, b"1" * 5000],
)
def test_what_is_no_json_is_unreadable(text: bytes) -> None:
    with pytest.raises(RequestUnreadable, match="the body is not JSON"):
        parse_json(text, "the body")


@pytest.mark.parametrize(("text", "value"), [("1", 1), ("007", 7), ("60", 60)])
def test_a_whole_number_is_ascii_digits(text: str, value: int) -> None:
    assert whole_number("X", text, 1, 60, "1 to 60") == value


@pytest.mark.parametrize(
    "text", ["", "0", "61", "1_0", "+1", "-1", " 1", "1.0", "1e1", "²", "٣", "9" * 5000, "00100"]
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(InvalidValue, match="1 to 60"):
        whole_number("X", text, 1, 60, "1 to 60")


@pytest.mark.parametrize(
    ("header", "wanted"),
    [
        (None, None),
        ("*", ANY_VERSION),
        (" * ", ANY_VERSION),
        ('"57"', {57}),
        ('"57", "58"', {57, 58}),
        ('"57","58" ', {57, 58}),
        ('"57", W/"58"', {57, -1}),
        ('"not,ours"', {-1}),
        ('""', {-1}),
        ('"' + "9" * 5000 + '"', {-1}),
    ],
)
def test_if_match_is_any_or_a_list_of_tags(header: str | None, wanted: object) -> None:
    assert if_match(header) == wanted


@pytest.mark.parametrize("header", ["", "57", '"57', '"57" "58"', '*, "57"', "W/57", '"57",,x'])
def test_what_is_neither_is_refused(header: str) -> None:
    with pytest.raises(InvalidValue, match="If-Match"):
        if_match(header)
