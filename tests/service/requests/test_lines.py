"""Memory that lines of a batch hold while they are read."""

import asyncio
from collections.abc import AsyncIterator

from prometheus_client import CollectorRegistry, Gauge
from starlette.requests import Request
from starlette.types import Message

from core.collections.drafts import Draft
from core.compute.budget import Budget
from core.compute.call import Call
from core.errors import RequestUnreadable, SeethroughError
from service.requests.intake import BodyLimits, Intake
from service.requests.lines import Line, entries_of_lines

MIB = 2**20


async def read(lines: int, budget: Budget) -> AsyncIterator[Line | SeethroughError]:
    """What becomes of so many lines of a mebibyte that are no JSON."""

    async def body() -> Message:
        nonlocal lines
        lines -= 1
        return {"type": "http.request", "body": bytes(MIB) + b"\n", "more_body": lines > 0}

    request = Request({"type": "http", "headers": []}, body)
    with budget.hold() as hold:
        limits = BodyLimits(20 * MIB, 60, 60)
        intake = Intake(request, Call(), hold, limits, lambda: None)
        async for entry in entries_of_lines(intake, Draft(), None):
            yield entry


def test_a_line_that_is_refused_gives_its_memory_back() -> None:
    budget = Budget(8 * MIB, Gauge("held", "Bytes.", registry=CollectorRegistry()))

    async def errors() -> list[type]:
        return [type(each) async for each in read(40, budget)]

    assert asyncio.run(errors()) == [RequestUnreadable] * 40
