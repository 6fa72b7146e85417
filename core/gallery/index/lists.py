"""`Lists`: rows in inverted lists (IVF), coded with two bits a number.

FAISS is only asked which rows may be near; whoever asks works out their true distances. That is
why two bits (RaBitQ, arXiv:2405.12497 and 2409.09913) are enough: 1/15 of the float32 vectors,
scanned three times as fast as eight bits. A segment is never changed once it is searched: new rows
come as another segment that shares the training.
"""

import math
from dataclasses import dataclass, replace
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

from core.gallery.index.estimates import unit
from core.gallery.index.flat import in_parallel
from core.gallery.records import Metric
from core.types import FloatArray

IvfIndex = Any
"""A `faiss.IndexIVFRaBitQ`: FAISS's stubs know less than its classes."""

_BITS = 2
_QUERY_BITS = 8
_NEARLY = 1.25
"""So many times as deep as was measured is not worth a deeper setting."""
_ASKED = 4
"""FAISS is asked for so many times more: on a short list it drops, by one bit, near rows too."""
_NEARLY_ALL = 0.6
"""Where more rows than this share may be found, those that may not are rare enough."""
_LABELED_ROWS = 50_000
"""Rows of a label that are scanned in about 5 ms."""
_EVERYTHING = 1 << 62
_WORTH_A_THREAD_BYTES = 1 << 20


def prepared(metric: Metric, rows: FloatArray) -> FloatArray:
    """(m, D) as the lists hold them: for cosine with length 1, so that Euclid finds the angle."""
    return unit(rows) if metric == "cosine" else np.ascontiguousarray(rows)


def trained(metric: Metric, rows: FloatArray, lists: int) -> IvfIndex:
    """Empty lists, made for rows like these; the rows are not kept."""
    dim = rows.shape[1]
    made = _lists(faiss.IndexFlatL2(dim), dim, lists)
    made.cp.niter = 8
    made.cp.min_points_per_centroid = 1  # no warnings on stderr
    made.cp.max_points_per_centroid = 1 << 20
    made.train(prepared(metric, rows))
    return made


def _lists(quantizer: Any, dim: int, lists: int) -> IvfIndex:
    return faiss.IndexIVFRaBitQ(quantizer, dim, lists, faiss.METRIC_L2, True, _BITS)


@dataclass(frozen=True, slots=True)
class Setting:
    """How much is looked at, and what that was measured to find.

    Attributes:
        depth: for up to so many neighbors.
        lists: lists to look into.
        fetched: rows to work out true distances for.
        recall: share of the true neighbors found.
    """

    depth: int
    lists: int
    fetched: int
    recall: float


