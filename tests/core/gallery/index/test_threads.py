import threading
from dataclasses import replace

import numpy as np
import pytest

from core.gallery.index.index import IndexOptions, VectorIndex
from tests.core.gallery.memory import EXACT, LISTED, MemorySource, brute, clustered

NONE = np.empty(0, dtype=np.int64)
FIRST, ROUNDS, EACH = 1500, 120, 12


class _Writer:
    """Adds and removes, and says which changes are finished and which have begun."""

    def __init__(self, options: IndexOptions) -> None:
        self.rows = clustered(FIRST + ROUNDS * EACH, 16)
        self.source = MemorySource(self.rows[:FIRST])
        self.index = VectorIndex(16, "l2", self.source, options)
        self.index.apply((np.arange(FIRST), self.rows[:FIRST], [None] * FIRST), NONE, [], 1)
        self.here = [frozenset(range(FIRST))]  # after each change; the last one may be unfinished
        self.finished = 0
        self.done = threading.Event()

    def run(self) -> None:
        rng = np.random.default_rng(5)
        for turn in range(ROUNDS):
            start = FIRST + turn * EACH
            numbers = np.arange(start, start + EACH)
            gone = rng.choice(sorted(self.here[-1]), EACH // 2, replace=False)
            self.here.append(self.here[-1] - set(gone.tolist()) | set(numbers.tolist()))
            self.source.put(numbers, self.rows[numbers])
            self.source.drop(gone)
            self.index.apply((numbers, self.rows[numbers], ["n"] * EACH), gone, [], turn + 2)
            self.finished = turn + 1
        self.done.set()


class _Reader:
    """Searches exactly, and remembers between which states each answer lies."""

    def __init__(self, writer: _Writer, seed: int, exact: bool) -> None:
        self.writer = writer
        self.exact = exact
        self.rng = np.random.default_rng(seed)
        self.answers: list[tuple[int, int, int, list[int]]] = []
        self.error: BaseException | None = None

    def run(self) -> None:
        try:
            while not self.writer.done.is_set() or len(self.answers) < 20:
                self._search()
        except BaseException as error:
            self.error = error

    def _search(self) -> None:
        writer, at = self.writer, int(self.rng.integers(0, FIRST))
        begun = writer.finished
        hits = writer.index.search(writer.rows[at], 10, exact=self.exact)
        ended = len(writer.here) - 1
        self.answers.append((at, begun, ended, hits.numbers.tolist()))


def _race(options: IndexOptions, exact: bool) -> tuple[_Writer, list[_Reader]]:
    writer = _Writer(options)
    readers = [_Reader(writer, seed, exact) for seed in range(3)]
    threads = [threading.Thread(target=each.run) for each in (writer, *readers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    writer.index.wait()
    assert [reader.error for reader in readers] == [None] * 3
    return writer, readers


@pytest.mark.parametrize("options", [EXACT, replace(LISTED, few_rows=0)], ids=["exact", "listed"])
def test_every_answer_is_that_of_a_state_between_its_beginning_and_end(
    options: IndexOptions,
) -> None:
    writer, readers = _race(options, exact=False)
    for reader in readers:
        for at, begun, ended, found in reader.answers:
            away = brute("l2", writer.rows[at], writer.rows)
            states = writer.here[begun : ended + 1]
            assert any(set(found) <= state for state in states)
            if options is EXACT:
                wanted = [sorted(state, key=lambda n: (away[n], n))[:10] for state in states]
                assert found[:10] in wanted


@pytest.mark.parametrize("options", [EXACT, LISTED], ids=["exact", "listed"])
def test_after_all_changes_it_holds_what_the_source_holds(options: IndexOptions) -> None:
    writer, _ = _race(options, exact=False)
    numbers, rows = writer.source.all()
    assert writer.index.numbers().tolist() == numbers.tolist() == sorted(writer.here[-1])
    for query in clustered(5, 16, seed=3):
        want = numbers[np.lexsort((numbers, brute("l2", query, rows)))[:10]]
        got = writer.index.search(query, 10, exact=True)
        assert got.numbers.tolist() == want.tolist()


def test_what_was_added_is_found_by_the_very_next_search() -> None:
    rows = clustered(4000, 16)
    source = MemorySource(rows[:2000])
    index = VectorIndex(16, "l2", source, LISTED)
    index.apply((np.arange(2000), rows[:2000], [None] * 2000), NONE, [], 1)
    for number in range(2000, 2600):  # while lists are made and rows join them
        row = rows[number : number + 1]
        source.put(np.array([number]), row)
        index.apply((np.array([number]), row, [None]), np.array([number - 1000]), [], number)
        assert index.search(row[0], 1).numbers.tolist() == [number]
        assert number - 1000 not in index.search(rows[number - 1000], 5).numbers
    index.wait()
    assert index.approximate
