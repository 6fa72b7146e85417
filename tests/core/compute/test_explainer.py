import asyncio
import threading
import tracemalloc

import numpy as np

from core.compute.call import Call
from core.compute.worker import Solo
from core.engine import Engine
from core.explain.saliency import Saliency
from core.images.decode import decode
from core.models.registry import ModelRegistry
from core.render.heat import png
from core.render.overlay import Drawing, draw
from core.types import ImageFile
from tests.conftest import settings
from tests.files import SMALL
from tests.pictures import encode
from tests.tinycnn import TinyCNN, tiny_spec

LARGE = encode(np.ascontiguousarray(SMALL.repeat(40, axis=0).repeat(40, axis=1)), "PNG")
PIXEL_BYTES = SMALL.size * 40 * 40


def new_engine() -> Engine:
    registry = ModelRegistry()
    registry.register("tiny", lambda *_: (tiny_spec("tiny"), TinyCNN()))
    return Engine(settings(models="tiny").engine_config(), registry)


def test_an_explanation_that_waits_holds_the_file_and_not_its_pixels() -> None:
    async def run() -> int:
        engine, gate = new_engine(), threading.Event()
        await engine.start()
        engine.bridge.worker.submit(Solo(lambda: gate.wait(30)), None)
        tracemalloc.start()
        try:
            before = tracemalloc.get_traced_memory()[0]
            asked = engine.explainer.explain(
                ImageFile(LARGE), [Saliency()], keep_original=True, call=Call.within(60)
            )
            waiting = asyncio.create_task(asked)
            while not engine.bridge.worker.waiting:
                await asyncio.sleep(0.01)
            held = tracemalloc.get_traced_memory()[0] - before
        finally:
            tracemalloc.stop()
            gate.set()
        assert (await waiting)[0].original == ImageFile(LARGE)
        await engine.close()
        return held

    assert asyncio.run(run()) < PIXEL_BYTES / 2


def test_the_whole_picture_is_drawn_on_as_it_was_sent() -> None:
    drawing = Drawing(size="original")

    async def run() -> None:
        engine = new_engine()
        await engine.start()
        for content in (LARGE, encode(SMALL)):
            (found,) = await engine.explainer.explain(
                ImageFile(content), [Saliency()], keep_original=True, call=Call()
            )
            original = decode(content).pixels
            expected = draw(found.values, found.view, drawing, frame=found.frame, original=original)
            assert await engine.explainer.draw(found, drawing, Call()) == png(expected)
        await engine.close()

    asyncio.run(run())