@dataclass(frozen=True, slots=True, eq=False)
class Lists:
    """Rows in lists; a row's id is its position.

    Attributes:
        template: empty and trained; its segments share what it learned.
        segments: the rows, oldest segment first.
        built: rows there were when it was trained.
        settings: by ascending depth; none before they are measured.
    """

    metric: Metric
    template: IvfIndex
    segments: tuple[IvfIndex, ...] = ()
    built: int = 0
    settings: tuple[Setting, ...] = ()

    @property
    def count(self) -> int:
        """Rows in all lists, removed ones too."""
        return sum(int(segment.ntotal) for segment in self.segments)

    @property
    def nlist(self) -> int:
        """Number of lists."""
        return int(self.template.nlist)

    def empty(self) -> IvfIndex:
        """A segment without rows."""
        template = self.template
        segment = _lists(template.quantizer, template.d, template.nlist)
        segment.rabitq = template.rabitq
        segment.is_trained = True
        return segment

    def add(
        self, segment: IvfIndex, rows: FloatArray, positions: NDArray[np.int64]
    ) -> NDArray[np.int64]:
        """Put (m, D) rows into a segment that is not searched yet; answers each one's list."""
        ready = prepared(self.metric, rows)
        which = self.lists_of(ready)
        arrays = (ready, np.ascontiguousarray(positions), which)
        segment.add_core(len(rows), *(faiss.swig_ptr(array) for array in arrays))
        return which

    def lists_of(self, ready: FloatArray) -> NDArray[np.int64]:
        """(m,) the list that each of (m, D) prepared rows belongs to."""
        return np.ascontiguousarray(self.template.quantizer.search(ready, 1)[1][:, 0])

    def holds(self, rows: FloatArray, positions: NDArray[np.int64]) -> bool:
        """Whether (m, D) rows are what the lists keep at (m,) positions."""
        if not len(rows):
            return True
        ready = prepared(self.metric, rows)
        nearest = self.lists_of(ready)
        wanted = np.empty((len(rows), self.template.code_size), dtype=np.uint8)
        pointers = (faiss.swig_ptr(array) for array in (ready, nearest, wanted))
        self.template.encode_vectors(len(rows), *pointers)
        return all(
            any(_holds(segment, int(which), int(position), code) for segment in self.segments)
            for which, position, code in zip(nearest, positions, wanted, strict=True)
        )

    def with_segment(self, segment: IvfIndex) -> "Lists":
        """With a new segment; one not at least twice as big as the next is merged with it."""
        segments = [*self.segments, segment]
        while len(segments) > 1 and segments[-2].ntotal < 2 * segments[-1].ntotal:
            merged = self.empty()
            for smaller in segments[-2:]:
                smaller.copy_subset_to(merged, 0, 0, _EVERYTHING)
            segments[-2:] = [merged]
        return replace(self, segments=tuple(segments))

    def setting(self, k: int, share: float = 1.0) -> Setting:
        """What was measured for k neighbors; beyond the deepest, twice as much for each of k.

        Args:
            k: neighbors asked for.
            share: of the rows that may be found: the k nearest of a tenth of all rows lie about
                as far out as the 10 k nearest of all, give or take two standard deviations.
        """
        depth = math.ceil((k + 2 * math.sqrt(k) * (1 - share)) / share)
        best = next((each for each in self.settings if depth <= _NEARLY * each.depth), None)
        if best is None:
            deep = self.settings[-1]
            times = math.ceil(depth / deep.depth)
            best = Setting(depth, 2 * times * deep.lists, times * deep.fetched, deep.recall)
        if share > _NEARLY_ALL:
            return best
        # A label's rows may lie anywhere: as many lists as the time allows.
        lists = math.ceil(self.nlist * _LABELED_ROWS / (share * max(1, self.count)))
        fetched = max(2 * k, math.ceil(2 * share * depth * best.fetched / best.depth))
        return replace(best, lists=max(lists, best.lists), fetched=min(fetched, best.fetched))

    def candidates(
        self,
        query: FloatArray,
        setting: Setting,
        allowed: NDArray[np.bool_] | None = None,
        threads: int = 1,
        without: int | None = None,
    ) -> NDArray[np.int64]:
        """Places of rows that may be the nearest, most promising first.

        Args:
            query: (D,) float32, finite.
            allowed: (positions,) rows that may be found; None = all.
            threads: cores used, at most.
            without: a list that is passed over.
        """
        ready = prepared(self.metric, query[None])
        lists = min(self.nlist, setting.lists)
        away, which = self._nearest_lists(ready, lists, without)
        bits = None if allowed is None else np.packbits(allowed, bitorder="little")
        expected_bytes = lists * self.count / self.nlist * self.template.code_size
        shares = min(threads, lists) if expected_bytes > _WORTH_A_THREAD_BYTES else 1
        asked = min(_ASKED * setting.fetched, max(1, self.count))
        jobs = [
            lambda segment=segment, nth=nth: _probed(
                segment, ready, which[:, nth::shares], away[:, nth::shares], asked, bits
            )
            for nth in range(shares)
            for segment in self.segments
        ]
        answers = in_parallel(jobs, shares)
        estimates = np.concatenate([answer[0] for answer in answers])
        positions = np.concatenate([answer[1] for answer in answers])
        estimates, positions = estimates[positions >= 0], positions[positions >= 0]
        return np.asarray(positions[np.argsort(estimates, kind="stable")[: setting.fetched]])

    def _nearest_lists(
        self, ready: FloatArray, count: int, without: int | None
    ) -> tuple[FloatArray, NDArray[np.int64]]:
        """(1, count) distances and (1, count) lists, the nearest first."""
        if without is None:
            away, which = self.template.quantizer.search(ready, count)
            return away, which
        away, which = self.template.quantizer.search(ready, min(self.nlist, count + 1))
        kept = np.flatnonzero(which[0] != without)[:count]
        return away[:, kept], which[:, kept]


def _probed(
    segment: IvfIndex,
    query: FloatArray,
    which: NDArray[np.int64],
    away: FloatArray,
    k: int,
    bits: NDArray[np.uint8] | None,
) -> tuple[FloatArray, NDArray[np.int64]]:
    """(k,) estimates and (k,) positions from some lists of a segment; -1 = no more rows."""
    which, away = np.ascontiguousarray(which), np.ascontiguousarray(away)
    estimates = np.empty((1, k), dtype=np.float32)
    positions = np.empty((1, k), dtype=np.int64)
    # FAISS keeps pointers, not references: selector and parameters live until this returns.
    make: Any = faiss
    selector = None if bits is None else make.IDSelectorBitmap(bits)
    parameters = make.IVFRaBitQSearchParameters()
    parameters.nprobe, parameters.sel = which.shape[1], selector
    parameters.qb = _QUERY_BITS
    arrays = (which, away, estimates, positions)
    pointers = (faiss.swig_ptr(array) for array in arrays)
    segment.search_preassigned_c(1, faiss.swig_ptr(query), k, *pointers, False, parameters)
    return estimates[0], positions[0]


def _holds(segment: IvfIndex, which: int, position: int, code: NDArray[np.uint8]) -> bool:
    inverted = segment.invlists
    size = inverted.list_size(which)
    if not size:
        return False
    at = np.flatnonzero(faiss.rev_swig_ptr(inverted.get_ids(which), size) == position)
    codes = faiss.rev_swig_ptr(inverted.get_codes(which), size * inverted.code_size)
    return bool(len(at)) and np.array_equal(codes.reshape(size, -1)[at[0]], code)
