"""`Pulse`: whether everything works, found out by a probe, and soon said also when all is busy."""

import asyncio
import math
import time
from collections.abc import Awaitable, Callable
from typing import Final

from core.compute.call import Call
from core.errors import Draining

_PATIENCE_S: Final = 0.05
_FRESH_S: Final = 5.0


class Pulse:
    """One probe at a time, for all who ask while it is under way.

    A probe goes before other work, but not before the batch that the worker is at. Where it takes
    longer than whoever asks should wait, the last one tells, if it ended well and lately.

    Args:
        probe: raises where something does not work.
        patience_s: how long a probe is waited for where the last one will do.
        fresh_s: how old that one may be.
    """

    def __init__(
        self,
        probe: Callable[[Call], Awaitable[None]],
        patience_s: float = _PATIENCE_S,
        fresh_s: float = _FRESH_S,
    ) -> None:
        self._probe = probe
        self._patience_s = patience_s
        self._fresh_s = fresh_s
        self._well_at = -math.inf
        self._under_way: asyncio.Task[None] | None = None

    async def require(self, call: Call) -> None:
        """Raise what the probe raised.

        Args:
            call: of whoever asks; its deadline is that of a probe which begins now.

        Raises:
            Draining: the probe was given up.
        """
        if self._under_way is None:
            self._under_way = asyncio.create_task(self._run(Call(call.deadline, urgent=True)))
            self._under_way.add_done_callback(self._ended)
        probe = self._under_way
        is_fresh = time.monotonic() - self._well_at < self._fresh_s
        done, _ = await asyncio.wait({probe}, timeout=self._patience_s if is_fresh else None)
        if not done:
            return
        if probe.cancelled():
            raise Draining("the service is shutting down", retry_after_s=1.0)
        probe.result()

    def close(self) -> None:
        """Ask nothing more."""
        if self._under_way is not None:
            self._under_way.cancel()

    async def _run(self, call: Call) -> None:
        await self._probe(call)
        self._well_at = time.monotonic()

    def _ended(self, probe: "asyncio.Task[None]") -> None:
        self._under_way = None
        if not probe.cancelled():
            probe.exception()  # whoever waits for it raises it; there may be nobody
