"""A local gallery is closed while its indexes are at work."""

import logging
from pathlib import Path

import numpy as np
import pytest

from core.gallery.index.options import IndexOptions
from core.gallery.records import CollectionSpec, NewItem, Put, StoredPrediction
from core.gallery.sqlite.local import LocalGallery

SPEC = CollectionSpec("c", "model", "sha256:0", "layer", "input", "avg", 64, "l2")


def put(number: int) -> Put:
    vector = np.random.default_rng(number).random(64, dtype=np.float32)
    prediction = StoredPrediction(0, "x", 0.5)
    sha256 = f"{number:064x}"
    return Put("c", NewItem(str(number), None, {}, sha256, 1, 1, prediction, vector, None, b"t"))


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
