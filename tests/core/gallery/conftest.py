"""A gallery or a store to test with, what it told of its commits, and its clock."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from core.gallery.gallery import Gallery
from core.gallery.sqlite.local import LocalGallery
from core.gallery.sqlite.store import Store
from tests.core.gallery.records import WAIT_S, Clock, spec
from tests.core.gallery.sqlite.stores import Recorder, opened

Opener = Callable[[], Gallery]


@pytest.fixture
def reopen(tmp_path: Path) -> Iterator[Opener]:
    """Opens the gallery under test; once more closes it first, as a restart does."""
    opened: list[Gallery] = []

    def open_() -> Gallery:
        if opened:
            opened.pop().close()
        opened.append(LocalGallery(tmp_path / "gallery"))
        return opened[-1]

    yield open_
    for each in opened:
        each.close()


@pytest.fixture
def gallery(reopen: Opener) -> Gallery:
    gallery = reopen()
    gallery.create(spec("c")).result(WAIT_S)
    return gallery


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
