"""Many pictures in one request: JSON lines in, each stored on its own, lines out in order."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from functools import partial
from typing import Final, NamedTuple

from core.collections.curator import Curator
from core.collections.drafts import Draft, Stored
from core.compute.call import Call
from core.compute.worker import Lane
from core.errors import MemoryFull, QueueFull, SeethroughError
from core.types import ImageFile
from service.errors import BodyTooLarge
from service.requests.body import parsed
from service.requests.grammar import read_json
from service.requests.intake import Intake
from service.schemas.gallery import BatchLine
from service.schemas.uploads import BatchItem

# Enough to fill batches and share fsyncs; more would only hold more pictures in memory.
_AT_ONCE: Final = 16
_MAX_LINES: Final = 100_000
_MAX_WAIT_S: Final = 1.0


class Line(NamedTuple):
    """One picture of many: its file's name, what is said of it, the picture.

    Attributes:
        done: to be called when nobody needs the picture any more.
    """

    name: str | None
    draft: Draft
    file: ImageFile
    done: Callable[[], None] = lambda: None


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
    intake: Intake, shared: Draft, bits: int | None
) -> AsyncIterator[Line | SeethroughError]:
    """The pictures of a body of JSON lines, read as they are needed.

    Args:
        intake: of a body that may be as long as it likes; a picture may not.
        shared: what is said of a picture whose line does not say it.
        bits: said of all pictures; see `ImageFile`.

    Raises:
        BodyTooSlow, ClientGone: no more lines will come.
    """
    # Base64 makes 4 bytes of 3; the rest of a line is small.
    longest = intake.limits.bytes * 4 // 3 + 65_536
    count = 0
    intake.admit()
    async for line in _lines(intake, longest):
        if isinstance(line, SeethroughError):
            yield line
            return
        done = partial(intake.hold.give, len(line))
        if not line.strip():
            done()
            continue
        count += 1
        if count > _MAX_LINES:
            yield BodyTooLarge(f"more than {_MAX_LINES} lines in one request; the rest is unread")
            return
        yield await parsed(partial(_entry, line, shared, bits, done), len(line))


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
            if isinstance(entry, Line):
                entry.done()
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
    name, draft, file, _ = entry
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


def _entry(
    line: bytes, shared: Draft, bits: int | None, done: Callable[[], None]
) -> Line | SeethroughError:
    try:
        item = read_json(BatchItem, line, "line")
        return Line(None, item.draft(shared), ImageFile(item.content(), bits), done)
    except SeethroughError as error:
        done()
        return error


async def _lines(intake: Intake, longest: int) -> AsyncIterator[bytes | SeethroughError]:
    """Lines whose bytes are held until they are given back."""
    rest = bytearray()
    async for chunk in intake.chunks():
        try:
            intake.hold.take(len(chunk))
        except MemoryFull as error:
            yield error
            return
        searched = len(rest)
        rest += chunk
        while (end := rest.find(b"\n", searched)) >= 0:
            yield bytes(rest[:end])
            intake.hold.give(1)
            del rest[: end + 1]
            searched = 0
        if len(rest) > longest:
            yield BodyTooLarge(f"a line of more than {longest} bytes; it and the rest are unread")
            return
    yield bytes(rest)
