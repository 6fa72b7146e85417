"""File names and forms as browsers, phones, curl and mail libraries send them."""

import io
from email import message_from_bytes
from email.mime.multipart import MIMEMultipart
from email.mime.text import MIMEText
from email.policy import HTTP
from email.utils import encode_rfc2231

import pytest
from fastapi.testclient import TestClient
from httpx2 import Response

from core.errors import InvalidValue, RequestUnreadable
from service.requests.forms import Part, read_form
from tests.pictures import jpeg

TYPE = "multipart/form-data; boundary=x"
NAMES = (
    "кот.jpg",
    "猫.jpg",
    "ねこ.jpg",
    "‘cat’.jpg",
    "cat – 2.jpg",
    "5€.jpg",
    "🐈.jpg",
    "Screenshot 2026-01-31 at 9.41.00\u202fAM.png",
    "café.jpg",
    "קטה.jpg",
    'a "quoted" name.jpg',
    "back\\slash.jpg",
)


def form(disposition: bytes, content: bytes = b"content", more: bytes = b"") -> bytes:
    head = b"--x\r\nContent-Disposition: form-data; " + disposition + b"\r\n" + more
    return head + b"\r\n" + content + b"\r\n--x--\r\n"


def only_name(body: bytes) -> str | None:
    (part,) = read_form(body, TYPE, 1)
    assert (part.field, part.content) == ("image", b"content")
    return part.file_name


