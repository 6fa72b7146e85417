"""`Projector`: start, follow, keep, draw and remove projections; place new pictures in them."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final

from core.collections.curator import Curator
from core.collections.finder import Finder, Point, Seed
from core.collections.plot import Plot, drawn
from core.collections.samples import defaults, load
from core.compute.bridge import Bridge
from core.compute.call import Call
from core.errors import Conflict, ModelMismatch, NotReady
from core.gallery.gallery import Gallery, Tick
from core.gallery.queries import Neighbor, Query
from core.gallery.records import ENDED, StoredProjection
from core.projection.jobs import Job, Jobs
from core.projection.method import Placer
from core.projection.placement import from_bytes, place
from core.projection.request import Request, method_named
from core.projection.result import Result
from core.types import FloatArray, ImageSource

_POLL_S: Final = 0.2
_NEAREST: Final = 10
# Items near a new picture that are not in a sampled map are skipped; so many are looked at.
_LOOKED_AT: Final = 200


@dataclass(frozen=True, slots=True)
class Progress:
    """A projection and how far it is.

    Attributes:
        progress: 0 to 1.
        text: what is being done.
        stale: whether the collection has changed since it was read.
    """

    stored: StoredProjection
    progress: float
    text: str
    stale: bool

    @property
    def ended(self) -> bool:
        """Whether nothing will change any more."""
        return self.stored.status in ENDED


@dataclass(frozen=True, slots=True, eq=False)
class Placed:
    """Where something new falls in a map.

    Attributes:
        coordinates: (dims,) float32.
        nearest: items of the map nearest to it in feature space, with their coordinates.
        image: the picture as it was received; None where it was none.
    """

    coordinates: FloatArray
    nearest: tuple[tuple[Neighbor, FloatArray], ...]
    image: ImageSource | None


class Projector:
    """Lays collections out in two or three dimensions.

    Args:
        bridge: to the threads.
        curator: what is stored.
        finder: where pictures, vectors and items lie.
        threads: of a computation; 0 = all cores.
    """

    def __init__(self, bridge: Bridge, curator: Curator, finder: Finder, threads: int = 0) -> None:
        self._bridge = bridge
        self._curator = curator
        self._finder = finder
        self._threads = threads
        self._running: Jobs | None = None

    # ---- life ----

    async def open(self) -> None:
        """Begin to take jobs; what an earlier process left unfinished has failed."""
        await self._curator.read(self._give_up_unfinished)
        self._running = Jobs(self._keep, self._threads)

    async def close(self) -> None:
        """End what runs; a second time does nothing."""
        running, self._running = self._running, None
        if running is not None:
            await self._curator.read(running.close)

    # ---- jobs ----

    async def start(
        self, collection: str, parameters: Mapping[str, Any], wait_s: float = 0
    ) -> tuple[Progress, bool]:
        """Lay a collection out, unless that was asked before and nothing has changed since.

        Args:
            collection: its name.
            parameters: see `Request.of`.
            wait_s: how long it may take until it has ended; 0 = it is not waited for.

        Returns:
            The projection as it stands then, and whether it is a new one.

        Raises:
            InvalidValue: the parameters are not allowed, or not for so few items.
            UnknownCollection: there is none of that name.
            QueueFull: too many wait.
            StorageFull: there is no space on the disk.
        """
        self._bridge.require_loaded()
        found = await self._curator.read(self._gallery.collection, collection)
        request = Request.of({**defaults(parameters, found), **parameters})
        request.check(found.count, found.spec.dim)
        for known in await self.list(collection):
            same = known.stored.parameters == request.to_json()
            if same and not known.stale and known.stored.status not in ("failed", "cancelled"):
                return await self._waited_for(known, wait_s), False
        read = partial(load, self._gallery, collection, request)
        job = Job(uuid.uuid4().hex, collection, request, read, seq=found.seq)
        await self._curator.read(self._keep, job)
        self._jobs.submit(job)
        return await self._waited_for(await self._state(collection, job.id), wait_s), True

    async def list(self, collection: str) -> list[Progress]:
        """Every projection of a collection, newest first."""
        stored = await self._curator.read(self._gallery.projections, collection)
        seq = (await self._curator.read(self._gallery.collection, collection)).seq
        return [self._progress(each, seq) for each in stored]

    async def get(self, collection: str, id: str) -> tuple[Progress, Result | None]:
        """A projection as it stands, and its map; None = it is not done.

        Raises:
            UnknownCollection, UnknownProjection: there is none of that name or id.
        """
        now = await self._state(collection, id)
        if now.stored.status != "done":
            return now, None
        content, _ = await self._curator.read(self._gallery.projected, collection, id)
        assert content is not None  # it is done
        return now, await self._curator.read(Result.from_bytes, content)

    async def follow(self, collection: str, id: str) -> AsyncIterator[Progress]:
        """A projection each time that it has changed, until it has ended.

        Raises:
            UnknownCollection, UnknownProjection: there is none of that name or id.
        """
        return self._changes(await self._state(collection, id))

    async def remove(self, collection: str, id: str) -> None:
        """End a projection that is not done, or take one away that is.

        Raises:
            UnknownCollection, UnknownProjection: there is none of that name or id.
        """
        await self._state(collection, id)
        job = self._jobs.find(id)
        if job is not None:
            await self._curator.read(self._jobs.cancel, job)
            return
        await asyncio.wrap_future(self._gallery.remove_projection(collection, id))

    # ---- results ----

    async def draw(self, collection: str, id: str, how: Plot, call: Call) -> bytes:
        """The map as a PNG file.

        Raises:
            UnknownCollection, UnknownProjection, Conflict: there is no such map, or not yet.
        """
        now, result = await self.get(collection, id)
        if result is None:
            raise _not_done(now.stored)
        return await self._bridge.draw(partial(drawn, self._gallery, now.stored, result, how), call)

    async def place(self, collection: str, id: str, seed: Seed, call: Call) -> Placed:
        """Where a picture, a vector or another item falls in a map, the rest staying put.

        Raises:
            UnknownCollection, UnknownItem, UnknownProjection: no such name or id.
            Conflict: the map is not done, of another network than the collection is now, or made by
                a method that places nothing.
            ImageRefused, InvalidValue, Unavailable, DeadlinePassed.
        """
        async with self._bridge.admitted(call):
            stored = (await self._state(collection, id)).stored
            kept, state = await self._curator.read(self._gallery.projected, collection, id)
            if kept is None:
                raise _not_done(stored)
            method = method_named(stored.parameters["method"])
            if state is None or method.placer is None:
                raise Conflict(f"in a map by {method.title} no new points can be placed")
            placer = partial(from_bytes, state, method.placer)
            point = await self._finder.locate(collection, seed, "features", call)
            with call.measure("place"):
                return await self._curator.read(
                    self._place, collection, kept, placer, point, call.check
                )

    # ---- inside ----

    @property
    def _gallery(self) -> Gallery:
        return self._curator.gallery

    @property
    def _jobs(self) -> Jobs:
        if self._running is None:
            raise NotReady("projections are not open yet", retry_after_s=1.0)
        return self._running

    async def _state(self, collection: str, id: str) -> Progress:
        stored = await self._curator.read(self._gallery.projection, collection, id)
        seq = (await self._curator.read(self._gallery.collection, collection)).seq
        return self._progress(stored, seq)

    async def _changes(
        self, now: Progress, timeout_s: float | None = None
    ) -> AsyncIterator[Progress]:
        """This, then each change of it, until it has ended or time is up."""
        loop = asyncio.get_running_loop()
        until = None if timeout_s is None else loop.time() + timeout_s
        yield now
        while not now.ended and (until is None or loop.time() < until):
            await asyncio.sleep(_POLL_S)
            before, now = now, await self._state(now.stored.collection, now.stored.id)
            if now != before:
                yield now

    async def _waited_for(self, now: Progress, wait_s: float) -> Progress:
        latest = now
        async for latest in self._changes(now, wait_s):  # noqa: B007  the last one
            pass
        return latest

    def _progress(self, stored: StoredProjection, seq: int) -> Progress:
        job = None if stored.status in ENDED else self._jobs.find(stored.id)
        if job is None:
            done = stored.status == "done"
            return Progress(stored, float(done), stored.status, stored.seq != seq)
        now = replace(stored, count=job.count)
        return Progress(now, job.progress, job.text, stored.seq != seq)

    def _keep(self, job: Job, result: bytes | None = None, placement: bytes | None = None) -> None:
        ended = datetime.now(UTC) if job.state in ENDED else None
        stored = StoredProjection(
            id=job.id,
            collection=job.collection,
            parameters=job.request.to_json(),
            status=job.state,
            reason=job.reason,
            count=job.count,
            seq=job.seq,
            created_at=job.asked_at,
            ended_at=ended,
        )
        self._gallery.keep_projection(stored, result, placement).result()

    def _give_up_unfinished(self) -> None:
        reason = "the service ended before it was done"
        for stored in self._gallery.unfinished():
            failed = replace(stored, status="failed", reason=reason, ended_at=datetime.now(UTC))
            self._gallery.keep_projection(failed).result()

    def _place(
        self, collection: str, kept: bytes, placer: Callable[[], Placer], point: Point, tick: Tick
    ) -> Placed:
        result = Result.from_bytes(kept)
        try:
            (coordinates,) = place(placer(), point.vector[None])
        except ValueError as error:
            raise ModelMismatch(f"the map is of other vectors: {error}") from error
        indices = {id: index for index, id in enumerate(result.ids)}
        query = Query(point.vector, k=_LOOKED_AT, exclude=point.exclude)
        near = [
            (each, result.coordinates[indices[each.item.id]])
            for each in self._gallery.nearest(collection, query, tick).found
            if each.item.id in indices
        ]
        return Placed(coordinates, tuple(near[:_NEAREST]), point.image)


def _not_done(stored: StoredProjection) -> Conflict:
    return Conflict(f"the projection {stored.id} is {stored.status}, not done")
