"""A collection as a Parquet file: written, read by others, read back."""

import json
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from core.errors import InvalidValue, QueueFull, UnknownCollection
from core.gallery import parquet
from core.gallery.parquet import export_collection, import_collection
from core.gallery.records import CollectionSpec, Put, Remove
from core.gallery.sqlite.local import LocalGallery
from core.types import ImageFile
from tests.core.gallery.records import DIM, new_item, spec

SPEC = spec("c", pixel_space=True, keep_originals=True, metric="cosine")


@pytest.fixture
def gallery(tmp_path: Path) -> Iterator[LocalGallery]:
    """With 25 items in "c", among them unusual ones."""
    with closing(LocalGallery(tmp_path / "one")) as gallery:
        fill(gallery, SPEC)
        yield gallery


@pytest.fixture
def other(tmp_path: Path) -> Iterator[LocalGallery]:
    with closing(LocalGallery(tmp_path / "two")) as gallery:
        yield gallery


def fill(gallery: LocalGallery, spec: CollectionSpec) -> None:
    gallery.create(spec).result()
    for seed in range(25):
        item = new_item(
            f"summer/{seed:02} ä.jpg",
            seed,
            label=f"l{seed % 3}" if seed % 4 else None,
            metadata={"seed": seed, "big": 2**70, "text": "日本"} if seed % 2 else {},
            original=ImageFile(
                np.random.default_rng(seed).bytes(1000 * seed), 12 if seed % 2 else None
            ),
        )
        gallery.write(Put(spec.name, item)).result()
    gallery.write(Remove(spec.name, "summer/07 ä.jpg")).result()


def everything(gallery: LocalGallery, name: str) -> list[tuple[Any, ...]]:
    """All that is said of the items, in order, bytes and all."""
    kept = ("id", "label", "metadata", "sha256", "width", "height", "prediction")
    found = []
    for items, vectors in gallery.vectors(name):
        for item, vector in zip(items, vectors, strict=True):
            pixels = gallery.pixels(name, item.id)
            found.append(
                (
                    *(getattr(item, field) for field in kept),
                    vector.tobytes(),
                    None if pixels is None else pixels.tobytes(),
                    gallery.thumbnail(name, item.id),
                    gallery.original(name, item.id),
                    item.created_at,
                )
            )
    return found


def test_a_collection_comes_back_in_another_gallery_to_the_last_bit(
    tmp_path: Path, gallery: LocalGallery, other: LocalGallery
) -> None:
    file = tmp_path / "c.parquet"
    assert export_collection(gallery, "c", file) == 24
    assert import_collection(other, file) == 24
    assert other.collection("c").spec == SPEC
    assert everything(other, "c") == everything(gallery, "c")
    assert other.verify() == []


def test_a_collection_comes_back_under_another_name_beside_itself(
    tmp_path: Path, gallery: LocalGallery
) -> None:
    file = tmp_path / "c.parquet"
    export_collection(gallery, "c", file)
    for _ in range(2):  # the second time each item replaces itself
        assert import_collection(gallery, file, "copy") == 24
        assert gallery.collection("copy").spec == replace(SPEC, name="copy")
        assert gallery.collection("copy").count == 24
        assert everything(gallery, "copy") == everything(gallery, "c")


def test_a_file_of_many_groups_comes_back_whole(
    tmp_path: Path, gallery: LocalGallery, other: LocalGallery
) -> None:
    file = tmp_path / "c.parquet"
    export_collection(gallery, "c", file, group_rows=5, group_bytes=20_000)
    assert pq.read_metadata(file).num_row_groups > 6
    import_collection(other, file, at_once=3)
    assert everything(other, "c") == everything(gallery, "c")