def outcome(answer: Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


def as_browsers_write(name: str) -> bytes:
    """WHATWG HTML, multipart/form-data encoding: UTF-8, the quote percent-encoded."""
    return name.replace('"', "%22").encode()


@pytest.mark.parametrize("name", NAMES)
def test_a_name_comes_back_as_a_browser_sent_it(name: str) -> None:
    assert only_name(form(b'name="image"; filename="%s"' % as_browsers_write(name))) == name


@pytest.mark.parametrize("name", NAMES)
def test_a_name_in_the_extended_form_comes_back(name: str) -> None:
    extended = encode_rfc2231(name, "utf-8").encode()
    assert only_name(form(b'name="image"; filename*=' + extended)) == name


def test_the_extended_name_wins_over_the_plain_one() -> None:
    names = b"name=image; filename=\"cat.jpg\"; filename*=UTF-8''%D0%BA%D0%BE%D1%82.jpg"
    assert only_name(form(names)) == "кот.jpg"


@pytest.mark.parametrize("charset", [b"iso-8859-1", b"no-such-charset"])
def test_an_extended_name_of_another_charset_is_never_an_error(charset: bytes) -> None:
    name = only_name(form(b"name=image; filename*=%s'en'caf%%E9.jpg" % charset))
    assert name == ("café.jpg" if charset == b"iso-8859-1" else "caf\ufffd.jpg")


def test_broken_bytes_of_a_name_are_replaced() -> None:
    assert only_name(form(b'name="image"; filename="caf\xe9.jpg"')) == "caf\ufffd.jpg"
    assert only_name(form(b'name="image"; filename="\xff\xfe\xd0"')) == "\ufffd" * 3


@pytest.mark.parametrize("name", NAMES)
def test_every_endpoint_takes_a_file_of_any_name(client: TestClient, name: str) -> None:
    body = form(b'name="image"; filename="%s"' % as_browsers_write(name), jpeg())
    headers = {"Content-Type": TYPE}
    for path in ("classify", "feature-vector", "explain/saliency", "activations?layer=conv2"):
        url = f"/v1/{path}{'&' if '?' in path else '?'}model=tiny"
        assert client.post(url, content=body, headers=headers).status_code == 200, path
    answer = client.post("/v1/classify/batch?model=tiny", content=body, headers=headers)
    assert [each["name"] for each in answer.json()["results"]] == [name]
    answer = client.post("/v1/collections/default/items/batch", content=body, headers=headers)
    assert answer.json()["name"] == name


def test_a_raw_latin_1_name_is_taken(client: TestClient) -> None:
    body = form(b'name="image"; filename="caf\xe9.jpg"', jpeg())
    answer = client.post("/v1/classify?model=tiny", content=body, headers={"Content-Type": TYPE})
    assert answer.status_code == 200


def test_text_around_the_form_is_skipped() -> None:
    body = form(b'name="image"; filename="a"')
    whole = b"This is a multi-part message in MIME format.\r\n" + body + b"and an epilogue"
    assert read_form(whole, TYPE, 1) == [Part("image", "a", b"content")]


def test_a_form_made_by_the_mail_library_is_read() -> None:
    made = MIMEMultipart("form-data")
    made.preamble = "for readers of another age"
    part = MIMEText("content", "plain", "us-ascii")
    name = ("utf-8", "", "кот.jpg")
    part.add_header("Content-Disposition", "form-data", name="image", filename=name)
    made.attach(part)
    head, _, body = made.as_bytes(policy=HTTP).partition(b"\r\n\r\n")
    content_type = message_from_bytes(head)["Content-Type"]
    assert read_form(body, content_type, 1) == [Part("image", "кот.jpg", b"content")]


@pytest.mark.parametrize(
    "content_type",
    [
        'multipart/form-data; boundary="x"',
        "multipart/form-data;boundary=x",
        "multipart/form-data; charset=utf-8; Boundary=x",
        "Multipart/Form-Data; boundary=x; charset=utf-8",
    ],
)
def test_the_boundary_is_found_however_it_is_written(content_type: str) -> None:
    assert len(read_form(form(b'name="image"'), content_type, 1)) == 1


@pytest.mark.parametrize("boundary", ["a/b", "a:b?", "=_Part(1)", "----WebKitFormBoundary7MA4Y"])
def test_a_boundary_of_odd_letters_is_taken(boundary: str) -> None:
    body = form(b'name="image"').replace(b"--x", b"--" + boundary.encode())
    assert len(read_form(body, f"multipart/form-data; boundary={boundary}", 1)) == 1


def test_other_headers_of_a_part_do_not_matter() -> None:
    more = b"Content-Type: image/jpeg\r\nX-Note: caf\xe9\r\nContent-Transfer-Encoding: binary\r\n"
    assert only_name(form(b'name="image"; filename="a"', more=more)) == "a"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"--x",
        b"--y\r\n\r\n--y--",
        b"--x\r\nContent-Disposition: form-data; name=image\r\n\r\ncut",
        b"--x\r\nno header at all\r\n\r\nfile\r\n--x--",
        b"--x\r\n\r\nno disposition\r\n--x--",
        form(b"name=image", more=b"X: " + b"y" * 20_000 + b"\r\n"),
        form(b"name=image", more=b"X: y\r\n" * 40),
    ],
)
def test_what_is_no_form_is_unreadable(body: bytes) -> None:
    with pytest.raises(RequestUnreadable):
        read_form(body, TYPE, 1)


def test_reading_stops_where_there_are_too_many_parts() -> None:
    body = b"--x\r\nContent-Disposition: form-data; name=image\r\n\r\n\r\n" * 5 + b"--x--"
    assert len(read_form(body, TYPE, 5)) == 5
    with pytest.raises(InvalidValue, match="more than 4 parts"):
        read_form(body, TYPE, 4)


def test_an_option_beside_the_file_is_answered_with_where_it_goes(client: TestClient) -> None:
    answer = client.post("/v1/classify", files={"image": jpeg()}, data={"top_k": "3"})
    assert outcome(answer) == (422, "invalid_value")
    assert "top_k='3'" in answer.json()["detail"]
    assert "options go into the query (?top_k=3)" in answer.json()["detail"]


def test_a_file_without_a_name_is_a_file(client: TestClient) -> None:
    files = {"image": (None, io.BytesIO(jpeg()))}
    assert client.post("/v1/classify?model=tiny", files=files).status_code == 200
