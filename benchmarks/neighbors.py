"""Stored pictures and their neighbors: `python -m benchmarks.neighbors`.

Four parts: `index` (ours against raw FAISS, hnswlib and usearch on the same vectors), `ingest`
(pictures stored over HTTP against pictures classified), `listing` (a late page against the first)
and `labels` (how often neighbors share the label). Each part replaces its own section of
benchmarks/results/neighbors.md.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.agreement import agreement
from benchmarks.dataset import COLLECTION, QUERIES, Dataset
from benchmarks.indexes import INDEXES, OURS
from benchmarks.ingest import ingest
from benchmarks.machine import describe, table
from benchmarks.photo_features import photo_features
from core.gallery.sqlite.store import Store

_RESULTS = Path(__file__).parent / "results" / "neighbors.md"
_PACKAGES = ("numpy", "faiss-cpu", "hnswlib", "usearch", "torch")
_PAGE = 10
_LATE = 10_000
_REPEATS = 50

_TARGETS = {
    100_000: {"p50": "<= 10"},
    1_000_000: {"p50": "<= 15", "recall": ">= 0.99", "memory": "<= 0.5"},
}


def main() -> None:
    """Run the parts asked for and write their sections."""
    options = _options()
    with tempfile.TemporaryDirectory() as name:
        folder = options.work or Path(name)
        folder.mkdir(parents=True, exist_ok=True)
        parts: dict[str, Callable[[], dict[str, str]]] = {
            "index": lambda: _index(folder, options.sizes, options.peers, options.limit_s),
            "listing": lambda: {"A late page against the first": _listing(folder)},
            "ingest": lambda: {
                "Storing against classifying": ingest(options.rounds, options.seconds)
            },
            "labels": lambda: {"Neighbors that share the label": agreement(options.queries)},
        }
        for part in options.only:
            load = os.getloadavg()[0]
            for heading, text in parts[part]().items():
                _write(heading, text, load)
                print(f"## {heading}\n\n{text}", flush=True)


def _options() -> argparse.Namespace:
    parts = ("index", "listing", "ingest", "labels")
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=parts, default=parts)
    parser.add_argument("--sizes", nargs="+", type=int, default=(10_000, 100_000), metavar="N")
    others = [name for name in INDEXES if name != OURS]
    parser.add_argument("--peers", nargs="*", choices=others, default=others, metavar="NAME")
    parser.add_argument("--limit-s", type=float, default=600, help="of a peer's build (600)")
    parser.add_argument("--rounds", type=int, default=5, help="of storing and classifying (5)")
    parser.add_argument("--seconds", type=int, default=5, help="of each of those (5)")
    parser.add_argument("--queries", type=int, default=10_000, help="pictures of `labels` (10 000)")
    parser.add_argument("--work", type=Path, help="a folder for vectors, kept for the next run")
    return parser.parse_args()


def _write(heading: str, text: str, load: float) -> None:
    """Put a section in place of the one with this heading, or behind the last one."""
    title = "# Stored pictures and their neighbors\n"
    content = _RESULTS.read_text() if _RESULTS.exists() else title
    head, *sections = content.split("\n## ")
    named = {each.partition("\n")[0]: each.partition("\n")[2] for each in sections}
    named[heading] = f"\nOn {describe(*_PACKAGES)}; load when it began: {load:.1f}.\n\n{text}"
    body = "".join(f"\n## {name}\n{rest.rstrip()}\n" for name, rest in named.items())
    _RESULTS.write_text(head.rstrip() + "\n" + body)


# ---- index ----


def _index(folder: Path, sizes: list[int], peers: list[str], limit_s: float) -> dict[str, str]:
    features = photo_features(folder / "features.npy")
    sections = {}
    for count in sizes:
        dataset = Dataset(folder, count, features.dim)
        _say(f"{count} vectors: making them, their truth and a store")
        dataset.make(features)
        stored = dataset.store()
        answers = {name: _run(dataset, name, limit_s) for name in (OURS, *peers)}
        sections[f"{count:,} vectors".replace(",", " ")] = _section(dataset, stored, answers)
    return sections


def _run(dataset: Dataset, name: str, limit_s: float) -> dict[str, Any]:
    _say(f"{dataset.count} vectors: {name}")
    command = [sys.executable, "-m", "benchmarks.indexes", name, str(dataset.folder.parent)]
    printed = subprocess.run(
        [*command, str(dataset.count), str(dataset.dim), str(limit_s)],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    ).stdout
    answer: dict[str, Any] = json.loads(printed.splitlines()[-1])
    _say(json.dumps(answer))
    return answer


def _section(dataset: Dataset, stored: float | None, answers: dict[str, dict[str, Any]]) -> str:
    rows = [row for answer in answers.values() for row in answer["rows"] if "name" in row]
    files = [row for answer in answers.values() for row in answer["rows"] if "saved_s" in row]
    vectors_mib = dataset.count * dataset.dim * 4 / 2**20
    notes = [f"{name}: {each['note']}." for name, each in answers.items() if each["note"]]
    if stored is not None:
        notes.append(f"The store took {stored:.0f} items/s in process, with a thumbnail each.")
    notes += [
        f"Our index says that its recall is {row['said']:.4f}, measured on stored vectors."
        for row in rows
        if row["name"] == "ours, approximate"
    ]
    notes += [
        f"The index's file: written in {each['saved_s']:.1f} s, opened in {each['opened_s']:.1f} s."
        for each in files
    ]
    return "\n".join(
        [
            f"{dataset.dim} dimensions, {vectors_mib:.0f} MiB as float32; {QUERIES} queries, "
            "k = 10, single queries in Python. Vectors and queries: see "
            "benchmarks/photo_features.py (features of random crops of photos, moved by "
            "differences of such features; the queries' crops are not stored). Each index in a "
            "process of its own; memory is what its resident memory grew by; ours reads vectors "
            "from a SQLite store with items and thumbnails. Graphs run at the least `ef` that "
            "finds 0.99 of the true neighbors.",
            "",
            table(["ratio", "measured", "target"], _ratios(dataset.count, rows, vectors_mib)),
            table(
                [
                    "index",
                    "recall@10",
                    "p50 ms",
                    "p99 ms",
                    "queries/s",
                    "queries/s, 4 clients",
                    "p99 ms, 4 clients",
                    "build s",
                    "memory MiB",
                    "memory / float32",
                ],
                [_row(row, vectors_mib) for row in rows],
            ),
            *notes,
        ]
    )


def _ratios(count: int, rows: list[dict[str, Any]], vectors_mib: float) -> list[list[str]]:
    ours, *others = [row for row in rows if not _is_second_way(row)]
    targets = _TARGETS.get(count, {})
    found = [
        [f"p50 of {other['name']} / ours", f"{other['p50_ms'] / ours['p50_ms']:.2f}", ""]
        for other in others
    ]
    found += [
        [
            f"queries/s of 4, ours / {other['name']}",
            f"{ours['per_s_of_4'] / other['per_s_of_4']:.2f}",
            "",
        ]
        for other in others
    ]
    memory = ours["resident_mib"] / vectors_mib
    return [
        *found,
        ["ours: recall@10", f"{ours['recall']:.4f}", targets.get("recall", "")],
        ["ours: p50, ms", f"{ours['p50_ms']:.1f}", targets.get("p50", "")],
        ["ours: memory / float32 vectors", f"{memory:.2f}", targets.get("memory", "")],
    ]


def _is_second_way(row: dict[str, Any]) -> bool:
    name: str = row["name"]
    return name.endswith("with the items") or name == "ours, exact=true"


def _row(row: dict[str, Any], vectors_mib: float) -> list[str]:
    return [
        row["name"],
        f"{row['recall']:.4f}",
        f"{row['p50_ms']:.2f}",
        f"{row['p99_ms']:.2f}",
        f"{row['per_s']:.0f}",
        f"{row['per_s_of_4']:.0f}",
        f"{row['p99_ms_of_4']:.1f}",
        f"{row['build_s']:.1f}",
        f"{row['resident_mib']:.0f}",
        f"{row['resident_mib'] / vectors_mib:.2f}",
    ]


# ---- listing ----


def _listing(folder: Path) -> str:
    """Page 10 000 of 100 000 items against page 1, of the store, in turn."""
    features = photo_features(folder / "features.npy")
    dataset = Dataset(folder, _PAGE * _LATE, features.dim)
    dataset.make(features)
    dataset.store()
    store = Store(dataset.database, lambda *_: None)
    cursor: str | None = None
    for _ in range(_LATE - 1):
        cursor = store.items(COLLECTION, cursor=cursor, limit=_PAGE).next_cursor
    first_ms, late_ms = [], []
    for _ in range(_REPEATS):
        first_ms.append(_page_ms(store, None))
        late_ms.append(_page_ms(store, cursor))
    store.close()
    first, late = statistics.median(first_ms), statistics.median(late_ms)
    ratio = statistics.median(b / a for a, b in zip(first_ms, late_ms, strict=True))
    rows = [[f"page {_LATE} / page 1", f"{ratio:.2f}", f"{late:.2f}", f"{first:.2f}"]]
    return "\n".join(
        [
            f"Pages of {_PAGE} of {_PAGE * _LATE} items, from the store, {_REPEATS} times in turn.",
            "",
            table(["what", "ratio", f"page {_LATE}, ms", "page 1, ms"], rows),
        ]
    )


def _page_ms(store: Store, cursor: str | None) -> float:
    started = time.perf_counter()
    page = store.items(COLLECTION, cursor=cursor, limit=_PAGE)
    took_ms = (time.perf_counter() - started) * 1000
    assert len(page.items) == _PAGE
    return took_ms


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
