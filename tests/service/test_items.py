"""Items over HTTP: stored once, changed with care, listed page by page."""

import hashlib
import io
import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient
from PIL import Image

from tests.pictures import encode, jpeg, photo
from tests.service.gallery_client import JPEG, add, make


@pytest.fixture
def path(client: TestClient, request: pytest.FixtureRequest) -> str:
    """A new collection of the tiny network, with pixel space."""
    name = hashlib.sha256(request.node.nodeid.encode()).hexdigest()[:16]
    return make(client, name, pixel_space=True)


def test_a_stored_picture_is_answered_in_full(client: TestClient, path: str) -> None:
    answer = add(client, path, "coffee", id="cup", label="drink", metadata='{"shot": 1}')
    assert answer.status_code == 201
    item = answer.json()
    assert (item["id"], item["label"], item["metadata"]) == ("cup", "drink", {"shot": 1})
    assert (item["width"], item["height"]) == (600, 400)
    assert item["sha256"] == hashlib.sha256(jpeg("coffee")).hexdigest() == item["image"]["sha256"]
    assert set(item["prediction"]) == {"class_index", "label", "probability"}
    assert answer.headers["etag"] == f'"{item["version"]}"'
    assert answer.headers["location"] == f"{path}/items/cup"
    assert int(answer.headers["x-applied-seq"]) == item["seq"]
    got = client.get(f"{path}/items/cup")
    assert got.headers["etag"] == answer.headers["etag"]
    assert got.json() == {key: item[key] for key in got.json()}
    assert client.get(path).json()["labels"] == [{"label": "drink", "count": 1}]


def test_the_vector_is_the_models_own(client: TestClient, path: str) -> None:
    add(client, path, "rocket", id="r")
    got = client.get(f"{path}/items/r/vector").json()
    direct = client.post(
        "/v1/feature-vector?model=tiny", content=jpeg("rocket"), headers=JPEG
    ).json()
    assert got["dim"] == 24
    assert got["vector"] == pytest.approx(direct["vector"], abs=1e-6)
    array = np.load(io.BytesIO(client.get(f"{path}/items/r/vector?format=npy").content))
    assert array.tolist() == pytest.approx(got["vector"])


def test_the_thumbnail_is_the_picture_made_small(client: TestClient, path: str) -> None:
    turned = encode(photo("coffee"), exif=_turned())
    client.put(f"{path}/items/t", content=turned, headers=JPEG)
    answer = client.get(f"{path}/items/t/thumbnail")
    assert answer.headers["content-type"] == "image/jpeg"
    with Image.open(io.BytesIO(answer.content)) as image:
        assert max(image.size) == 320
        assert image.height > image.width  # upright, as the camera was held
        upright = Image.fromarray(photo("coffee")).rotate(-90, expand=True).resize(image.size)
        difference = np.abs(np.asarray(image, float) - np.asarray(upright, float)).mean()
    assert difference < 8
    again = client.get(
        f"{path}/items/t/thumbnail", headers={"If-None-Match": answer.headers["etag"]}
    )
    assert (again.status_code, again.content) == (304, b"")
    item = client.get(f"{path}/items/t").json()
    assert (item["width"], item["height"]) == (400, 600)


def _turned() -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    return exif.tobytes()


def test_an_id_is_made_where_none_is_given(client: TestClient, path: str) -> None:
    ids = {add(client, path, "coffee").json()["id"] for _ in range(3)}
    assert len(ids) == 3
    assert client.get(path).json()["count"] == 3


def test_a_taken_id_is_a_conflict_and_put_replaces(client: TestClient, path: str) -> None:
    first = add(client, path, "coffee", id="a").json()
    answer = add(client, path, "rocket", id="a")
    assert (answer.status_code, answer.json()["code"]) == (409, "conflict")
    replaced = client.put(f"{path}/items/a?label=new", content=jpeg("rocket"), headers=JPEG)
    assert replaced.status_code == 200
    assert replaced.json()["sha256"] != first["sha256"]
    assert replaced.json()["created_at"] == first["created_at"]
    assert client.put(f"{path}/items/b", content=jpeg(), headers=JPEG).status_code == 201
    assert client.get(path).json()["count"] == 2


def test_an_id_may_hold_slashes_spaces_and_letters_of_any_kind(
    client: TestClient, path: str
) -> None:
    id = "holidays/2024 März/Käse #1.jpg"
    location = add(client, path, "coffee", id=id).headers["location"]
    assert client.get(location).json()["id"] == id
    assert client.get(f"{location}/thumbnail").status_code == 200
    assert client.delete(location).status_code == 204


