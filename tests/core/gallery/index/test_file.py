import json
import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from core.gallery.index.index import IndexOptions, VectorIndex
from tests.core.gallery.memory import EXACT, LISTED, MemorySource, clustered, nearest

NONE = np.empty(0, dtype=np.int64)
NO_ROWS = (NONE, np.empty((0, 0), dtype=np.float32), [])
COUNT, DIM = 2500, 16

Live = tuple[np.ndarray, list[str | None]]


@pytest.fixture(params=[EXACT, LISTED], ids=["exact", "listed"])
def options(request: pytest.FixtureRequest) -> IndexOptions:
    return request.param


@pytest.fixture
def source() -> MemorySource:
    return MemorySource(clustered(COUNT, DIM))


def _live(source: MemorySource, label: str | None = "a") -> Live:
    numbers = source.all()[0]
    return numbers, [label] * len(numbers)


def _saved(file: Path, source: MemorySource, options: IndexOptions) -> VectorIndex:
    index = VectorIndex.open(file, DIM, "l2", source, _live(source), 5, options)
    index.wait()
    index.save(file)
    source.scans = 0
    return index


def _agrees(index: VectorIndex, source: MemorySource) -> None:
    numbers, rows = source.all()
    assert index.numbers().tolist() == numbers.tolist()
    for query in clustered(3, DIM, seed=7):
        want = nearest("l2", query, numbers, rows, 10)
        assert index.search(query, 10, exact=True).numbers.tolist() == want
        assert len(set(index.search(query, 10).numbers.tolist()) & set(want)) >= 9


def test_what_was_saved_is_loaded_without_reading_all_vectors(
    tmp_path: Path, source: MemorySource, options: IndexOptions
) -> None:
    saved = _saved(tmp_path / "index", source, options)
    loaded = VectorIndex.open(tmp_path / "index", DIM, "l2", source, _live(source), 5, options)
    assert source.scans == 0
    assert (loaded.approximate, loaded.recall, loaded.seq) == (saved.approximate, saved.recall, 5)
    for query in clustered(10, DIM, seed=7):
        ours, theirs = loaded.search(query, 10), saved.search(query, 10)
        assert ours.numbers.tobytes() == theirs.numbers.tobytes()
        assert ours.distances.tobytes() == theirs.distances.tobytes()
    _agrees(loaded, source)


def test_changes_since_the_file_was_written_are_caught_up_with(
    tmp_path: Path, source: MemorySource, options: IndexOptions
) -> None:
    _saved(tmp_path / "index", source, options)
    source.drop(np.arange(10, 40))
    source.put(np.arange(3000, 3050), clustered(50, DIM, seed=3))
    numbers, labels = _live(source)
    labels[0] = "other"
    loaded = VectorIndex.open(tmp_path / "index", DIM, "l2", source, (numbers, labels), 9, options)
    assert source.scans == 0
    assert loaded.seq == 9
    assert loaded.search(source.all()[1][0], 5, label="other").numbers.tolist() == [0]
    _agrees(loaded, source)


def test_a_merged_and_thinned_index_survives_its_file(tmp_path: Path, source: MemorySource) -> None:
    index = _saved(tmp_path / "index", source, LISTED)
    fresh = clustered(700, DIM, seed=3)
    for start in range(0, 700, 350):
        numbers = 3000 + np.arange(start, start + 350)
        source.put(numbers, fresh[start : start + 350])
        index.apply((numbers, fresh[start : start + 350], ["a"] * 350), NONE, [], 6)
        index.wait()
    source.drop(np.array([5, 3001]))
    index.apply(NO_ROWS, np.array([5, 3001]), [], 7)
    index.save(tmp_path / "index")
    loaded = VectorIndex.open(tmp_path / "index", DIM, "l2", source, _live(source), 7, LISTED)
    assert source.scans == 0
    _agrees(loaded, source)
    for query in fresh[:5]:
        ours, theirs = loaded.search(query, 10), index.search(query, 10)
        assert ours.distances.tobytes() == theirs.distances.tobytes()


def _cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-1000])


def _cut_to_nothing(file: Path) -> None:
    file.write_bytes(b"")


