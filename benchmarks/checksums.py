"""`python -m benchmarks.checksums`: what checksums cost a stored picture, a read and a search."""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path

import numpy as np
import torch

from benchmarks.machine import describe
from core.gallery.queries import Query
from core.gallery.records import CollectionSpec, NewItem, Put, StoredPrediction
from core.gallery.sqlite import state, sums
from core.gallery.sqlite.local import LocalGallery
from core.gallery.sqlite.transaction import SqliteTransaction
from core.gallery.transaction import Effect
from core.models.registry import standard_registry

DIM, ITEMS, BATCH = 1280, 2000, 16
SPEC = CollectionSpec(
    name="c", model="m", digest="sha256:0", layer="l", at="input", pool="avg", dim=DIM,
    metric="l2", pixel_space=True,
)  # fmt: skip

_TRUE = sums.of_bytes, sums._of
Times = dict[str, list[float]]


def main() -> None:
    """Time each kind with sums and with sums that cost nothing, in turn."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.checksums", description=__doc__)
    parser.add_argument("--rounds", type=int, default=15, help="of each kind (15)")
    parser.add_argument("--output", type=Path, help="a Markdown file for the result")
    options = parser.parse_args()
    forward_s = _forward_s()
    with tempfile.TemporaryDirectory() as folder, closing(LocalGallery(Path(folder))) as gallery:
        gallery.create(SPEC).result()
        for start in range(0, ITEMS, 500):
            _store(gallery, range(start, start + 500))
        table = _table(_timed(gallery, options.rounds), forward_s)
    text = (
        f"# What checksums cost\n\n`python -m benchmarks.checksums --rounds {options.rounds}` on "
        f"{describe('faiss-cpu')}.\n\nMedians of CPU time of all threads, with the checksums and "
        "with functions of no cost in their place, in turn; the columns that hold them are read "
        f"and written in both. {ITEMS} items of {DIM} numbers, with pixels and thumbnails. "
        f"Ingest: a batch of {BATCH}; its forward in eager torch took {forward_s * 1e3:.0f} ms of "
        f"CPU.\n\n{table}\n"
    )
    print(text)
    if options.output:
        options.output.write_text(text)


def _table(times: Times, forward_s: float) -> str:
    rows = ["| work | with, ms | without, ms | difference | beside the forward |"]
    rows.append("| --- | ---: | ---: | ---: | ---: |")
    for kind in ("ingest of a batch", "read of an item", "search"):
        on, off = (statistics.median(times[f"{kind} {mode}"]) for mode in ("with", "without"))
        share = f"{(on - off) / (on + forward_s):.2%}" if kind.startswith("ingest") else "-"
        rows.append(
            f"| {kind} | {on * 1e3:.3f} | {off * 1e3:.3f} | {(on - off) / on:.1%} | {share} |"
        )
    return "\n".join(rows)


def _timed(gallery: LocalGallery, rounds: int) -> Times:
    number = ITEMS
    query = Query(np.ones(DIM, np.float32), k=10)
    times: Times = {}
    for _ in range(rounds):
        for mode in ("with", "without"):
            seeds = range(number, number + BATCH)
            number += BATCH
            works: dict[str, tuple[Callable[[], object], int]] = {
                "ingest of a batch": (partial(_store, gallery, seeds), 1),
                "read of an item": (lambda: gallery.vector("c", "1"), 50),
                "search": (lambda: gallery.nearest("c", query), 20),
            }
            for kind, (work, repeats) in works.items():
                times.setdefault(f"{kind} {mode}", []).append(
                    _cpu_s(work, repeats, free=mode == "without")
                )
            gallery._writer.submit(_sealed).result()
    return times


def _cpu_s(work: Callable[[], object], repeats: int, *, free: bool) -> float:
    if free:  # until `_sealed`: reads see what reads as sound
        sums.of_bytes, sums._of = _Any(), _Any()  # type: ignore[assignment]
    started = time.process_time()
    for _ in range(repeats):
        work()
    return (time.process_time() - started) / repeats


def _sealed(tx: SqliteTransaction) -> Effect[None]:
    """True sums again, where those of no cost were written."""
    sums.of_bytes, sums._of = _TRUE
    row = tx.connection.execute("SELECT seq, secret FROM gallery").fetchone()
    state.write(tx.connection, state.State(*row))
    tx.seal_collection(1)
    return Effect(None, counts=False)


class _Equal(int):
    """Equals every sum."""

    def __eq__(self, other: object) -> bool:
        return True

    def __ne__(self, other: object) -> bool:
        return False

    __hash__ = int.__hash__


class _Any:
    """Answers the same for all that is summed."""

    def __call__(self, *_: object) -> int:
        return _Equal(7)


def _store(gallery: LocalGallery, seeds: range) -> None:
    done = [gallery.write(Put("c", _item(seed))) for seed in seeds]
    for each in done:
        each.result()


def _item(seed: int) -> NewItem:
    random = np.random.default_rng(seed % 8)
    return NewItem(
        id=str(seed), label=None, metadata={"n": seed}, sha256=f"{seed:064x}", width=640,
        height=480, prediction=StoredPrediction(1, "cat", 0.5),
        vector=random.normal(size=DIM).astype(np.float32),
        pixels=random.integers(0, 256, (32, 32, 3), dtype=np.uint8), thumbnail=random.bytes(15_000),
    )  # fmt: skip


def _forward_s() -> float:
    """CPU seconds of one batch of the default network."""
    model = standard_registry(None).load(
        "efficientnet-lite0", torch.device("cpu"), pretrained=True, threads=1
    )
    images = torch.zeros(BATCH, 3, 224, 224)
    times = []
    with torch.inference_mode():
        for _ in range(3):
            started = time.process_time()
            model.module(images)
            times.append(time.process_time() - started)
    return statistics.median(times)


if __name__ == "__main__":
    main()