@pytest.mark.parametrize(
    "id", ["", "a//b", "../a", "a/thumbnail", "vector", "/a", "a/", "x" * 201, "a\nb"]
)
def test_an_id_that_cannot_stand_in_a_path_is_refused(
    client: TestClient, path: str, id: str
) -> None:
    answer = add(client, path, "coffee", id=id)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["parameter"] == "id"


@pytest.mark.parametrize(
    "query",
    [
        {"metadata": "[1]"},
        {"metadata": "{"},
        {"metadata": '{"x": NaN}'},
        {"metadata": json.dumps({"x": "y" * 17_000})},
        {"label": "a\nb"},
        {"on_duplicate": "maybe"},
    ],
)
def test_what_is_said_of_a_picture_is_checked(
    client: TestClient, path: str, query: dict[str, Any]
) -> None:
    answer = add(client, path, "coffee", **query)
    assert answer.status_code == 422
    assert next(iter(query)) in answer.json()["detail"]
    assert client.get(path).json()["count"] == 0


def test_the_same_bytes_are_kept_rejected_or_replaced(client: TestClient, path: str) -> None:
    add(client, path, "coffee", id="a", label="old")
    assert add(client, path, "coffee", id="b", on_duplicate="keep").status_code == 201
    rejected = add(client, path, "coffee", id="c", on_duplicate="reject")
    assert rejected.status_code == 409
    assert "'a'" in rejected.json()["detail"]
    replaced = add(client, path, "coffee", label="new", on_duplicate="replace")
    assert (replaced.status_code, replaced.json()["id"]) == (200, "a")
    assert client.get(f"{path}/items/a").json()["label"] == "new"
    assert client.get(path).json()["count"] == 2


def test_one_key_stores_one_picture_however_often_it_is_sent(client: TestClient, path: str) -> None:
    key = {"Idempotency-Key": "k1"}
    first = add(client, path, "coffee", key)
    again = add(client, path, "coffee", key)
    assert (first.status_code, again.status_code) == (201, 201)
    assert again.headers["idempotency-replayed"] == "true"
    assert "idempotency-replayed" not in first.headers
    assert again.json()["id"] == first.json()["id"]
    other = add(client, path, "rocket", key)
    assert (other.status_code, other.json()["code"]) == (409, "conflict")
    with ThreadPoolExecutor(8) as pool:
        together = list(
            pool.map(
                lambda _: add(client, path, "china", {"Idempotency-Key": "k2"}).json()["id"],
                range(8),
            )
        )
    assert len(set(together)) == 1
    assert client.get(path).json()["count"] == 2


def test_an_empty_label_is_none_however_it_comes(client: TestClient, path: str) -> None:
    for write in (
        lambda: client.put(f"{path}/items/a?label=", content=jpeg()),
        lambda: client.patch(f"{path}/items/a", json={"label": ""}),
    ):
        client.put(f"{path}/items/a?label=cat", content=jpeg())
        assert write().json()["label"] is None
        assert client.get(f"{path}/items/a").json()["label"] is None


def test_a_patch_changes_what_it_names_and_nothing_else(client: TestClient, path: str) -> None:
    before = add(client, path, "coffee", id="a", label="x", metadata='{"k": 1}').json()
    patched = client.patch(f"{path}/items/a", json={"label": "y"})
    assert patched.status_code == 200
    assert (patched.json()["label"], patched.json()["metadata"]) == ("y", {"k": 1})
    assert patched.json()["version"] > before["version"]
    cleared = client.patch(f"{path}/items/a", json={"label": None, "metadata": {}})
    assert (cleared.json()["label"], cleared.json()["metadata"]) == (None, {})
    assert cleared.json()["sha256"] == before["sha256"]
    assert client.patch(f"{path}/items/a", json={"color": 1}).status_code == 422
    assert client.patch(f"{path}/items/zzz", json={"label": "y"}).status_code == 404


def test_an_etag_guards_against_lost_changes(client: TestClient, path: str) -> None:
    old = add(client, path, "coffee", id="a").headers["etag"]
    match = {"If-Match": old}
    new = client.patch(f"{path}/items/a", json={"label": "1"}, headers=match).headers["etag"]
    stale = client.patch(f"{path}/items/a", json={"label": "2"}, headers=match)
    assert (stale.status_code, stale.json()["code"]) == (412, "version_mismatch")
    put = client.put(f"{path}/items/a", content=jpeg(), headers=JPEG | match)
    assert put.status_code == 412
    assert client.delete(f"{path}/items/a", headers=match).status_code == 412
    assert client.delete(f"{path}/items/a", headers={"If-Match": new}).status_code == 204
    strange = client.delete(f"{path}/items/a", headers={"If-Match": "57"})
    assert strange.status_code == 422
    unchanged = add(client, path, "coffee", id="a").headers["etag"]
    assert unchanged not in (old, new)
    got = client.get(f"{path}/items/a", headers={"If-None-Match": unchanged})
    assert got.status_code == 304


