"""`IndexOptions`: sizes, thresholds and threads of an index."""

import os
from dataclasses import dataclass, field


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@dataclass(frozen=True, slots=True)
class IndexOptions:
    """How an index is kept.

    Attributes:
        flat_limit_bytes: vectors of more bytes than this are searched approximately; of fewer
            than a quarter, exactly again.
        target_recall: share of the true 10 nearest that approximate answers have to hold.
        threads: cores that one search uses, at most.
        build_threads: cores that building in the background uses, at most.
        tail_rows: as many new rows are searched one by one before they join the lists.
        few_rows: a label of no more rows than this is always searched exactly.
        train_rows: rows that the lists are trained on, at most.
        measured: stored vectors that the recall of 10 neighbors is measured on, outside their
            own lists; half as many for 100, a fifth for 1000.
        lists: lists to be made; None = two times the root of the rows.
        dead_share: removed rows, as a share of all, that make a rebuild worth it.
        least_dead: as few removed rows are never worth a rebuild.
        retry_after_s: a failed build is not tried again sooner.
        save_every_s: so often it is asked whether an index should be saved.
        save_after: changes after which it is; what comes later is caught up with from the store.
        save_after_share: or this share of its rows, if that is more.
    """

    flat_limit_bytes: int = 200_000_000
    target_recall: float = 0.99
    threads: int = field(default_factory=_cores)
    build_threads: int = field(default_factory=lambda: max(1, _cores() // 2))
    tail_rows: int = 4096
    few_rows: int = 2000
    train_rows: int = 100_000
    measured: int = 100
    lists: int | None = None
    dead_share: float = 0.3
    least_dead: int = 1024
    retry_after_s: float = 60.0
    save_every_s: float = 30.0
    save_after: int = 2000
    save_after_share: float = 0.1

    def is_due(self, unsaved: int, count: int) -> bool:
        """Whether an index of so many rows, and so many changes since it was saved, is saved."""
        return unsaved > max(self.save_after, self.save_after_share * count)
