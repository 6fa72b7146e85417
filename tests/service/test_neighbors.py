"""Neighbors over HTTP, of pictures, vectors and items, in both spaces."""

import io
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient
from PIL import Image

from core.compute.thumbnails import reduce
from core.gallery.distances import PIXEL_SIDE
from core.images.decode import decode
from tests.pictures import NAMES, encode, jpeg, photo
from tests.service.gallery_client import JPEG, add, make


@pytest.fixture(scope="module")
def photos(client: TestClient) -> str:
    """The six photos, and left and right halves of them, in the default model's features."""
    path = make(client, "photos", "efficientnet-lite0", pixel_space=True)
    for name in NAMES:
        add(client, path, name, id=name, label=name)
        half = photo(name).shape[1] // 2
        for side, pixels in (("left", photo(name)[:, :half]), ("right", photo(name)[:, half:])):
            content = encode(np.ascontiguousarray(pixels))
            put = f"{path}/items/{name}-{side}?label={name}"
            assert client.put(put, content=content, headers=JPEG).status_code == 201
    return path


def near(client: TestClient, path: str, body: Any, **query: Any) -> dict[str, Any]:
    sent = {"json": body} if isinstance(body, dict) else {"content": body, "headers": JPEG}
    answer = client.post(f"{path}/neighbors", params=query, **sent)
    assert answer.status_code == 200, answer.text
    return answer.json()  # type: ignore[no-any-return]


def test_a_stored_photo_is_its_own_nearest(client: TestClient, photos: str) -> None:
    found = near(client, photos, jpeg("coffee"), k=3)
    first = found["neighbors"][0]
    assert first["id"] == "coffee"
    assert first["distance"] == pytest.approx(0, abs=1e-3)
    assert first["similarity"] == pytest.approx(1, abs=1e-3)
    assert (found["metric"], found["space"], found["exact"]) == ("l2", "features", True)
    assert found["image"]["format"] == "JPEG"
    distances = [each["distance"] for each in found["neighbors"]]
    assert distances == sorted(distances)


def test_distances_are_those_of_the_vectors(client: TestClient, photos: str) -> None:
    found = near(client, photos, {"item": "rocket"}, k=1000)["neighbors"]
    assert len(found) == 17  # every other item, and not itself
    own = np.array(client.get(f"{photos}/items/rocket/vector").json()["vector"])
    for each in found[:3]:
        other = np.array(client.get(f"{photos}/items/{each['id']}/vector").json()["vector"])
        assert each["distance"] == pytest.approx(np.linalg.norm(own - other), rel=1e-6)
        assert each["similarity"] == pytest.approx(1 / (1 + each["distance"]))


def test_a_vector_is_searched_as_it_is(client: TestClient, photos: str) -> None:
    vector = client.get(f"{photos}/items/china/vector").json()["vector"]
    found = near(client, photos, {"vector": vector}, k=1)
    assert (found["neighbors"][0]["id"], found["neighbors"][0]["distance"]) == ("china", 0)
    assert found["image"] is None


def test_pixel_space_compares_pixels(client: TestClient, photos: str) -> None:
    found = near(client, photos, {"item": "rocket"}, space="pixels", k=17)["neighbors"]
    tiny = {
        name: reduce(decode(jpeg(name)).pixels, PIXEL_SIDE).tiny / 255.0  # type: ignore[operator]
        for name in ("rocket", "china")
    }
    expected = np.linalg.norm((tiny["rocket"] - tiny["china"]).ravel())
    (china,) = (each for each in found if each["id"] == "china")
    assert china["distance"] == pytest.approx(expected, rel=0.02)


def test_features_find_the_same_subject_more_often_than_pixels(
    client: TestClient, photos: str
) -> None:
    def agreement(space: str) -> float:
        hits = []
        for name in NAMES:
            for item in (name, f"{name}-left", f"{name}-right"):
                for each in near(client, photos, {"item": item}, space=space, k=2)["neighbors"]:
                    hits.append(each["label"] == name)
        return float(np.mean(hits))

    assert agreement("features") > agreement("pixels")