def test_pages_hold_every_item_once(client: TestClient, path: str) -> None:
    for index in range(7):
        add(client, path, "coffee", id=f"i{index}", label="odd" if index % 2 else "even")
    seen: list[str] = []
    cursor: str | None = None
    while True:
        query = {"limit": 3} | ({} if cursor is None else {"cursor": cursor})
        page = client.get(f"{path}/items", params=query).json()
        assert page["total"] == 7
        seen += [item["id"] for item in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert seen == [f"i{index}" for index in range(7)]
    odd = client.get(f"{path}/items?label=odd").json()
    assert [item["id"] for item in odd["items"]] == ["i1", "i3", "i5"]
    assert client.get(f"{path}/items?q=I4").json()["total"] == 1
    assert client.get(f"{path}/items?q=%25").json()["total"] == 0
    for wrong in ("limit=0", "limit=1001", "cursor=abc"):
        assert client.get(f"{path}/items?{wrong}").status_code == 422


def test_a_state_that_has_not_come_yet_is_not_answered_from(client: TestClient, path: str) -> None:
    seq = add(client, path, "coffee", id="a").json()["seq"]
    assert client.get(f"{path}/items/a?min_seq={seq}").status_code == 200
    early = client.get(f"{path}/items/a?min_seq={seq + 1000}")
    assert (early.status_code, early.json()["code"]) == (503, "not_yet_applied")
    assert early.headers["retry-after"]


def test_a_bad_picture_leaves_nothing_behind(client: TestClient, path: str) -> None:
    for content, status in ((b"", 400), (b"hello", 415), (jpeg()[:5000], 400)):
        answer = client.put(f"{path}/items/a", content=content, headers=JPEG)
        assert answer.status_code == status
    assert client.get(path).json()["count"] == 0


def test_many_writers_at_once_store_every_picture(client: TestClient, path: str) -> None:
    with ThreadPoolExecutor(16) as pool:
        answers = list(
            pool.map(lambda index: add(client, path, "coffee", id=f"n{index}"), range(48))
        )
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.json()["seq"] for answer in answers}) == 48
    assert client.get(path).json()["count"] == 48


def test_if_match_with_a_star_needs_only_that_the_item_is_there(
    client: TestClient, path: str
) -> None:
    star = JPEG | {"If-Match": "*"}
    missing = client.put(f"{path}/items/a", content=jpeg(), headers=star)
    assert missing.status_code == 404
    add(client, path, "chelsea", id="a")
    assert client.put(f"{path}/items/a", content=jpeg(), headers=star).status_code == 200
    changed = client.patch(f"{path}/items/a", json={"label": "x"}, headers={"If-Match": "*"})
    assert changed.json()["label"] == "x"
    assert client.delete(f"{path}/items/a", headers={"If-Match": "*"}).status_code == 204


def test_if_match_takes_a_list_and_tags_that_are_not_ours(client: TestClient, path: str) -> None:
    tag = add(client, path, "chelsea", id="a").headers["etag"]
    for header, status in (
        ('"never-ours"', 412),
        (f"W/{tag}", 412),
        (f'"never-ours", {tag}', 200),
    ):
        answer = client.patch(
            f"{path}/items/a", json={"metadata": {}}, headers={"If-Match": header}
        )
        assert answer.status_code == status, header


@pytest.mark.parametrize("text", ['{"label": "\\ud800"}', '{"metadata": {"a": "\\udc00b"}}'])
def test_half_a_surrogate_pair_is_refused_and_breaks_no_listing(
    client: TestClient, path: str, text: str
) -> None:
    add(client, path, "chelsea", id="a")
    headers = {"Content-Type": "application/json"}
    assert client.patch(f"{path}/items/a", content=text, headers=headers).status_code == 400
    query = {"metadata": '{"a": "\\ud800"}'}
    assert add(client, path, "coffee", **query).status_code == 422
    seed = client.post(f"{path}/neighbors", content='{"item": "\\ud800"}', headers=headers)
    assert seed.status_code == 400
    assert client.get(f"{path}/items").json()["total"] == 1
