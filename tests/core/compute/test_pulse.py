import asyncio
from collections.abc import Coroutine

import pytest

from core.compute.call import Call
from core.compute.pulse import Pulse
from core.errors import Draining, NotReady


class Probed:
    """Something whose probes end when they are told to."""

    def __init__(self, patience_s: float = 0.01, fresh_s: float = 60.0) -> None:
        self.pulse = Pulse(self._probe, patience_s, fresh_s)
        self.calls: list[Call] = []
        self.go_on = asyncio.Event()
        self.go_on.set()
        self.is_well = True

    async def _probe(self, call: Call) -> None:
        self.calls.append(call)
        await self.go_on.wait()
        if not self.is_well:
            raise NotReady("the worker has stopped", retry_after_s=1)

    async def ask(self) -> None:
        async with asyncio.timeout(30):
            await self.pulse.require(Call(deadline=7.0))


def run(work: Coroutine[None, None, None]) -> None:
    asyncio.run(work)


def test_each_time_it_is_asked_it_probes_and_says_what_the_probe_says() -> None:
    async def work() -> None:
        probed = Probed()
        await probed.ask()
        await probed.ask()
        assert [(call.deadline, call.urgent) for call in probed.calls] == [(7.0, True)] * 2
        probed.is_well = False
        with pytest.raises(NotReady):
            await probed.ask()

    run(work())


def test_while_all_is_busy_a_probe_of_the_last_seconds_tells() -> None:
    async def work() -> None:
        probed = Probed()
        await probed.ask()
        probed.go_on.clear()
        await probed.ask()
        await probed.ask()
        assert len(probed.calls) == 2  # the second of them is still under way, for both

    run(work())


@pytest.mark.parametrize(("asked_before", "fresh_s"), [(False, 60.0), (True, 0.0)])
def test_where_none_ended_lately_the_probe_is_waited_for(
    asked_before: bool, fresh_s: float
) -> None:
    async def work() -> None:
        probed = Probed(fresh_s=fresh_s)
        if asked_before:
            await probed.ask()
        probed.go_on.clear()
        asked = asyncio.ensure_future(probed.ask())
        await asyncio.sleep(0.1)
        assert not asked.done()
        probed.is_well = False
        probed.go_on.set()
        with pytest.raises(NotReady):
            await asked

    run(work())


def test_a_probe_that_failed_late_is_not_fresh() -> None:
    async def work() -> None:
        probed = Probed(fresh_s=0.05)
        await probed.ask()
        probed.go_on.clear()
        await probed.ask()
        probed.is_well = False
        await asyncio.sleep(0.1)
        probed.go_on.set()
        with pytest.raises(NotReady):
            await probed.ask()

    run(work())


def test_closing_ends_whoever_waits() -> None:
    async def work() -> None:
        probed = Probed()
        probed.go_on.clear()
        asked = asyncio.ensure_future(probed.ask())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        probed.pulse.close()
        with pytest.raises(Draining):
            await asked

    run(work())
