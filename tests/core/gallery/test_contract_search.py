"""What every `Gallery` promises of searches, held against NumPy; SQLite and FAISS for now."""

import numpy as np
import pytest

from core.errors import (
    InvalidValue,
)
from core.gallery.distances import PIXEL_DIM
from core.gallery.gallery import Gallery
from core.gallery.queries import Query
from core.gallery.records import METRICS, Metric, Patch
from tests.core.gallery.memory import brute
from tests.core.gallery.records import DIM, WAIT_S, new_item, put, sha256, spec


@pytest.mark.parametrize("metric", METRICS)
def test_neighbors_are_those_of_brute_force_nearest_first(gallery: Gallery, metric: Metric) -> None:
    gallery.create(spec("m", metric=metric)).result(WAIT_S)
    for seed in range(50):
        put(gallery, f"{seed:02}", seed, "m")
    rows = np.stack([gallery.vector("m", f"{seed:02}") for seed in range(50)])
    query = new_item("q", 99).vector
    truth = brute(metric, query, rows)
    found = gallery.nearest("m", Query(query, k=7)).found
    order = sorted(range(50), key=lambda row: (truth[row], row))[:7]
    assert [each.item.id for each in found] == [f"{row:02}" for row in order]
    assert [each.distance for each in found] == pytest.approx(truth[order], rel=1e-9)
    assert all(0 <= each.similarity <= 1 for each in found)


def test_ties_are_ordered_by_id(gallery: Gallery) -> None:
    vector = new_item("x", 1).vector
    for id in ("d", "b", "e", "a", "c"):
        put(gallery, id, 0, vector=vector, sha256=sha256(id))
    found = gallery.nearest("c", Query(vector, k=3)).found
    assert [(each.item.id, each.distance) for each in found] == [("a", 0), ("b", 0), ("c", 0)]


def test_a_replaced_vector_is_found_where_it_is_now(gallery: Gallery) -> None:
    put(gallery, "a", 1)
    old = gallery.vector("c", "a")
    put(gallery, "a", 2)
    found = gallery.nearest("c", Query(old, k=5)).found
    assert len(found) == 1
    assert found[0].distance > 0


def test_a_label_filters_and_follows_a_patch(gallery: Gallery) -> None:
    put(gallery, "a", 1, label="cat")
    put(gallery, "b", 2, label="dog")
    query = Query(np.zeros(DIM, np.float32), label="dog")
    assert [each.item.id for each in gallery.nearest("c", query).found] == ["b"]
    gallery.write(Patch("c", "a", label="dog")).result(WAIT_S)
    assert {each.item.id for each in gallery.nearest("c", query).found} == {"a", "b"}
    assert gallery.labels("c") == [("dog", 2)]


def test_max_per_label_makes_room_for_others(gallery: Gallery) -> None:
    for seed in range(30):
        near = np.full(DIM, 0.001 * seed, np.float32)
        put(gallery, f"cat {seed:02}", seed, label="cat", vector=near)
    put(gallery, "dog", 50, label="dog", vector=np.full(DIM, 9, np.float32))
    query = Query(np.zeros(DIM, np.float32), k=3, max_per_label=2)
    found = gallery.nearest("c", query)
    assert [each.item.id for each in found.found] == ["cat 00", "cat 01", "dog"]
    assert found.exact


def test_the_item_asked_about_can_be_left_out(gallery: Gallery) -> None:
    put(gallery, "a", 1)
    put(gallery, "b", 2)
    query = Query(gallery.vector("c", "a"), exclude="a")
    assert [each.item.id for each in gallery.nearest("c", query).found] == ["b"]


def test_pixels_are_compared_where_they_are_kept(gallery: Gallery) -> None:
    gallery.create(spec("p", pixel_space=True)).result(WAIT_S)
    for seed in range(5):
        put(gallery, str(seed), seed, "p")
    pixels = gallery.pixels("p", "3")
    assert pixels is not None
    query = Query(pixels.reshape(-1).astype(np.float32) / 255, space="pixels", k=2)
    found = gallery.nearest("p", query)
    assert (found.found[0].item.id, found.found[0].distance) == ("3", 0)
    assert found.space == "pixels"
    with pytest.raises(InvalidValue):
        gallery.nearest("c", Query(np.zeros(PIXEL_DIM, np.float32), space="pixels"))


def test_a_vector_of_another_length_is_refused(gallery: Gallery) -> None:
    put(gallery, "a", 1)
    with pytest.raises(InvalidValue, match="4"):
        gallery.nearest("c", Query(np.zeros(DIM + 1, np.float32)))
    with pytest.raises(InvalidValue):
        put(gallery, "b", 1, dim=DIM + 1)
    assert gallery.collection("c").count == 1


def test_an_empty_collection_has_no_neighbors(gallery: Gallery) -> None:
    found = gallery.nearest("c", Query(np.zeros(DIM, np.float32)))
    assert (found.found, found.exact) == ((), True)
