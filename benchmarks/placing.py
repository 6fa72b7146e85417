"""New pictures placed in finished t-SNE maps, against openTSNE: `python -m benchmarks.placing`.

Of small collections and of 10 000, in 2-D and 3-D. Writes benchmarks/results/placing.md.
"""

import argparse
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import openTSNE
import torch
from numpy.typing import NDArray

from benchmarks.machine import describe, table
from benchmarks.photos import arrays
from benchmarks.projection import features
from core.models.registry import standard_registry
from core.models.sources import DEFAULT_MODEL
from core.projection.knn import nearest
from core.projection.methods import project
from core.projection.placement import place
from core.projection.tsne import Tsne, fitting_perplexity
from core.types import FloatArray

_RESULTS = Path(__file__).parent / "results" / "placing.md"
_NEAR = 5
_TEST_SET = 10_000
_CROPS = 2000
_SIDES_PX = (64, 224)
_BATCH = 20

Labels = NDArray[np.int64]


@dataclass(frozen=True)
class Agreement:
    """Shares of points whose five nearest in a map vote as their five nearest in features."""

    tied: float
    strict: float


@dataclass(frozen=True)
class Draw:
    """One collection and its map, and the new pictures placed in it by both ways."""

    ours: Agreement
    peer: Agreement
    own: Agreement
    ours_ms: float
    peer_ms: float


@dataclass(frozen=True)
class Pictures:
    """Vectors and labels; collections are drawn from the first `drawn` of them."""

    name: str
    vectors: FloatArray
    labels: Labels
    drawn: int


def fashion() -> Pictures:
    vectors, labels, _ = features()
    return Pictures("Fashion-MNIST", vectors, labels, _TEST_SET)


def crops() -> Pictures:
    """Squares anywhere in six photos, through the default network; the label is the photo."""
    model = standard_registry().load(DEFAULT_MODEL, torch.device("cpu"))
    random = np.random.default_rng(0)
    labels = random.integers(len(arrays()), size=_CROPS)
    squares = [model.spec.preprocess(_square(arrays()[photo], random)) for photo in labels]
    rows = [
        np.asarray(model.runtime(torch.stack(squares[start : start + _BATCH])).features)
        for start in range(0, _CROPS, _BATCH)
    ]
    return Pictures("crops of six photos", np.concatenate(rows), labels, _CROPS)


def _square(photo: np.ndarray, random: np.random.Generator) -> np.ndarray:
    side = int(random.integers(_SIDES_PX[0], _SIDES_PX[1] + 1))
    top, left = (int(random.integers(length - side + 1)) for length in photo.shape[:2])
    return np.ascontiguousarray(photo[top : top + side, left : left + side])


def draws(pictures: Pictures, n: int, dims: int, *, count: int, placed: int) -> Iterator[Draw]:
    """Collections of n, and so many others to place: those of 10 000 from the training set."""
    for seed in range(count):
        order = np.random.default_rng(seed).permutation(pictures.drawn)
        order = np.append(order, np.arange(pictures.drawn, len(pictures.labels)))
        known, new = order[:n], order[n : n + placed]
        yield draw(pictures.vectors[known], pictures.labels[known], pictures.vectors[new], dims)


def draw(known: FloatArray, labels: Labels, new: FloatArray, dims: int) -> Draw:
    perplexity = fitting_perplexity(len(known))
    made = project(known, Tsne(dims=dims, perplexity=perplexity))
    assert made.placer is not None
    place(made.placer, new[:1])  # imports
    start = time.perf_counter()
    ours = np.concatenate([place(made.placer, row[None]) for row in new])
    ours_s = time.perf_counter() - start
    gradient = "auto" if dims == 2 else "bh"  # in three dimensions it has no other
    peer = openTSNE.TSNE(
        dims, perplexity=perplexity, negative_gradient_method=gradient, n_jobs=-1, random_state=0
    ).fit(known)
    start = time.perf_counter()
    placed = np.asarray(peer.transform(new))
    peer_s = time.perf_counter() - start
    wanted = labels[among(known, new)]
    own = [labels[nearest(rows, _NEAR)[0]] for rows in (known, made.coordinates)]
    return Draw(
        agreement(wanted, labels[among(made.coordinates, ours)]),
        agreement(wanted, labels[among(np.asarray(peer), placed)]),
        agreement(own[0], own[1]),
        ours_s / len(new) * 1000,
        peer_s / len(new) * 1000,
    )


