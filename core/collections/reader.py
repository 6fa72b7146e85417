"""`Reader`: the open gallery and what is read of it, on threads of its own."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Final, ParamSpec, TypeVar

from core.collections.specs import ensure_default, features_of
from core.errors import InvalidValue, NotReady
from core.gallery.gallery import Gallery
from core.gallery.limits import MAX_PAGE, require_applied
from core.gallery.records import Collection, Item, Page
from core.types import FloatArray, ModelCard

P = ParamSpec("P")
T = TypeVar("T")

_READERS: Final = 4


class Reader:
    """Shows what is stored."""

    def __init__(self) -> None:
        self._gallery: Gallery | None = None
        self._readers = ThreadPoolExecutor(_READERS, thread_name_prefix="seethrough-gallery")

    # ---- life ----

    async def open(self, gallery: Callable[[], Gallery], default: ModelCard) -> None:
        """Take a gallery into use and make sure that the default collection is there.

        Raises:
            GalleryUnusable: it cannot be opened.
        """
        self._gallery = await self.read(gallery)
        await self.read(ensure_default, self._gallery, features_of(default))

    async def close(self) -> None:
        """Finish what is being written and let go of the files; a second time does nothing."""
        gallery, self._gallery = self._gallery, None
        if gallery is not None:
            await self.read(gallery.close)
        self._readers.shutdown()

    @property
    def gallery(self) -> Gallery:
        """What is stored.

        Raises:
            NotReady: it is not open.
        """
        if self._gallery is None:
            raise NotReady("the gallery is not open yet", retry_after_s=1.0)
        return self._gallery

    async def read(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a read of the gallery on a thread of its own."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._readers, partial(work, *args, **kwargs))

    def require_seq(self, seq: int) -> int:
        """The number of the last change seen, which is at least the one asked for.

        Raises:
            NotYetApplied, InvalidValue: that change has not been seen yet, or cannot be soon.
        """
        applied = self.gallery.seq
        require_applied(seq, applied, retry_after_s=1.0)
        return applied

    # ---- collections ----

    async def collections(self) -> list[Collection]:
        """Every collection, by name."""
        return await self.read(self.gallery.collections)

    async def collection(self, name: str) -> Collection:
        """One collection.

        Raises:
            UnknownCollection: there is none of that name.
        """
        return await self.read(self.gallery.collection, name)

    async def labeled(self, name: str) -> tuple[Collection, list[tuple[str | None, int]]]:
        """One collection, and how many of its items have each label, most frequent first.

        Raises:
            UnknownCollection: there is none of that name.
        """
        gallery = self.gallery
        return await self.read(lambda: (gallery.collection(name), gallery.labels(name)))

    # ---- items ----

    async def item(self, collection: str, id: str) -> Item:
        """One item.

        Raises:
            UnknownCollection, UnknownItem: there is none of that name or id.
        """
        return await self.read(self.gallery.item, collection, id)

    async def items(
        self,
        collection: str,
        *,
        label: str | None = None,
        text: str | None = None,
        cursor: str | None = None,
        limit: int = 50,
    ) -> Page:
        """Items in the order in which they were stored.

        Raises:
            UnknownCollection: there is none of that name.
            InvalidValue: limit or cursor is not allowed.
        """
        if not 1 <= limit <= MAX_PAGE:
            raise InvalidValue("limit", limit, f"1 to {MAX_PAGE}")
        return await self.read(
            self.gallery.items, collection, label=label, text=text, cursor=cursor, limit=limit
        )

    async def vector(self, collection: str, id: str) -> FloatArray:
        """(D,) float32, an item's vector.

        Raises:
            UnknownCollection, UnknownItem: there is none of that name or id.
        """
        return await self.read(self.gallery.vector, collection, id)

    async def thumbnail(self, collection: str, id: str) -> tuple[Item, bytes]:
        """An item and its thumbnail, a JPEG file.

        Raises:
            UnknownCollection, UnknownItem: there is none of that name or id.
        """
        gallery = self.gallery
        return await self.read(
            lambda: (gallery.item(collection, id), gallery.thumbnail(collection, id))
        )
