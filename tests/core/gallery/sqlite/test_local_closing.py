"""A local gallery is closed while its indexes are at work."""

import logging
from pathlib import Path

import numpy as np
import pytest

from core.gallery.index.options import IndexOptions
from core.gallery.records import NewItem, Put, StoredPrediction
from core.gallery.sqlite.local import LocalGallery
from tests.core.gallery.records import spec

SPEC = spec(dim=64)


def put(number: int) -> Put:
    item = NewItem(
        id=str(number),
        label=None,
        metadata={},
        sha256=f"{number:064x}",
        width=1,
        height=1,
        prediction=StoredPrediction(0, "x", 0.5),
        vector=np.random.default_rng(number).random(64, dtype=np.float32),
        pixels=None,
        thumbnail=b"t",
    )
    return Put("c", item)


def test_a_gallery_may_be_closed_while_an_index_is_built(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    options = IndexOptions(flat_limit_bytes=100_000)
    gallery = LocalGallery(tmp_path, options)
    gallery.create(SPEC).result()
    for written in [gallery.write(put(number)) for number in range(1000)]:
        written.result()
    gallery.close()
    for file in (tmp_path / "index").iterdir():
        file.unlink()
    LocalGallery(tmp_path, options).close()  # it has just begun to build
    assert [each for each in caplog.records if each.levelno >= logging.ERROR] == []
