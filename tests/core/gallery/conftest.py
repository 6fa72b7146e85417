"""A store to test with, what it told of its commits, and its clock."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from core.gallery.sqlite.store import Store
from tests.core.gallery.records import Clock
from tests.core.gallery.sqlite.stores import Recorder, opened


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(tmp_path: Path, recorder: Recorder, clock: Clock) -> Iterator[Store]:
    with opened(tmp_path / "g.db", recorder, clock) as store:
        yield store
