"""What `verify` says of a gallery that was broken on purpose."""

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from core.gallery.index.index import IndexOptions, VectorIndex
from core.gallery.records import Put
from core.gallery.sqlite.database import connect
from core.gallery.sqlite.local import DATABASE, LocalGallery
from tests.core.gallery.records import DIM, new_item, spec

NONE = np.empty(0, dtype=np.int64)
NO_ROWS = np.empty((0, DIM), dtype=np.float32)


def filled(folder: Path, items: int = 30, options: IndexOptions | None = None) -> LocalGallery:
    """With items in "c", numbered from 1, and in "d", which nobody breaks."""
    gallery = LocalGallery(folder, options)
    for name in ("c", "d"):
        gallery.create(spec(name, pixel_space=True)).result()
        puts = [Put(name, new_item(f"{seed:04}", seed)) for seed in range(items)]
        for future in [gallery.write(put) for put in puts]:
            future.result()
    return gallery


@pytest.fixture
def gallery(tmp_path: Path) -> Iterator[LocalGallery]:
    with closing(filled(tmp_path / "gallery")) as gallery:
        yield gallery


def lose(index: VectorIndex) -> None:
    index.apply((NONE, NO_ROWS, []), np.array([3, 4]), [], 1)


def invent(index: VectorIndex) -> None:
    rows = np.ones((1, DIM), dtype=np.float32)
    index.apply((np.array([999]), rows, [None]), NONE, [], 1)


def mix_up(index: VectorIndex) -> None:
    """Two vectors change places."""
    block = index._snapshot.tail.blocks[0]
    block.flags.writeable = True
    block[[5, 6]] = block[[6, 5]]


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        (lose, "2 stored vectors are not in the index, such as [3, 4]"),
        (invent, "1 vectors in the index are not stored, such as [999]"),
        (mix_up, "are not those of brute force"),
    ],
)
def test_an_index_that_disagrees_is_named_with_its_collection_and_space(
    gallery: LocalGallery, broken: Callable[[VectorIndex], None], said: str
) -> None:
    assert gallery.verify(queries=30) == []
    broken(gallery._indexes[1, "features"])
    faults = gallery.verify(queries=30)
    assert faults
    for fault in faults:
        assert (fault.collection, fault.space) == ("c", "features")
        assert said in fault.text


def test_pixels_that_disagree_are_named_as_well(gallery: LocalGallery) -> None:
    gallery._indexes[2, "pixels"].apply(
        (NONE, np.empty((0, 3072), np.float32), []), np.array([31]), [], 1
    )
    (fault,) = gallery.verify()
    assert (fault.collection, fault.space) == ("d", "pixels")


def test_a_count_that_is_not_that_of_the_rows_is_named(tmp_path: Path) -> None:
    filled(tmp_path).close()
    with closing(connect(tmp_path / DATABASE)) as connection:
        connection.execute("UPDATE collections SET count = 31, sum = NULL WHERE name = 'c'")
    with closing(LocalGallery(tmp_path)) as gallery:
        faults = gallery.verify()
    assert {fault.text for fault in faults} == {"the collection counts 31 items and holds 30"}


def test_a_vector_changed_on_the_disk_is_not_that_of_the_index(tmp_path: Path) -> None:
    filled(tmp_path).close()
    with closing(LocalGallery(tmp_path)) as gallery:
        with closing(connect(tmp_path / DATABASE)) as connection:
            wrong = np.ones(DIM, np.float32).tobytes()
            connection.execute("UPDATE vectors SET features = ? WHERE number = 5", (wrong,))
        faults = gallery.verify(queries=30)
    assert faults
    assert {(fault.collection, fault.space) for fault in faults} == {("c", "features")}


def test_an_approximate_index_that_misses_too_much_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = IndexOptions(flat_limit_bytes=1, few_rows=1, lists=8)
    with closing(filled(tmp_path, items=400, options=options)) as gallery:
        index = gallery._indexes[1, "features"]
        index.wait()
        assert index.approximate
        assert gallery.verify() == []
        whole = VectorIndex.search

        def near_sighted(self: VectorIndex, vector: object, k: int, **given: object) -> object:
            return whole(self, vector, k if given.get("exact") else 2, **given)  # type: ignore[arg-type]

        monkeypatch.setattr(VectorIndex, "search", near_sighted)
        faults = gallery.verify()
    assert "the index finds only 20.0% of the true neighbors" in [each.text for each in faults]


def test_an_empty_gallery_has_no_faults(tmp_path: Path) -> None:
    with closing(LocalGallery(tmp_path)) as gallery:
        assert gallery.verify() == []
        gallery.create(spec("c")).result()
        assert gallery.verify() == []