def test_an_import_waits_where_the_queue_is_full(
    tmp_path: Path, gallery: LocalGallery, other: LocalGallery, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "c.parquet"
    export_collection(gallery, "c", file)
    refused, write = [], other.write

    def full_at_times(put: Put) -> object:
        if len(refused) < 10 and put.item.id not in refused and int(put.item.id[7:9]) % 2:
            refused.append(put.item.id)
            raise QueueFull("too many writes wait", retry_after_s=1.0)
        return write(put)

    monkeypatch.setattr(other, "write", full_at_times)
    assert import_collection(other, file) == 24
    assert len(refused) == 10
    assert everything(other, "c") == everything(gallery, "c")


def test_other_programs_find_the_columns_that_are_documented(
    tmp_path: Path, gallery: LocalGallery
) -> None:
    file = tmp_path / "c.parquet"
    export_collection(gallery, "c", file)
    table = pq.read_table(file)
    said = (export_collection.__doc__ or "").split("Columns: ")[1]
    places = [said.index(name) for name in table.column_names]
    assert places == sorted(places)
    assert table.schema.field("vector").type == pa.list_(pa.float32(), DIM)
    matrix = np.stack(table["vector"].to_pylist())
    items, vectors = next(iter(gallery.vectors("c")))
    assert np.array_equal(matrix.astype(np.float32), vectors)
    assert table["id"].to_pylist() == [item.id for item in items]
    assert [json.loads(text) for text in table["metadata"].to_pylist()] == [
        item.metadata for item in items
    ]
    assert table["created_at"].to_pylist() == [item.created_at for item in items]


def test_an_empty_collection_comes_back(tmp_path: Path, other: LocalGallery) -> None:
    other.create(spec("c")).result()
    assert export_collection(other, "c", tmp_path / "c.parquet") == 0
    assert import_collection(other, tmp_path / "c.parquet", "d") == 0
    assert other.collection("d").count == 0


def test_a_collection_that_is_not_there_makes_no_file(tmp_path: Path, other: LocalGallery) -> None:
    with pytest.raises(UnknownCollection):
        export_collection(other, "c", tmp_path / "c.parquet")
    assert not list(tmp_path.glob("*.parquet*"))


def test_an_interrupted_export_leaves_what_was_there(
    tmp_path: Path, gallery: LocalGallery, monkeypatch: pytest.MonkeyPatch
) -> None:
    def thumbnail(_: str, id: str) -> bytes:
        if id.startswith("summer/20"):
            raise KeyboardInterrupt
        return b"thumbnail"

    file = tmp_path / "out" / "c.parquet"
    file.parent.mkdir()
    monkeypatch.setattr(gallery, "thumbnail", thumbnail)
    for before in (None, b"an older one"):
        if before is not None:
            file.write_bytes(before)
        with pytest.raises(KeyboardInterrupt):
            export_collection(gallery, "c", file)
        assert [each.name for each in file.parent.iterdir()] == ["c.parquet"] * (before is not None)
    assert file.read_bytes() == b"an older one"


def test_files_that_are_no_export_are_refused_and_nothing_is_made(
    tmp_path: Path, other: LocalGallery
) -> None:
    file = tmp_path / "x.parquet"
    table = pa.table({"id": ["a"]})
    known = {parquet._SPEC: json.dumps({"name": "c"}).encode()}
    contents: dict[str, Callable[[], object]] = {
        "a Parquet file": lambda: file.write_bytes(b"PAR1 or not"),
        "`seethrough export` wrote": lambda: pq.write_table(table, file),
        "this version knows": lambda: pq.write_table(table.replace_schema_metadata(known), file),
    }
    for said, write in contents.items():
        write()
        with pytest.raises(InvalidValue, match=said):
            import_collection(other, file)
    for place in (tmp_path / "nobody", tmp_path):
        with pytest.raises((OSError, InvalidValue)):
            import_collection(other, place)
    assert other.collections() == []


def rewritten(file: Path, **columns: list[object]) -> None:
    """As another program might: one row, some columns with other values, the schema as it was."""
    table = pq.read_table(file).slice(0, 1)
    for name, values in columns.items():
        place, field = table.schema.get_field_index(name), table.schema.field(name)
        table = table.set_column(place, field, pa.array(values, field.type))
    pq.write_table(table, file)


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("id", None), ("id", "../a"), ("id", "x" * 300), ("label", "a\nb"), ("metadata", "[1]"),
        ("metadata", "{"), ("vector", None), ("vector", [1.0, np.nan, 1, 1]), ("pixels", None),
        ("pixels", b"short"), ("thumbnail", None), ("sha256", None), ("width", None),
    ],
)  # fmt: skip
def test_a_row_that_cannot_be_stored_is_named(
    tmp_path: Path, gallery: LocalGallery, other: LocalGallery, column: str, value: object
) -> None:
    file = tmp_path / "c.parquet"
    export_collection(gallery, "c", file)
    rewritten(file, **{column: [value]})
    with pytest.raises(InvalidValue, match=column):
        import_collection(other, file)
    assert other.collection("c").count == 0


def test_a_label_that_another_program_changed_is_taken(
    tmp_path: Path, gallery: LocalGallery
) -> None:
    file = tmp_path / "c.parquet"
    export_collection(gallery, "c", file)
    rewritten(file, label=["theirs"])
    assert import_collection(gallery, file) == 1
    assert gallery.item("c", "summer/00 ä.jpg").label == "theirs"
    assert gallery.collection("c").count == 24


def test_a_damaged_file_is_refused_or_does_not_matter(
    tmp_path: Path, gallery: LocalGallery, other: LocalGallery
) -> None:
    file = tmp_path / "c.parquet"
    export_collection(gallery, "c", file)
    whole, refused = file.read_bytes(), 0
    for place in range(0, len(whole), len(whole) // 20):
        noise = bytes(each ^ 0xFF for each in whole[place : place + 5])
        file.write_bytes(whole[:place] + noise + whole[place + 5 :])
        try:
            import_collection(other, file, f"c{place}")
        except InvalidValue:
            refused += 1
        else:
            assert everything(other, f"c{place}") == everything(gallery, "c")
    assert refused >= 15
    assert other.verify() == []


@pytest.mark.parametrize(
    "given",
    [
        {"model": "other"}, {"digest": "sha256:9"}, {"layer": "x"}, {"pool": "max"}, {"dim": 9},
        {"pixel_space": True}, {"keep_originals": True},
    ],
)  # fmt: skip
def test_vectors_of_another_network_go_into_no_collection(
    tmp_path: Path, other: LocalGallery, given: dict[str, Any]
) -> None:
    other.create(spec("c")).result()
    export_collection(other, "c", tmp_path / "c.parquet")
    other.drop("c").result()
    other.create(spec("c", **given)).result()
    with pytest.raises(InvalidValue, match=next(iter(given))):
        import_collection(other, tmp_path / "c.parquet")
    assert import_collection(other, tmp_path / "c.parquet", "d") == 0


def test_a_collection_that_keeps_less_takes_what_it_keeps(
    tmp_path: Path, gallery: LocalGallery, other: LocalGallery
) -> None:
    export_collection(gallery, "c", tmp_path / "c.parquet")
    other.create(spec("c", metric="l1")).result()
    import_collection(other, tmp_path / "c.parquet")
    assert [row[:8] for row in everything(other, "c")] == [
        row[:8] for row in everything(gallery, "c")
    ]
    assert {(row[8], row[10]) for row in everything(other, "c")} == {(None, None)}