def _flip(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def _flip_the_header(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[17] ^= 64
    file.write_bytes(content)


def _replace(file: Path) -> None:
    file.write_bytes(b"something else entirely" * 100)


def _directory(file: Path) -> None:
    file.unlink()
    file.mkdir()


@pytest.mark.parametrize(
    ("damage", "why"),
    [
        (_cut, "damaged or was cut off"),
        (_cut_to_nothing, "no index"),
        (_flip, "damaged or was cut off"),
        (_flip_the_header, "damaged or was cut off"),
        (_replace, "no index"),
        (Path.unlink, "missing"),
        (_directory, "cannot be read"),
    ],
)
def test_a_file_that_cannot_be_used_is_made_anew_and_the_log_says_why(
    tmp_path: Path,
    source: MemorySource,
    options: IndexOptions,
    damage: Callable[[Path], None],
    why: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    file = tmp_path / "index"
    _saved(file, source, options)
    damage(file)
    with caplog.at_level(logging.INFO, "seethrough"):
        caplog.clear()
        index = VectorIndex.open(file, DIM, "l2", source, _live(source), 5, options)
    assert [why in record.message for record in caplog.records] == [True]
    _agrees(index, source)  # also before the background is ready
    index.wait()
    assert index.approximate == (options is LISTED)
    _agrees(index, source)


@pytest.mark.parametrize(
    ("field", "value"), [("format", 99), ("faiss", "0.1"), ("dim", 17), ("metric", "l1")]
)
def test_a_file_of_another_making_is_made_anew(
    tmp_path: Path,
    source: MemorySource,
    field: str,
    value: object,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    real = json.dumps
    monkeypatch.setattr(
        "core.gallery.index.file.json.dumps", lambda header: real({**header, field: value})
    )
    _saved(tmp_path / "index", source, EXACT)
    with caplog.at_level(logging.INFO, "seethrough"):
        caplog.clear()
        index = VectorIndex.open(tmp_path / "index", DIM, "l2", source, _live(source), 5)
    assert f"its {field} is {value!r}" in caplog.text
    _agrees(index, source)


def test_a_file_from_the_future_is_made_anew(
    tmp_path: Path, source: MemorySource, caplog: pytest.LogCaptureFixture
) -> None:
    _saved(tmp_path / "index", source, EXACT)
    with caplog.at_level(logging.INFO, "seethrough"):
        index = VectorIndex.open(tmp_path / "index", DIM, "l2", source, _live(source), 4)
    assert "it is of change 5, stored is only 4" in caplog.text
    assert index.seq == 4


def test_a_file_of_other_vectors_is_made_anew(
    tmp_path: Path, source: MemorySource, options: IndexOptions, caplog: pytest.LogCaptureFixture
) -> None:
    _saved(tmp_path / "index", source, options)
    other = MemorySource(clustered(COUNT, DIM, seed=9))
    with caplog.at_level(logging.INFO, "seethrough"):
        index = VectorIndex.open(tmp_path / "index", DIM, "l2", other, _live(other), 5, options)
    assert "not those that are stored" in caplog.text
    _agrees(index, other)


def test_a_file_that_lacks_older_vectors_is_made_anew(
    tmp_path: Path, source: MemorySource, caplog: pytest.LogCaptureFixture
) -> None:
    lost = source.vectors_of(np.array([100]))
    source.drop(np.array([100]))
    _saved(tmp_path / "index", source, EXACT)
    source.put(*lost)
    with caplog.at_level(logging.INFO, "seethrough"):
        index = VectorIndex.open(tmp_path / "index", DIM, "l2", source, _live(source), 5)
    assert "are missing in it" in caplog.text
    _agrees(index, source)


def test_live_rows_may_come_in_any_order(tmp_path: Path, source: MemorySource) -> None:
    numbers, rows = source.all()
    labels: list[str | None] = [f"n{n}" for n in numbers]
    live = (numbers[::-1], labels[::-1])
    index = VectorIndex.open(tmp_path / "index", DIM, "l2", source, live, 1)
    assert index.search(rows[0], 5, label="n17").numbers.tolist() == [17]


def test_a_failed_save_leaves_the_file_as_it_was(
    tmp_path: Path, source: MemorySource, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = _saved(tmp_path / "index", source, EXACT)
    before = (tmp_path / "index").read_bytes()

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("core.gallery.index.file.os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        index.save(tmp_path / "index")
    assert (tmp_path / "index").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["index"]


def test_an_empty_index_is_saved_and_loaded(tmp_path: Path) -> None:
    source = MemorySource(np.empty((0, DIM), dtype=np.float32))
    VectorIndex(DIM, "l2", source).save(tmp_path / "index")
    index = VectorIndex.open(tmp_path / "index", DIM, "l2", source, (NONE, []), 0)
    assert (index.count, source.scans) == (0, 0)
