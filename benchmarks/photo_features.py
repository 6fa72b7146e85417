"""Any number of vectors like features of photos: real ones, perturbed by differences of others.

Centers are EfficientNet-Lite0's features of seeded random crops of six photos, half of them
mirrored. A vector is a center plus 0.3 x each of two differences between features of crops of the
same photo (so that the spread has the spectrum features have), plus noise of a tenth of each
dimension's spread, and nothing below zero, as behind the network's ReLU6. Queries are made in the
same way around crops that no stored vector comes from.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.photos import arrays
from core.models.registry import standard_registry
from core.models.sources import DEFAULT_MODEL

Rows = NDArray[np.float32]

_CROPS = 240
"""Of each photo; the last sixth is for queries."""

_BLOCK = 8192
_BATCH = 8
_SCALE = 0.3
_NOISE = 0.1


@dataclass(frozen=True)
class Features:
    """Features of crops of photos.

    Attributes:
        rows: (photos, crops, D).
    """

    rows: Rows

    @property
    def dim(self) -> int:
        return int(self.rows.shape[2])

    def stored(self, count: int) -> Iterator[Rows]:
        """(b, D) blocks of `count` rows in all; a longer run begins as a shorter one does."""
        known = self.rows[:, : -(_CROPS // 6)]
        for start in range(0, count, _BLOCK):
            random = np.random.default_rng([0, start])
            yield self._perturbed(known, random)[: count - start]

    def queries(self, count: int) -> Rows:
        """(count, D) around crops that are not stored."""
        held_out = self.rows[:, -(_CROPS // 6) :]
        return self._perturbed(held_out, np.random.default_rng([1]))[:count]

    def _perturbed(self, centers: Rows, random: np.random.Generator) -> Rows:
        """(8192, D): the same whatever number of them is taken."""
        photo = random.integers(len(centers), size=_BLOCK)

        def draw(rows: Rows) -> Rows:
            return rows[photo, random.integers(rows.shape[1], size=_BLOCK)]

        rows = draw(centers)
        for _ in range(2):
            rows = rows + np.float32(_SCALE) * (draw(self.rows) - draw(self.rows))
        spread = _NOISE * self.rows.std((0, 1))
        rows += spread * random.standard_normal(rows.shape, dtype=np.float32)
        return np.maximum(rows, 0, out=rows)


def photo_features(file: Path) -> Features:
    """Features of seeded crops; kept in a file, as they take half a minute."""
    if not file.exists():
        np.save(file, _run())
    return Features(np.load(file))


def crops(photo: NDArray[np.uint8], count: int, seed: int) -> Iterator[NDArray[np.uint8]]:
    """Random crops of a photo, a quarter to two thirds of each side, half of them mirrored."""
    random = np.random.default_rng(seed)
    for _ in range(count):
        height, width = (int(side * random.uniform(0.25, 0.67)) for side in photo.shape[:2])
        top = random.integers(photo.shape[0] - height)
        left = random.integers(photo.shape[1] - width)
        crop = photo[top : top + height, left : left + width]
        yield np.ascontiguousarray(crop[:, :: random.choice((-1, 1))])


def _run() -> Rows:
    model = standard_registry().load(DEFAULT_MODEL, torch.device("cpu"))
    found = []
    for number, photo in enumerate(arrays()):
        views = [model.spec.preprocess(crop) for crop in crops(photo, _CROPS, number)]
        batches = [views[start : start + _BATCH] for start in range(0, _CROPS, _BATCH)]
        features = [model.runtime(torch.stack(batch)).features for batch in batches]
        found.append(np.concatenate(features))
    return np.stack(found).astype(np.float32)
