"""Owns trying again while the queue is full; refuses to know what is tried."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from core.errors import QueueFull

T = TypeVar("T")

_MAX_WAIT_S: Final = 1.0


async def patiently(work: Callable[[], Awaitable[T]]) -> T:
    """What the work answers, tried until it gets a place in the queue.

    Args:
        work: does nothing before it has its place.
    """
    while True:
        try:
            return await work()
        except QueueFull as error:
            await asyncio.sleep(min(error.retry_after_s, _MAX_WAIT_S))
