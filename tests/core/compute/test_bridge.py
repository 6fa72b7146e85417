import asyncio
import threading
from contextlib import AsyncExitStack

import pytest

from core.compute.bridge import Bridge
from core.compute.call import Call
from core.compute.decoders import Decoders
from core.compute.metrics import Metrics
from core.compute.worker import Solo
from core.engine import Engine
from core.errors import DeadlinePassed, QueueFull
from core.explain.steps import Steps, Task
from core.models.registry import ModelRegistry
from tests.conftest import settings
from tests.tinycnn import TinyCNN, tiny_spec

TICKET_S = 0.01
"""What one is thought to take before any has been measured: here nothing ever runs."""


def new_bridge(queue_size: int = 10**6, max_wait_s: float = 100 * TICKET_S) -> Bridge:
    metrics = Metrics()
    bridge = Bridge(queue_size, Decoders(1, 10**6, metrics), max_wait_s, metrics)
    bridge.worker.start()
    bridge.open()
    return bridge


async def let_in(bridge: Bridge, stack: AsyncExitStack, count: int) -> None:
    for _ in range(count):
        await stack.enter_async_context(bridge.admitted(Call()))


def test_a_request_is_let_in_as_long_as_those_before_take_no_longer_than_it_may_wait() -> None:
    async def run() -> None:
        bridge = new_bridge()
        async with AsyncExitStack() as stack:
            await let_in(bridge, stack, 101)
            with pytest.raises(QueueFull) as refused:
                await let_in(bridge, stack, 1)
            with pytest.raises(QueueFull):
                bridge.check_admission()
            assert refused.value.retry_after_s >= 1
        bridge.check_admission()  # and at once when they have gone
        assert await bridge.close(10)

    asyncio.run(run())


def test_a_shorter_deadline_lets_fewer_be_before() -> None:
    async def run() -> None:
        bridge = new_bridge(max_wait_s=1000)
        async with AsyncExitStack() as stack:
            await let_in(bridge, stack, 4000)
            async with bridge.admitted(Call.within(600)):
                pass
            with pytest.raises(QueueFull):  # 40 s are before it
                async with bridge.admitted(Call.within(30)):
                    pass
        assert await bridge.close(10)

    asyncio.run(run())


def test_a_batch_is_not_held_up_by_its_own_pictures() -> None:
    async def run() -> None:
        bridge, call = new_bridge(), Call()
        async with AsyncExitStack() as stack:
            for _ in range(1000):
                await stack.enter_async_context(bridge.admitted(call))
        assert call.admitted == 0
        assert await bridge.close(10)

    asyncio.run(run())


def steps() -> Steps[str]:
    yield 0.5
    return "explained"


def test_long_explanations_hold_up_only_one_another() -> None:
    async def run() -> None:
        bridge, gate = new_bridge(max_wait_s=10 * TICKET_S), threading.Event()
        bridge.worker.submit(Solo(lambda: gate.wait(30)), None)

        async def explain(call: Call) -> object:
            async with bridge.admitted(call):
                return await bridge.finish(Task(steps()), call)

        many = []
        for _ in range(40):
            many.append(asyncio.create_task(explain(Call())))
            await asyncio.sleep(0)
        with pytest.raises(QueueFull, match="40 long explanations"):
            await explain(Call.within(20))
        patient = asyncio.create_task(explain(Call.within(600)))
        await asyncio.sleep(0)
        bridge.check_admission()  # what is not long goes before them
        gate.set()
        assert await asyncio.gather(*many, patient) == ["explained"] * 41
        assert await bridge.close(10)

    asyncio.run(run())


def test_drawing_ends_with_the_deadline() -> None:
    async def run() -> None:
        bridge = new_bridge()
        call = Call()
        call.abandon()
        with pytest.raises(DeadlinePassed):
            await bridge.draw(lambda: b"", call)
        assert await bridge.close(10)

    asyncio.run(run())


@pytest.fixture
def engine() -> Engine:
    registry = ModelRegistry()
    registry.register("tiny", lambda *_: (tiny_spec("tiny"), TinyCNN()))
    return Engine(settings(models="tiny", queue_size=3).engine_config(), registry)


def test_a_full_engine_is_ready(engine: Engine) -> None:
    async def run() -> None:
        await engine.start()
        async with AsyncExitStack() as stack:
            await let_in(engine.bridge, stack, 3)
            with pytest.raises(QueueFull):
                engine.bridge.check_admission()
            await engine.probe(Call.within(60))
        await engine.close()

    asyncio.run(run())