def test_only_a_label_or_variety(client: TestClient, photos: str) -> None:
    cats = near(client, photos, jpeg("coffee"), label="chelsea")["neighbors"]
    assert {each["label"] for each in cats} == {"chelsea"}
    assert len(cats) == 3
    varied = near(client, photos, jpeg("coffee"), k=6, max_per_label=1)["neighbors"]
    assert len({each["label"] for each in varied}) == 6
    assert near(client, photos, jpeg("coffee"), label="nothing")["neighbors"] == []


def test_the_picture_shows_query_and_neighbors(client: TestClient, photos: str) -> None:
    answer = client.post(
        f"{photos}/neighbors?k=8", content=jpeg(), headers=JPEG | {"Accept": "image/png"}
    )
    assert answer.headers["content-type"] == "image/png"
    with Image.open(io.BytesIO(answer.content)) as image:
        assert image.width > 6 * 160
        assert image.height > 2 * 160
        assert len(np.unique(np.asarray(image.convert("L")))) > 100


@pytest.mark.parametrize(
    ("body", "query", "status", "word"),
    [
        ({"vector": [1.0, 2.0]}, {}, 422, "1280"),
        ({"vector": []}, {}, 422, "1280"),
        ({"vector": ["a"]}, {}, 422, "vector"),
        ({"vector": [1e300] * 1280}, {}, 422, "finite"),
        ({"vector": "abc"}, {}, 422, "vector"),
        ({"item": "nope"}, {}, 404, "nope"),
        ({"item": 5}, {}, 422, "item"),
        ({"items": "x"}, {}, 422, "items"),
        ({"vector": [0.0] * 1280, "item": "x"}, {}, 422, "body"),
        ({"item": "china"}, {"k": 0}, 422, "1 to 1000"),
        ({"item": "china"}, {"k": 1001}, 422, "1 to 1000"),
        ({"item": "china"}, {"space": "sound"}, 422, "sound"),
        ({"item": "china"}, {"max_per_label": 0}, 422, "max_per_label"),
        ({"item": "china"}, {"min_seq": 1000}, 503, "min_seq"),
        ({"item": "china"}, {"min_seq": 10**30}, 422, "min_seq"),
        ({"item": "china"}, {"format": "npy"}, 406, "npy"),
    ],
)
def test_what_cannot_be_searched_says_why(
    client: TestClient, photos: str, body: Any, query: dict[str, Any], status: int, word: str
) -> None:
    answer = client.post(f"{photos}/neighbors", json=body, params=query)
    assert answer.status_code == status, answer.text
    assert word in answer.json()["detail"]


def test_a_collection_without_pixels_has_no_pixel_space(client: TestClient) -> None:
    path = make(client, "no-pixels")
    add(client, path, "coffee", id="a")
    for body in ({"item": "a"}, {"vector": [0.0] * 3072}):
        answer = client.post(f"{path}/neighbors?space=pixels", json=body)
        assert (answer.status_code, "keeps no pixels" in answer.text) == (422, True)
    photo_answer = client.post(f"{path}/neighbors?space=pixels", content=jpeg(), headers=JPEG)
    assert photo_answer.status_code == 422


@pytest.mark.parametrize("metric", ["l1", "cosine"])
def test_other_metrics(client: TestClient, metric: str) -> None:
    path = make(client, f"by-{metric}", metric=metric)
    for name in NAMES:
        add(client, path, name, id=name)
    found = near(client, path, {"item": "coffee"})
    vectors = {
        name: np.array(client.get(f"{path}/items/{name}/vector").json()["vector"]) for name in NAMES
    }
    own = vectors["coffee"]
    for each in found["neighbors"]:
        other = vectors[each["id"]]
        cosine = own @ other / np.linalg.norm(own) / np.linalg.norm(other)
        expected = np.abs(own - other).sum() if metric == "l1" else 1 - cosine
        assert each["distance"] == pytest.approx(expected, rel=1e-5, abs=1e-9)
        assert 0 <= each["similarity"] <= 1