def among(known: NDArray[np.floating], asked: NDArray[np.floating]) -> Labels:
    """(n, D), (m, D) -> (m, 5): the nearest known rows of each, nearest first."""
    apart = [np.square(known - each).sum(axis=1) for each in asked]
    return np.stack([np.argsort(each, kind="stable")[:_NEAR] for each in apart])


def agreement(wanted: Labels, found: Labels) -> Agreement:
    """How the labels of neighbors in features, (m, 5), and in a map agree, nearest first."""
    pairs = [(most(one), most(other)) for one, other in zip(wanted, found, strict=True)]
    return Agreement(
        float(np.mean([bool(set(one) & set(other)) for one, other in pairs])),
        float(np.mean([one[0] == other[0] for one, other in pairs])),
    )


def most(labels: Labels) -> list[int]:
    """The labels that are most frequent, that of the nearest first."""
    frequency = (labels[:, None] == labels).sum(axis=1)
    return [int(label) for label in labels[frequency == frequency.max()]]


def row(pictures: Pictures, n: int, dims: int, found: list[Draw]) -> list[str]:
    sides = [[each.ours for each in found], [each.peer for each in found], [e.own for e in found]]
    return [
        pictures.name,
        f"{dims}-D",
        str(n),
        *(shares([each.tied for each in side]) for side in sides),
        *(shares([each.strict for each in side]) for side in sides),
        f"{np.mean([each.ours_ms for each in found]):.2f}",
        f"{np.mean([each.peer_ms for each in found]):.2f}",
    ]


def shares(values: list[float]) -> str:
    return f"{np.mean(values):.3f} ({min(values):.3f})" if len(values) > 1 else f"{values[0]:.3f}"


def main() -> None:
    """Run everything and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[50, 100, 200, 500, _TEST_SET])
    parser.add_argument("--dims", type=int, nargs="+", default=[2, 3])
    parser.add_argument("--draws", type=int, default=10, help="of collections below 10 000")
    parser.add_argument("--note", default="", help="a sentence about the machine's state")
    options = parser.parse_args()
    rows = []
    for pictures in (fashion(), crops()):
        for dims in options.dims:
            for n in [n for n in options.sizes if n <= pictures.drawn]:
                large = n == _TEST_SET
                count, placed = (1, 1000) if large else (options.draws, 200)
                found = list(draws(pictures, n, dims, count=count, placed=placed))
                rows.append(row(pictures, n, dims, found))
                print(rows[-1], file=sys.stderr, flush=True)
    ways = ["ours", "openTSNE", "the map's own"]
    head = ["pictures", "map", "points", *ways]
    head += [f"{name}, strict" for name in ways] + ["ours, ms", "openTSNE, ms"]
    text = "\n".join(
        [
            "# New pictures in finished maps",
            "",
            "`python -m benchmarks.placing` on "
            f"{describe('openTSNE', 'faiss-cpu', 'scipy', 'numpy')}. {options.note}".rstrip(),
            "",
            "Share of new pictures whose five nearest points of the map have the same majority "
            "label as their five nearest vectors; target >= 0.9. The majority label is the most "
            "frequent; where several are equally frequent, all of them are, and one in common is "
            "enough. Strict: of equally frequent ones, that of the nearest alone, on both sides. "
            "No label is used to place.",
            "",
            f"Mean and, in brackets, worst of {options.draws} drawn collections, 200 others placed "
            f"in each; of {_TEST_SET} once, 1000 placed. Fashion-MNIST: the vectors (128 values) "
            "of `examples/fashion_mnist`, collections and new pictures of the test set; in its "
            f"{_TEST_SET} the new ones are training pictures, which the network knows. Crops: "
            f"{_CROPS} squares of {_SIDES_PX[0]} to {_SIDES_PX[1]} pixels anywhere in six photos, "
            f"vectors (1280 values) of {DEFAULT_MODEL}, the label is the photo. Perplexity 30 or "
            "the largest whole number below a third of the points.",
            "",
            "openTSNE: its `transform` on its own map, defaults, same perplexity, all pictures at "
            "once. The map's own: the points of our map and their five nearest others, which is "
            "how well the map itself keeps majorities. ms: per placed picture, ours one by one.",
            "",
            table(head, rows),
        ]
    )
    _RESULTS.write_text(text)
    print(text)


if __name__ == "__main__":
    main()
