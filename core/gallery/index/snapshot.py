"""`Snapshot`: one state of an index, never changed; base rows first, then those of the tail."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from core.errors import InvalidValue
from core.gallery.index.columns import Column, Grown
from core.gallery.index.flat import Flat
from core.gallery.index.lists import Lists
from core.gallery.records import Metric, Numbers
from core.types import FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class Snapshot:
    """Rows by position: first those of the base, then those of the tail, by ascending number.

    Attributes:
        seq: the last change in it.
        numbers: (n,) int64, ascending, of living and removed rows.
        alive: (n,) bool.
        codes: (n,) int32, one for each different label.
        count: living rows.
        tail: vectors of the newest rows; of all of them where there is no base.
        base: the older rows; None = none, or they are in the source only.
    """

    seq: int
    numbers: Grown
    alive: Column
    codes: Column
    count: int
    tail: Flat
    base: Lists | None = None

    @classmethod
    def of(
        cls,
        seq: int,
        numbers: Numbers,
        alive: NDArray[np.bool_],
        codes: NDArray[np.int32],
        tail: Flat,
        base: Lists | None = None,
    ) -> "Snapshot":
        """A state of these rows."""
        grown = Grown(np.array(numbers, dtype=np.int64), len(numbers))
        count = int(alive.sum())
        return cls(seq, grown, Column.of(alive), Column.of(codes), count, tail, base)

    @classmethod
    def empty(cls, metric: Metric, dim: int) -> "Snapshot":
        """The state before any change: no rows."""
        none = np.empty(0, dtype=np.int64)
        return cls.of(0, none, none.astype(bool), none.astype(np.int32), Flat(metric, dim))

    @property
    def template(self) -> object:
        """What tells the lists of one build from those of another; None where there are none."""
        return None if self.base is None else self.base.template

    @property
    def start(self) -> int:
        """The tail's first position."""
        return self.numbers.count - self.tail.count

    @property
    def living(self) -> Numbers:
        """(count,) int64, ascending: numbers of living rows."""
        return np.asarray(self.numbers.values[self.alive.values])

    def positions(self, numbers: Numbers) -> NDArray[np.int64]:
        """Where those of the numbers are that are alive."""
        known = self.numbers.values
        if not len(known):
            return np.empty(0, dtype=np.int64)
        at = np.minimum(np.searchsorted(known, numbers), len(known) - 1)
        at = at[known[at] == numbers]
        return np.asarray(at[self.alive.at(at)])

    def allowed(self, code: int | None, exclude: int | None) -> NDArray[np.bool_] | None:
        """(n,) rows that a search may find; None = every one.

        Args:
            code: only rows of this label; None = of any.
            exclude: the number of a row that is not to be found.
        """
        out = self.positions(np.array([] if exclude is None else [exclude], dtype=np.int64))
        if code is None and self.count == self.numbers.count and not len(out):
            return None
        rows: NDArray[np.bool_] = self.alive.values
        if code is not None:
            rows &= self.codes.values == code
        rows[out] = False
        return rows

    def with_added(
        self, numbers: Numbers, rows: FloatArray, codes: NDArray[np.int32]
    ) -> "Snapshot":
        """With (m,) new numbers, each greater than all before, and their (m, D) vectors.

        Raises:
            InvalidValue: the numbers are not ascending.
        """
        last = self.numbers.values[-1:]
        if (np.diff(np.concatenate([last, numbers])) <= 0).any():
            after = f", after {int(last[0])}" if len(last) else ""
            raise InvalidValue("numbers", numbers.tolist(), f"ascending numbers{after}")
        return replace(
            self,
            numbers=self.numbers.extended(numbers),
            alive=self.alive.extended(np.ones(len(numbers), dtype=bool)),
            codes=self.codes.extended(codes),
            count=self.count + len(numbers),
            tail=self.tail.extended(rows),
        )

    def missed(self, before: "Snapshot", kept: Numbers) -> Numbers:
        """Numbers that lived in an earlier snapshot and live here, but were not kept of it."""
        end = before.numbers.count
        older = self.numbers.values[:end][self.alive.values[:end]]
        return np.asarray(older[~np.isin(older, kept, assume_unique=True)])

    def rebuilt(
        self, before: "Snapshot", kept: Numbers, tail: Flat, base: Lists | None
    ) -> "Snapshot":
        """With what was made of an earlier snapshot's rows in the place of those rows.

        Args:
            before: that snapshot.
            kept: numbers of its rows that were used.
            tail: their vectors, where there are no lists of them.
            base: their lists; None = there are none.
        """
        end = before.numbers.count
        positions = np.concatenate(
            [np.searchsorted(before.numbers.values, kept), np.arange(end, self.numbers.count)]
        )
        for block in self.tail.since(end - self.start).filled():
            tail = tail.extended(block)
        alive, codes = self.alive.values[positions], self.codes.values[positions]
        return Snapshot.of(self.seq, self.numbers.values[positions], alive, codes, tail, base)

    def without(self, numbers: Numbers) -> "Snapshot":
        """With these removed; numbers that are not alive are no matter."""
        positions = np.unique(self.positions(numbers))
        alive = self.alive.changed(positions, np.zeros(len(positions), dtype=bool))
        return replace(self, alive=alive, count=self.count - len(positions))

    def with_codes(self, numbers: Numbers, codes: NDArray[np.int32]) -> "Snapshot":
        """With other labels for these, as far as they are alive; the last word counts."""
        codes_of = dict(zip(numbers.tolist(), codes.tolist(), strict=True))
        positions = self.positions(np.array(sorted(codes_of), dtype=np.int64))
        fresh = [codes_of[number] for number in self.numbers.values[positions].tolist()]
        return replace(self, codes=self.codes.changed(positions, np.array(fresh, dtype=np.int32)))
