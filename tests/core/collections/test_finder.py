import asyncio
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path

import numpy as np
import pytest

from core.collections.finder import Search, VectorSeed
from core.compute.call import Call
from core.engine import Engine
from core.errors import DeadlinePassed
from core.gallery.gallery import Gallery, Tick, go_on
from core.gallery.queries import Neighbors, Query
from core.models.registry import ModelRegistry
from tests.conftest import settings
from tests.tinycnn import TinyCNN, tiny_spec

EXACT = Search(k=1, exact=True)
QUICK = Search(k=1)


class Vast:
    """A gallery whose exact searches never end by themselves; all else is another gallery's."""

    def __init__(self, gallery: Gallery) -> None:
        self._gallery = gallery
        self.begun = threading.Semaphore(0)
        self.ended = threading.Semaphore(0)

    def __getattr__(self, name: str) -> object:
        return getattr(self._gallery, name)

    def nearest(self, collection: str, query: Query, tick: Tick = go_on) -> Neighbors:
        if not query.exact:
            return self._gallery.nearest(collection, query, tick)
        self.begun.release()
        pause = threading.Event()
        try:
            while True:
                tick()
                pause.wait(0.005)
        finally:
            self.ended.release()


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    registry = ModelRegistry()
    registry.register("tiny", lambda *_: (tiny_spec("tiny"), TinyCNN()))
    chosen = settings(models="tiny", data_dir=tmp_path)
    return Engine(chosen.engine_config(), registry)


def _play(engine: Engine, scenario: Callable[[Vast, VectorSeed], Awaitable[None]]) -> None:
    async def whole() -> None:
        await engine.start()
        gallery = Vast(engine.curator.gallery)
        dim = engine.curator.gallery.collection("default").spec.dim
        engine.curator._gallery = gallery  # type: ignore[assignment]
        try:
            await scenario(gallery, VectorSeed(np.zeros(dim).tolist()))
        finally:
            await engine.close()

    asyncio.run(whole())


async def _happens(semaphore: threading.Semaphore) -> None:
    assert await asyncio.to_thread(semaphore.acquire, timeout=30)


def test_a_search_ends_with_its_deadline(engine: Engine) -> None:
    async def scenario(gallery: Vast, seed: VectorSeed) -> None:
        with pytest.raises(DeadlinePassed):
            await engine.finder.nearest("default", seed, EXACT, Call.within(0.1))
        await _happens(gallery.ended)

    _play(engine, scenario)


def test_a_search_ends_when_its_caller_has_gone(engine: Engine) -> None:
    async def scenario(gallery: Vast, seed: VectorSeed) -> None:
        asked = asyncio.create_task(engine.finder.nearest("default", seed, EXACT, Call()))
        await _happens(gallery.begun)
        asked.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asked
        await _happens(gallery.ended)

    _play(engine, scenario)


def test_exact_searches_hold_up_no_others(engine: Engine) -> None:
    async def scenario(gallery: Vast, seed: VectorSeed) -> None:
        long = [
            asyncio.create_task(engine.finder.nearest("default", seed, EXACT, Call()))
            for _ in range(8)
        ]
        await _happens(gallery.begun)
        for _ in range(5):
            found = await engine.finder.nearest("default", seed, QUICK, Call.within(30))
            assert found.neighbors.exact
        assert len(await engine.curator.collections()) == 1
        for each in long:
            each.cancel()
        await asyncio.gather(*long, return_exceptions=True)

    _play(engine, scenario)
