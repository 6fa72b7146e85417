"""What Prometheus is told of the sweep."""

import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from core.collections.sweeping import SweepMetrics
from core.gallery.records import Swept
from core.gallery.sqlite.local import LocalGallery
from core.gallery.sqlite.sweep import Sweep
from tests.core.gallery.records import WAIT_S
from tests.core.gallery.sqlite.flipped import ITEMS, change, filled


def shown(registry: CollectorRegistry) -> Callable[[str], float]:
    def value(name: str) -> float:
        found = registry.get_sample_value(f"seethrough_sweep_{name}")
        assert found is not None
        return found

    return value


def test_a_sweep_says_what_it_has_read_and_found_and_when_it_ended(tmp_path: Path) -> None:
    filled(tmp_path)
    change(tmp_path, "UPDATE vectors SET features = zeroblob(256) WHERE number = 5")
    change(tmp_path, "UPDATE pictures SET thumbnail = x'00' WHERE ordinal = 7")
    registry = CollectorRegistry()
    metrics, value = SweepMetrics(registry), shown(registry)
    before = time.time()
    with closing(LocalGallery(tmp_path)) as gallery:
        sweep = Sweep(gallery, 10**6, metrics.count, every_s=0.01)
        while not value("last_pass_timestamp_seconds") and time.time() < before + WAIT_S:
            time.sleep(0.01)
        sweep.close()
    assert before <= value("last_pass_timestamp_seconds") <= time.time()
    assert value("items_total") == ITEMS
    assert value("bytes_total") > ITEMS * (3072 + 3000 + 256)
    assert value("damaged") == 2


def test_a_damaged_row_of_the_gallery_itself_is_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It was sound when the gallery was opened."""
    filled(tmp_path)
    registry = CollectorRegistry()
    metrics, value = SweepMetrics(registry), shown(registry)
    until = time.time() + WAIT_S
    with closing(LocalGallery(tmp_path)) as gallery:
        change(tmp_path, "UPDATE gallery SET secret = x'00'")
        sweep = Sweep(gallery, 10**6, metrics.count, every_s=0.01)
        while not value("damaged") and time.time() < until:
            time.sleep(0.01)
        sweep.close()
    assert value("damaged") == 1
    assert [each.message for each in caplog.records if each.levelname == "ERROR"] == [
        "its table of one row is damaged: bring back a backup"
    ]


def test_what_is_damaged_is_that_of_the_last_pass_once_another_has_ended() -> None:
    registry = CollectorRegistry()
    metrics, value = SweepMetrics(registry), shown(registry)
    seen = []
    for damaged, ended in ((1, False), (1, True), (0, False), (3, False), (0, True), (0, True)):
        metrics.count(Swept(items=1, size_bytes=10, damaged=damaged, ended=ended))
        seen.append(value("damaged"))
    assert seen == [1, 2, 2, 3, 3, 0]
