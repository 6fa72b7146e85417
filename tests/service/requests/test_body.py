import base64
import gzip
import hashlib
import struct
import threading
import zlib
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from fastapi.testclient import TestClient
from httpx2 import Response

from core.errors import InvalidValue
from service.requests import body
from service.schemas.uploads import from_base64
from tests.pictures import encode, jpeg, photo
from tests.service.gallery_client import make

RAW = {"Content-Type": "application/octet-stream"}


def post(client: TestClient, content: bytes, **headers: str) -> Response:
    return client.post("/v1/classify?model=tiny", content=content, headers=RAW | headers)


def outcome(answer: Response) -> tuple[int, str]:
    assert answer.headers["content-type"] == "application/problem+json"
    return answer.status_code, answer.json()["code"]


def png_header(width: int, height: int) -> bytes:
    body = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunk = struct.pack(">I", 13) + body + struct.pack(">I", zlib.crc32(body))
    data = b"IDAT" + zlib.compress(b"")
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk
        + struct.pack(">I", len(data) - 4)
        + data
        + struct.pack(">I", zlib.crc32(data))
    )


@pytest.mark.parametrize(
    ("content", "status", "code"),
    [
        (b"", 400, "request_unreadable"),
        (b"I am not a picture", 415, "image_unsupported"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", 415, "image_unsupported"),
        (jpeg()[:5000], 400, "image_corrupt"),
        (encode(photo("coffee"), "PNG")[:5000], 400, "image_corrupt"),
        (png_header(50_000, 50_000), 413, "image_too_large"),
        (encode(np.zeros((20_000, 1, 3), np.uint8), "PNG"), 422, "invalid_value"),
    ],
)
def test_a_picture_that_cannot_be_taken_is_refused(
    client: TestClient, content: bytes, status: int, code: str
) -> None:
    assert outcome(post(client, content)) == (status, code)


def test_a_one_pixel_picture_is_taken(client: TestClient) -> None:
    assert post(client, encode(np.zeros((1, 1, 3), np.uint8), "PNG")).status_code == 200


@pytest.mark.parametrize(
    "text",
    ["not base64!", "abcde", "data:image/png,abc", "data:image/png;base64", "%%%", "aGk=aGk="],
)
def test_bad_base64_is_refused(client: TestClient, text: str) -> None:
    assert outcome(client.post("/v1/classify", json={"image": text})) == (422, "invalid_value")


@pytest.mark.parametrize("letters", [base64.b64encode, base64.urlsafe_b64encode])
@pytest.mark.parametrize("padding", ["", "="])
def test_base64_of_either_alphabet_is_taken_padded_or_not(
    client: TestClient, letters: Callable[[bytes], bytes], padding: str
) -> None:
    content = jpeg() + b"\xfb\xff\xfe"
    content += b"\0" * ((1 - len(content)) % 3)  # so that there is padding
    text = letters(content).decode()
    assert text.endswith("==")
    assert {"+", "/"} <= set(text) or {"-", "_"} <= set(text)
    sent = text.rstrip("=") + padding * 2
    for image in (sent, f"data:image/jpeg;base64,{sent}"):
        answer = client.post("/v1/classify?model=tiny", json={"image": image})
        assert answer.json()["image"]["sha256"] == hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 7, 64])
def test_base64_decoded_in_pieces_is_what_it_is_in_one(size: int) -> None:
    for length in range(1, 20):
        content = bytes(range(length))
        text = base64.b64encode(content).decode()
        for sent in (text, text.rstrip("="), "\r\n".join(text), f" {text}\n"):
            assert from_base64(sent, size) == content
        for wrong in (f"{text}=", f"{text}A===", f"={text}", f"{text[:1]}=={text}", f"{text}!"):
            with pytest.raises(InvalidValue):
                from_base64(wrong, size)


