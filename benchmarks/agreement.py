"""How often neighbors share the label, in feature space and in pixel space."""

import asyncio
import gzip
import io
import os
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.machine import table
from benchmarks.photo_features import crops
from benchmarks.photos import arrays
from core.collections.drafts import Draft
from core.collections.finder import ItemSeed, Search
from core.compute.call import Call
from core.compute.worker import Lane
from core.config import EngineConfig
from core.engine import Engine
from core.gallery.records import SPACES, Space
from core.types import ImageFile

_EXAMPLES = Path(__file__).parent.parent / "examples"
_DATA_SET = Path(os.environ.get("SEETHROUGH_FASHION_MNIST", "/usr/share/datasets/fashion-mnist"))
_AT_ONCE = 32
_K = 10
_CROPS = 100

Labeled = tuple[bytes, str]


def agreement(queries: int) -> str:
    """The section of the report; queries are that many of the stored pictures, drawn by seed."""
    fashion, photos = fashion_mnist(), list(_photos())
    rows = [
        *_rows("Fashion-MNIST", "fashion_mnist", fashion, queries, ">= 0.88"),
        *_rows("photos", "efficientnet-lite0", photos, queries, "above pixels"),
    ]
    return "\n".join(
        [
            f"Of {queries} stored pictures each (all, where there are fewer): the share of the "
            f"{_K} nearest others that have the picture's own label, and how often the most "
            "frequent label among them is the picture's (ties: the nearest); the target, set as "
            '"label agreement", does not say which of the two. Fashion-MNIST: the '
            f"{len(fashion)} test pictures through the example network; photos: {_CROPS} random "
            "crops of each of six photos through efficientnet-lite0, a crop's label is its photo. "
            "All through the engine, exact search.",
            "",
            table(["pictures", "space", "share of labels", "vote", "target"], rows),
        ]
    )


def fashion_mnist() -> list[Labeled]:
    """The test pictures as PNG files."""
    pixels = _idx("t10k-images-idx3-ubyte", 16).reshape(-1, 28, 28)
    labels = _idx("t10k-labels-idx1-ubyte", 8)
    return [(_png(picture), str(label)) for picture, label in zip(pixels, labels, strict=True)]


def _idx(name: str, header_bytes: int) -> np.ndarray:
    packed = _DATA_SET / f"{name}.gz"
    content = gzip.decompress(packed.read_bytes())
    return np.frombuffer(content, np.uint8, offset=header_bytes)


def _photos() -> Iterator[Labeled]:
    for number, photo in enumerate(arrays()):
        for crop in crops(photo, _CROPS, 100 + number):
            yield _png(crop), str(number)


def _png(pixels: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def _rows(
    name: str, model: str, pictures: list[Labeled], queries: int, target: str
) -> list[list[str]]:
    with tempfile.TemporaryDirectory() as folder:
        config = EngineConfig((model,), models_dir=_EXAMPLES, data_dir=Path(folder))
        found = asyncio.run(_measure(config, pictures, queries))
    rows = []
    for space, (share, vote) in found.items():
        goal = target if space == "features" else ""
        rows.append([name, space, f"{share:.3f}", f"{vote:.3f}", goal])
        print(rows[-1], file=sys.stderr, flush=True)
    return rows


async def _measure(
    config: EngineConfig, pictures: list[Labeled], queries: int
) -> dict[Space, tuple[float, float]]:
    engine = Engine(config)
    try:
        await engine.start()
        await _store(engine, pictures)
        drawn = np.random.default_rng(0).permutation(len(pictures))[:queries].tolist()
        return {space: await _agreement(engine, pictures, drawn, space) for space in SPACES}
    finally:
        await engine.close()


async def _store(engine: Engine, pictures: Iterable[Labeled]) -> None:
    slots = asyncio.Semaphore(_AT_ONCE)

    async def store(number: int, content: bytes, label: str) -> None:
        async with slots:
            draft = Draft(id=str(number), label=label)
            await engine.curator.add("default", ImageFile(content), draft, Call(), Lane.BULK)

    await asyncio.gather(*(store(i, *each) for i, each in enumerate(pictures)))


async def _agreement(
    engine: Engine, pictures: list[Labeled], drawn: list[int], space: Space
) -> tuple[float, float]:
    share = vote = 0.0
    for number in drawn:
        search = Search(k=_K, space=space, exact=True)
        found = await engine.finder.nearest("default", ItemSeed(str(number)), search, Call())
        labels = [each.item.label for each in found.neighbors.found]
        own = pictures[number][1]
        share += labels.count(own) / len(labels)
        vote += Counter(labels).most_common(1)[0][0] == own  # equal counts: the first met
    return share / len(drawn), vote / len(drawn)
