"""Maps of Fashion-MNIST against scikit-learn and umap-learn: `python -m benchmarks.projection`.

The vectors are those of the example's network. Same vectors for all, in one run, each at its
defaults; modules are imported and UMAP's code compiled before the clock starts.
"""

import argparse
import importlib
import os
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import umap
from numpy.typing import NDArray
from PIL import Image
from sklearn.manifold import TSNE as SKLEARN_TSNE

from benchmarks.machine import describe, table
from core.models.registry import standard_registry
from core.projection.knn import nearest
from core.projection.method import Projection
from core.projection.methods import project
from core.projection.pca import Pca
from core.projection.quality import measure
from core.projection.tsne import Tsne
from core.render.map import plot
from core.types import FloatArray

_ROOT = Path(__file__).parents[1]
_RESULTS = _ROOT / "benchmarks" / "results" / "projection.md"
_PICTURE = _ROOT / "docs" / "tsne-fashion-mnist.png"
_DATA_SET = Path(os.environ.get("SEETHROUGH_FASHION_MNIST", "/usr/share/datasets/fashion-mnist"))
_NEIGHBORS = 10
_DRAWN = 10_000

OURS, OURS_3D, PRINCIPAL = "ours, t-SNE", "ours, t-SNE in 3-D", "ours, PCA"
SKLEARN, UMAP = "scikit-learn, t-SNE", "umap-learn"


@dataclass(frozen=True)
class Entry:
    """One method's map of one size."""

    name: str
    n: int
    seconds: float
    trustworthiness: float
    preserved: float
    accuracy: float


def features() -> tuple[FloatArray, NDArray[np.int64], tuple[str, ...]]:
    """(70 000, 128) vectors and their labels, the test set first."""
    sys.path.insert(0, str(_ROOT / "examples" / "fashion_mnist"))
    example = importlib.import_module("train")
    model = standard_registry(_ROOT / "examples").load("fashion_mnist", torch.device("cpu"))
    splits = [example.read_split(_DATA_SET, split) for split in ("t10k", "train")]
    vectors = [
        np.asarray(model.runtime(example.normalize(some)).features)
        for pictures, _ in splits
        for some in pictures.split(500)
    ]
    labels = torch.cat([labels for _, labels in splits]).numpy()
    return np.concatenate(vectors), labels, model.spec.labels


def makers(n: int, limit: int) -> dict[str, Callable[[FloatArray], FloatArray]]:
    """Ways to make a map of n points; up to the limit scikit-learn's t-SNE and three dimensions."""
    ways: dict[str, Callable[[FloatArray], FloatArray]] = {
        OURS: lambda rows: project(rows, Tsne()).coordinates,
        PRINCIPAL: lambda rows: project(rows, Pca()).coordinates,
        UMAP: lambda rows: umap.UMAP().fit_transform(rows),
    }
    if n <= limit:
        ways[SKLEARN] = lambda rows: SKLEARN_TSNE().fit_transform(rows)
        ways[OURS_3D] = lambda rows: project(rows, Tsne(dims=3)).coordinates
    return ways


def voted(near: NDArray[np.int64], labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """(m, k) neighbors -> (m,) the label most of them have."""
    votes = (labels[near][..., None] == np.arange(labels.max() + 1)).sum(axis=1)
    return np.asarray(votes.argmax(axis=1))


def accuracy(rows: FloatArray, labels: NDArray[np.int64]) -> float:
    """How many rows' 10 nearest others vote for the row's own label."""
    near, _ = nearest(rows, _NEIGHBORS)
    return float((voted(near, labels) == labels).mean())


def timed(
    name: str, make: Callable[[FloatArray], FloatArray], rows: FloatArray, labels: NDArray[np.int64]
) -> Entry:
    start = time.perf_counter()
    points = make(rows)
    seconds = time.perf_counter() - start
    found = measure(rows, points)
    entry = Entry(
        name,
        len(rows),
        seconds,
        found.trustworthiness.value,
        found.knn_preservation.mean,
        accuracy(points, labels),
    )
    print(entry, file=sys.stderr, flush=True)
    return entry


def row(entry: Entry, ours: Entry) -> list[str]:
    difference = ours.trustworthiness - entry.trustworthiness
    return [
        f"{entry.n}",
        entry.name,
        f"{entry.seconds / ours.seconds:.2f}",
        f"{difference:+.4f}",
        f"{entry.seconds:.1f}",
        f"{entry.trustworthiness:.4f}",
        f"{entry.preserved:.3f}",
        f"{entry.accuracy:.4f}",
    ]


def draw(made: Projection, labels: list[str]) -> None:
    title = f"t-SNE of {len(labels)} Fashion-MNIST test pictures, by the network's features"
    picture = Image.fromarray(plot(made.coordinates, labels, title=title))
    picture.quantize(128, dither=Image.Dither.NONE).save(_PICTURE, optimize=True)


def main() -> None:
    """Run everything and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[2000, 10_000, 70_000])
    parser.add_argument("--limit", type=int, default=10_000, help="of scikit-learn's t-SNE and 3-D")
    parser.add_argument("--note", default="", help="a sentence about the machine's state")
    options = parser.parse_args()
    warnings.simplefilter("ignore")  # UMAP's, about its own defaults
    vectors, numbers, names = features()
    umap.UMAP().fit_transform(vectors[:5000])  # compiled once; small sets take another way
    umap.UMAP().fit_transform(vectors[:500])
    project(vectors[:200], Tsne(iterations=1))  # imports openTSNE
    rows = []
    for n in options.sizes:
        made = {
            name: timed(name, make, vectors[:n], numbers[:n])
            for name, make in makers(n, options.limit).items()
        }
        rows += [row(entry, made[OURS]) for entry in made.values()]
    whole = project(vectors[:_DRAWN], Tsne())
    draw(whole, [names[number] for number in numbers[:_DRAWN]])
    head = [
        "points",
        "map",
        "time / ours",
        "ours' trust less its",
        "s",
        "trustworthiness",
        "10-NN kept",
        "10-NN label accuracy",
    ]
    text = "\n".join(
        [
            "# Maps of Fashion-MNIST",
            "",
            "`python -m benchmarks.projection` on "
            f"{describe('openTSNE', 'scikit-learn', 'umap-learn', 'faiss-cpu', 'numpy')}. "
            f"{options.note}",
            "",
            "Feature vectors (128 values) of `examples/fashion_mnist`: the test set's first 2000, "
            "its 10 000, and test and training set together. Every method at its defaults, "
            "same vectors, one run; the ratio is its time / that of our t-SNE, target >= 1.8 for "
            "scikit-learn's at 10 000 with a difference of trustworthiness >= -0.005. "
            "Trustworthiness of 5 neighbors, above 20 000 points of 5000 drawn ones; 10-NN kept = "
            "share of each point's 10 nearest vectors among its 10 nearest in the map; label "
            "accuracy = vote of the 10 nearest others in the map. "
            f"scikit-learn's t-SNE and 3-D are skipped above {options.limit} points: they are "
            "by far the slowest.",
            "",
            table(head, rows),
            "New pictures in finished maps: placing.md.",
            "",
        ]
    )
    _RESULTS.write_text(text)
    print(text)


if __name__ == "__main__":
    main()