def test_a_long_body_is_parsed_off_the_event_loop(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: list[str] = []

    def noted(read: Callable[..., object]) -> Callable[..., object]:
        def note(*given: object) -> object:
            threads.append(threading.current_thread().name)
            return read(*given)

        return note

    for name in ("read_json", "read_form"):
        monkeypatch.setattr(body, name, noted(getattr(body, name)))
    content = jpeg() + bytes(70_000)
    client.post("/v1/classify?model=tiny", json={"image": base64.b64encode(content).decode()})
    client.post("/v1/classify?model=tiny", files={"image": content})
    assert [each.split("_")[0] for each in threads] == ["seethrough-parse"] * 2


@pytest.mark.parametrize("number", [f"1{'0' * 400}", "1e400", "NaN", "-1e39", "true", '"1"'])
def test_a_vector_of_numbers_that_no_float_holds_is_refused(
    client: TestClient, number: str
) -> None:
    body = '{"vector": [' + ", ".join([number] * 24) + "]}"
    path = make(client, "numbers-" + hashlib.sha256(number.encode()).hexdigest()[:8])
    headers = {"Content-Type": "application/json"}
    answer = client.post(f"{path}/neighbors", content=body, headers=headers)
    assert answer.status_code in (400, 422), answer.text
    assert "vector" in answer.text or "JSON" in answer.text
    good = client.post(f"{path}/neighbors", json={"vector": [1] * 24})
    assert good.json()["neighbors"] == []


@pytest.mark.parametrize("body", [{}, {"picture": "x"}, [], "x", {"image": 1}, {"image": None}])
def test_json_of_the_wrong_shape_is_refused(client: TestClient, body: object) -> None:
    assert outcome(client.post("/v1/classify", json=body))[0] == 422


def test_broken_json_is_refused(client: TestClient) -> None:
    for content in (b'{"image": ', b"[" * 100_000, b"\xff\xfe"):
        answer = client.post(
            "/v1/classify", content=content, headers={"Content-Type": "application/json"}
        )
        assert outcome(answer) == (400, "request_unreadable")


def test_two_files_are_refused_and_counted(client: TestClient) -> None:
    files = [("image", jpeg()), ("image", jpeg())]
    answer = client.post("/v1/classify", files=files)
    assert outcome(answer) == (422, "invalid_value")
    assert "2 files" in answer.json()["detail"]


def test_a_wrong_field_name_is_refused_with_the_right_one(client: TestClient) -> None:
    answer = client.post("/v1/classify", files={"file": jpeg()})
    assert outcome(answer) == (422, "invalid_value")
    assert "'image'" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("multipart/form-data", b"--x\r\n"),
        ("multipart/form-data; boundary=x", b"no boundary here"),
        ("multipart/form-data; boundary=x", b"--x\r\nContent-Disposition: form-data; name=image"),
        (
            "multipart/form-data; boundary=x",
            b'--x\r\nContent-Disposition: form-data; name="image"\r\n\r\ncut off',
        ),
    ],
)
def test_a_broken_multipart_body_is_refused(
    client: TestClient, content_type: str, body: bytes
) -> None:
    headers = {"Content-Type": content_type}
    answer = client.post("/v1/classify", content=body, headers=headers)
    assert outcome(answer) == (400, "request_unreadable")


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "nonsense"])
def test_an_unknown_content_type_is_415_and_lists_the_known(client: TestClient, kind: str) -> None:
    answer = client.post("/v1/classify", content=jpeg(), headers={"Content-Type": kind})
    assert outcome(answer) == (415, "media_type_unsupported")
    assert "multipart/form-data" in answer.json()["detail"]


def test_a_body_without_a_content_type_is_taken_as_the_picture(client: TestClient) -> None:
    answer = client.post("/v1/classify", content=jpeg())
    assert "content-type" not in answer.request.headers
    assert answer.status_code == 200


def test_a_compressed_body_is_415(client: TestClient) -> None:
    answer = post(client, gzip.compress(jpeg()), **{"Content-Encoding": "gzip"})
    assert outcome(answer) == (415, "media_type_unsupported")


LIMIT = 20 * 2**20


def test_a_body_over_the_limit_is_refused_by_its_header(client: TestClient) -> None:
    answer = post(client, b"x" * (LIMIT + 1))
    assert outcome(answer) == (413, "body_too_large")
    assert str(LIMIT) in answer.json()["detail"]
    assert "connection" not in answer.headers  # closed at once, the answer would not be read


def test_a_body_over_the_limit_is_refused_by_count_without_a_header(client: TestClient) -> None:
    chunks = (b"x" * 2**20 for _ in range(22))
    answer = client.post("/v1/classify", content=_stream(chunks), headers=RAW)
    assert "content-length" not in answer.request.headers
    assert outcome(answer) == (413, "body_too_large")


def test_a_base64_picture_may_not_be_larger_than_a_raw_one(client: TestClient) -> None:
    text = base64.b64encode(b"x" * LIMIT).decode()
    assert outcome(client.post("/v1/classify", json={"image": text})) == (413, "body_too_large")


def _stream(chunks: Iterator[bytes]) -> Iterator[bytes]:
    yield from chunks
