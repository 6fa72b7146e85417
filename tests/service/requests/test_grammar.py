from typing import Any

import pytest
from pydantic import BaseModel, RootModel

from core.collections.finder import VectorSeed
from core.errors import InvalidValue, RequestUnreadable
from core.gallery.records import ANY_VERSION
from service.requests.grammar import MAX_NUMBERS, if_match, read_json, whole_number
from service.schemas.uploads import BatchItem, ImageUpload, SeedUpload


class Anything(RootModel[Any]):
    """What JSON there is."""


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
    assert read_json(Anything, text, "body").root == value


@pytest.mark.parametrize(
    "text", [b"", b"{", b'"\\ud800"', b'"\xff"', b"[" * 10_000, b"1" * 5000, b"{'a': 1}", b"1 2"]
)
def test_what_is_no_json_is_unreadable(text: bytes) -> None:
    with pytest.raises(RequestUnreadable, match="the body is not JSON"):
        read_json(Anything, text, "body")


@pytest.mark.parametrize(
    ("schema", "text", "said"),
    [
        (SeedUpload, b'{"vector": [' + b"1," * 150_000 + b"1]}", "'150002 values'"),
        (ImageUpload, b'{"image": ' + b"[" * 150_000, "'150001 values'"),
        (ImageUpload, b"{" + b'"a":1,' * 16_385 + b'"image":""}', "'16386 names'"),
        (ImageUpload, b'{"image": "' + b"\\/" * (2**20 + 1) + b'"}', "'1048577 escapes'"),
    ],
)
def test_what_would_be_parsed_for_long_is_refused_unparsed(
    schema: type[BaseModel], text: bytes, said: str
) -> None:
    with pytest.raises(InvalidValue, match=said):
        read_json(schema, text, "body")


def test_the_largest_vector_is_taken() -> None:
    text = b'{"vector": [' + b",".join([b"-2.2250738585072014e-308"] * MAX_NUMBERS) + b"]}"
    seed = read_json(SeedUpload, text, "body").seed(None)
    assert isinstance(seed, VectorSeed)
    assert len(seed.values) == MAX_NUMBERS


MANY = b"{" + b", ".join(b'"a%d": 1' % number for number in range(50)) + b"}"
SEEDS = 'an object {"image": "<base64 or data: URI>"} or {"vector": [0.1, ...]} or {"item": "<id>"}'


@pytest.mark.parametrize(
    ("schema", "text", "said"),
    [
        (ImageUpload, b"{}", "body={} is not allowed: an object with 'image'"),
        (ImageUpload, b"[]", "body=[] is not allowed: an object; the fields here are image"),
        (ImageUpload, b'{"image": 1}', "image=1 is not allowed: a valid string"),
        (ImageUpload, b'{"image": null}', "image=None is not allowed: a valid string"),
        (ImageUpload, b'{"imag": "x"}', "imag='x' is not allowed: the fields here are image"),
        (ImageUpload, MANY, "body='51 wrong fields' is not allowed: the fields here are image"),
        (SeedUpload, b"[]", f"body=[] is not allowed: {SEEDS}"),
        (SeedUpload, b'{"id": "x"}', f"body=['id'] is not allowed: {SEEDS}"),
        (
            SeedUpload,
            b'{"vector": [1], "item": "x"}',
            f"body=['item', 'vector'] is not allowed: {SEEDS}",
        ),
        (SeedUpload, b'{"item": 7}', "item=7 is not allowed: a valid string"),
        (SeedUpload, b'{"vector": "x"}', "vector='x' is not allowed: a valid array"),
        (SeedUpload, b'{"vector": [1, true]}', "vector[1]=True is not allowed: a valid number"),
        (SeedUpload, b'{"vector": ["1"]}', "vector[0]='1' is not allowed: a valid number"),
        (SeedUpload, b'{"vector": [NaN]}', "vector[0]=nan is not allowed: a finite number"),
        (SeedUpload, b'{"vector": [1e999]}', "vector[0]=inf is not allowed: a finite number"),
        (BatchItem, b'{"id": "x"}', "body=['id'] is not allowed: an object with 'image'"),
        (BatchItem, b'{"image": "", "id": 7}', "id=7 is not allowed: a valid string"),
        (BatchItem, b'{"image": "", "metadata": []}', "metadata=[] is not allowed: an object"),
        (
            BatchItem,
            b'{"image": "", "lable": "cat"}',
            "lable='cat' is not allowed: the fields here are image, id, label, metadata",
        ),
    ],
)
def test_json_of_another_shape_names_field_value_and_what_is_allowed(
    schema: type[BaseModel], text: bytes, said: str
) -> None:
    with pytest.raises(InvalidValue) as refused:
        read_json(schema, text, "body")
    assert str(refused.value) == said


def test_numbers_of_a_vector_may_be_whole() -> None:
    assert read_json(SeedUpload, b'{"vector": [1, 2.5, -3e2]}', "body").seed(None) == VectorSeed(
        [1.0, 2.5, -300.0]
    )


def test_bits_are_said_only_of_pictures() -> None:
    with pytest.raises(InvalidValue, match="only together with a picture"):
        read_json(SeedUpload, b'{"item": "a"}', "body").seed(12)


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
