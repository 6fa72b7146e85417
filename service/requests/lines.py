"""Many pictures in one request: JSON lines in, each stored on its own, lines out in order."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from functools import partial
from typing import Final, NamedTuple

from starlette.requests import ClientDisconnect, Request

from core.collections.curator import Curator
from core.collections.drafts import Draft, Stored
from core.compute.call import Call
from core.compute.worker import Lane
from core.errors import QueueFull, SeethroughError
from core.types import ImageFile
from service.errors import BodyTooLarge, BodyTooSlow, ClientGone
from service.requests.body import parsed
from service.requests.grammar import read_json
from service.schemas.gallery import BatchLine
from service.schemas.uploads import BatchItem

# Enough to fill batches and share fsyncs; more would only hold more pictures in memory.
_AT_ONCE: Final = 16
_MAX_LINES: Final = 100_000
_MAX_WAIT_S: Final = 1.0


class Line(NamedTuple):
    """One picture of many: its file's name, what is said of it, the picture."""

    name: str | None
    draft: Draft
    file: ImageFile


class Order:
    """Begins when the one before it is over: pictures are made ready together, written in order.

    Args:
        before: is over when this may begin; None = at once.
    """

    def __init__(self, before: "Order | None") -> None:
        self._before = before
        self._over = asyncio.Event()

    async def __aenter__(self) -> None:
        if self._before is not None:
            await self._before.over()
            self._before = None  # or the last of many would hold them all

    async def __aexit__(self, *_: object) -> None:
        self._over.set()

    async def over(self) -> None:
        """Wait until it is."""
        await self._over.wait()


class LineResult(NamedTuple):
    """What became of one of them."""

    name: str | None
    outcome: Stored | SeethroughError


async def entries_of_form(
    files: Iterable[tuple[str, bytes]], shared: Draft, bits: int | None
) -> AsyncIterator[Line | SeethroughError]:
    """The pictures of a form; what is said of one is said of all."""
    for name, content in files:
        yield Line(name or None, shared, ImageFile(content, bits))


async def entries_of_lines(
    request: Request, shared: Draft, limit_bytes: int, timeout_s: float, bits: int | None
) -> AsyncIterator[Line | SeethroughError]:
    """The pictures of a body of JSON lines, read as they are needed.

    Args:
        request: its body may be as long as it likes; a line may not.
        shared: what is said of a picture whose line does not say it.
        limit_bytes: of one picture.
        timeout_s: how long the client may stay silent.
        bits: said of all pictures; see `ImageFile`.

    Raises:
        BodyTooSlow, ClientGone: no more lines will come.
    """
    # Base64 makes 4 bytes of 3; the rest of a line is small.
    longest = limit_bytes * 4 // 3 + 65_536
    count = 0
    async for line in _lines(request, longest, timeout_s):
        if isinstance(line, SeethroughError):
            yield line
            return
        if not line.strip():
            continue
        count += 1
        if count > _MAX_LINES:
            yield BodyTooLarge(f"more than {_MAX_LINES} lines in one request; the rest is unread")
            return
        yield await parsed(partial(_entry, line, shared, bits), len(line))


async def store_all(
    curator: Curator,
    collection: str,
    entries: AsyncIterator[Line | SeethroughError],
    deadline_s: float,
) -> list["asyncio.Task[LineResult]"]:
    """Take in every picture, a few at a time; each ends on its own, as if sent one by one.

    Args:
        curator: keeps them.
        collection: where.
        entries: read no faster than they are stored.
        deadline_s: for each picture.

    Returns:
        A task per picture, in order; the last few may still be at work.

    Raises:
        UnknownCollection, ModelMismatch: nothing can be stored there.
    """
    await curator.require_usable(collection)
    slots = asyncio.Semaphore(_AT_ONCE)
    tasks: list[asyncio.Task[LineResult]] = []

    order: Order | None = None

    async def work(entry: Line | SeethroughError, order: Order) -> LineResult:
        try:
            return await _store(curator, collection, entry, order, deadline_s)
        finally:
            async with order:  # also of those that were never written
                slots.release()

    try:
        async for entry in entries:
            await slots.acquire()
            order = Order(order)
            tasks.append(asyncio.create_task(work(entry, order)))
    except BaseException:
        cancel(tasks)
        raise
    return tasks


async def answer_lines(
    collection: str, tasks: list["asyncio.Task[LineResult]"]
) -> AsyncIterator[bytes]:
    """One line of JSON per picture, in the order sent."""
    try:
        for index, task in enumerate(tasks):
            name, outcome = await task
            line = BatchLine.of(index, name, collection, outcome)
            yield line.model_dump_json().encode() + b"\n"
    finally:
        cancel(tasks)


def cancel(tasks: Iterable["asyncio.Task[LineResult]"]) -> None:
    """Nobody waits for them any more; what is on disk stays there."""
    for task in tasks:
        task.cancel()


async def _store(
    curator: Curator,
    collection: str,
    entry: Line | SeethroughError,
    order: Order,
    deadline_s: float,
) -> LineResult:
    if isinstance(entry, SeethroughError):
        return LineResult(None, entry)
    name, draft, file = entry
    call = Call.within(deadline_s)
    while True:
        try:
            stored = await curator.add(collection, file, draft, call, Lane.BULK, order)
            return LineResult(name, stored)
        except QueueFull as error:
            # Others fill the queue; a batch has time.
            if call.remaining_s <= _MAX_WAIT_S:
                return LineResult(name, error)
            await asyncio.sleep(min(error.retry_after_s, _MAX_WAIT_S))
        except SeethroughError as error:
            return LineResult(name, error)


def _entry(line: bytes, shared: Draft, bits: int | None) -> Line | SeethroughError:
    try:
        item = read_json(BatchItem, line, "line")
        return Line(None, item.draft(shared), ImageFile(item.content(), bits))
    except SeethroughError as error:
        return error


async def _lines(
    request: Request, longest: int, timeout_s: float
) -> AsyncIterator[bytes | SeethroughError]:
    rest = bytearray()
    chunks = request.stream()
    while True:
        try:
            chunk = await asyncio.wait_for(anext(chunks), timeout_s)
        except StopAsyncIteration:
            break
        except TimeoutError as error:
            raise BodyTooSlow(f"nothing came for {timeout_s:g} s") from error
        except ClientDisconnect as error:
            raise ClientGone("the client hung up before its body was here") from error
        searched = len(rest)
        rest += chunk
        while (end := rest.find(b"\n", searched)) >= 0:
            yield bytes(rest[:end])
            del rest[: end + 1]
            searched = 0
        if len(rest) > longest:
            yield BodyTooLarge(f"a line of more than {longest} bytes; it and the rest are unread")
            return
    yield bytes(rest)
