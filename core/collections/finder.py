"""`Finder`: the stored pictures nearest to a picture, a vector or an item."""

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Final

import numpy as np

from core.checks import require_choice
from core.collections.curator import Curator
from core.compute.bridge import Bridge
from core.compute.call import Call
from core.errors import InvalidValue
from core.gallery.distances import pixel_vector
from core.gallery.limits import require_k, require_label
from core.gallery.queries import Neighbors, Query
from core.gallery.records import SPACES, Item, Space
from core.render.neighbors import draw_neighbors
from core.types import FloatArray, ImageFile, ImageSource

_SEARCHERS: Final = 4
# Who asks for exact answers among many vectors waits for others who do, for nobody else.
_SCANNERS: Final = 2


@dataclass(frozen=True, slots=True)
class ImageSeed:
    """Search for what is near a picture."""

    file: ImageFile


@dataclass(frozen=True, slots=True)
class VectorSeed:
    """Search for what is near a point of the space searched."""

    values: Sequence[float]


@dataclass(frozen=True, slots=True)
class ItemSeed:
    """Search for what is near a stored picture, itself left out."""

    id: str


Seed = ImageSeed | VectorSeed | ItemSeed


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """How neighbors are searched; see `core.gallery.queries.Query`."""

    k: int = 10
    space: Space = "features"
    label: str | None = None
    max_per_label: int | None = None
    exact: bool = False
    min_seq: int = 0

    def __post_init__(self) -> None:
        require_k(self.k)
        require_choice("space", self.space, SPACES)
        require_label(self.label)
        if self.max_per_label is not None and self.max_per_label < 1:
            raise InvalidValue("max_per_label", self.max_per_label, "1 or more")

    def query(self, vector: FloatArray, exclude: str | None = None) -> Query:
        """The search for the nearest to a vector."""
        return Query(
            vector,
            k=self.k,
            space=self.space,
            label=self.label or None,
            max_per_label=self.max_per_label,
            exclude=exclude,
            exact=self.exact,
            min_seq=self.min_seq,
        )


@dataclass(frozen=True, slots=True)
class Found:
    """Neighbors of a seed.

    Attributes:
        image: the seed as it was received; None where it was no picture.
        thumbnail: of the seed, a JPEG file; None where it was a vector.
    """

    collection: str
    neighbors: Neighbors
    image: ImageSource | None = None
    thumbnail: bytes | None = None


@dataclass(frozen=True, slots=True)
class Point:
    """Where a seed lies, and what is known of it."""

    vector: FloatArray
    image: ImageSource | None = None
    thumbnail: bytes | None = None
    exclude: str | None = None


class Finder:
    """Finds the nearest items.

    Args:
        bridge: to the threads.
        curator: what is stored, and how pictures become vectors.
    """

    def __init__(self, bridge: Bridge, curator: Curator) -> None:
        self._bridge = bridge
        self._curator = curator
        self._searchers = ThreadPoolExecutor(_SEARCHERS, "seethrough-search")
        self._scanners = ThreadPoolExecutor(_SCANNERS, "seethrough-scan")

    def close(self) -> None:
        """End the threads when they have answered; a second time does nothing."""
        self._searchers.shutdown(wait=False, cancel_futures=True)
        self._scanners.shutdown(wait=False, cancel_futures=True)

    async def nearest(self, collection: str, seed: Seed, search: Search, call: Call) -> Found:
        """The nearest items to a picture, a vector or another item, nearest first.

        Args:
            collection: its name.
            seed: near what.
            search: how many, in which space, which of them.
            call: the request's deadline and stopwatch.

        Raises:
            ImageRefused, InvalidValue, Unavailable, DeadlinePassed, OutputNotFinite.
            UnknownCollection, UnknownItem: no such name or id.
            ModelMismatch: the seed is a picture and the collection's model is not served.
        """
        async with self._bridge.admitted(call):
            point = await self.locate(collection, seed, search.space, call)
            query = search.query(point.vector, point.exclude)
            with call.measure("search"):
                neighbors = await self._search(collection, query, call)
        return Found(collection, neighbors, point.image, point.thumbnail)

    async def _search(self, collection: str, query: Query, call: Call) -> Neighbors:
        """On a thread that stops soon after the deadline, or after the caller has gone."""
        work = partial(self._curator.gallery.nearest, collection, query, call.check)
        pool = self._scanners if query.exact else self._searchers
        try:
            return await asyncio.get_running_loop().run_in_executor(pool, work)
        except asyncio.CancelledError:
            call.abandon()
            raise

    async def draw(self, found: Found, call: Call) -> bytes:
        """The seed beside its neighbors, as a PNG file."""
        gallery = self._curator.gallery

        def thumbnail(item: Item) -> bytes:
            return gallery.thumbnail(found.collection, item.id)

        work = partial(draw_neighbors, found.neighbors, found.thumbnail, thumbnail)
        return await self._bridge.draw(work, call)

    async def locate(self, collection: str, seed: Seed, space: Space, call: Call) -> Point:
        """Where a seed lies in a space; the request has been admitted.

        Raises:
            As `nearest`.
        """
        match seed:
            case ImageSeed(file):
                return await self._locate_image(collection, file, space, call)
            case VectorSeed(values):
                return Point(_vector(values))
            case ItemSeed(id):
                return await self._curator.read(self._locate_item, collection, id, space)

    async def _locate_image(
        self, collection: str, file: ImageFile, space: Space, call: Call
    ) -> Point:
        curator = self._curator
        spec = (await curator.collection(collection)).spec
        embedding = await curator.embed(file, spec, call)
        vector, pixels = embedding.vector, embedding.reduced.tiny
        if space == "pixels" and pixels is not None:
            vector = pixel_vector(pixels)
        return Point(vector, embedding.source, embedding.reduced.thumbnail)

    def _locate_item(self, collection: str, id: str, space: Space) -> Point:
        gallery = self._curator.gallery
        vector = gallery.vector(collection, id)
        if space == "pixels":
            pixels = gallery.pixels(collection, id)
            if pixels is not None:  # where there are none, the search says so
                vector = pixel_vector(pixels)
        return Point(vector, thumbnail=gallery.thumbnail(collection, id), exclude=id)


def _vector(values: Sequence[float]) -> FloatArray:
    with np.errstate(over="ignore"):
        vector = np.array(values, dtype=np.float64).astype(np.float32)
    if not np.isfinite(vector).all():
        raise InvalidValue("vector", values, "finite numbers, as float32 holds them")
    return vector
