"""Index a folder: store every picture below it in a collection."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from core.collections.curator import Curator
from core.collections.drafts import Draft
from core.compute.bridge import patiently
from core.compute.call import Call
from core.compute.worker import Lane
from core.errors import GalleryUnusable, SeethroughError, StorageFull
from core.gallery.gallery import every_item
from core.types import ImageFile

_AT_ONCE: Final = 16
_COMMON: Final = (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".gif", ".bmp")
_SUFFIXES: Final = (*_COMMON, ".tif", ".tiff", ".avif", ".heic", ".heif")

Fate = Literal["stored", "replaced", "unchanged", "failed"]


@dataclass(frozen=True, slots=True)
class FileOutcome:
    """What became of one file.

    Attributes:
        problem: why it failed; empty otherwise.
    """

    file: Path
    fate: Fate
    problem: str = ""


def pictures_in(folder: Path) -> list[Path]:
    """Every file below a folder whose name says that it is a picture, in order of their paths.

    Raises:
        GalleryUnusable: it is not a folder.
    """
    if not folder.is_dir():
        raise GalleryUnusable(f"{folder} is not a folder")
    return sorted(
        file for file in folder.rglob("*") if file.suffix.lower() in _SUFFIXES and file.is_file()
    )


async def index_folder(
    curator: Curator,
    collection: str,
    folder: Path,
    files: Sequence[Path],
    *,
    labels: bool,
    bits: int | None = None,
) -> AsyncIterator[FileOutcome]:
    """Store every file under its path within the folder, each outcome as soon as it is known.

    Begun again, it goes on where it stopped: a file whose bytes are stored already is left alone,
    unless it is to have another label. A file that has changed replaces what is stored and keeps
    its metadata, and its label where folders are none.

    Args:
        curator: keeps them.
        collection: where.
        folder: whose paths are the ids.
        files: below that folder.
        labels: whether the first folder of a path is the label.
        bits: of every file that is stored now; see `ImageFile`.

    Raises:
        UnknownCollection, ModelMismatch: nothing can be stored there.
        StorageFull: there is no space left for any file.
    """
    await curator.require_usable(collection)
    known = await curator.read(
        lambda: {
            item.id: (item.sha256, item.label) for item in every_item(curator.gallery, collection)
        }
    )
    left = iter(files)
    running: set[asyncio.Task[FileOutcome]] = set()
    done: set[asyncio.Task[FileOutcome]] = set()

    async def work(file: Path) -> FileOutcome:
        return await _index(curator, collection, folder, file, known, labels, bits)

    try:
        while True:
            while len(running) < _AT_ONCE and (file := next(left, None)) is not None:
                running.add(asyncio.create_task(work(file)))
            if not running:
                return
            done, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                yield await task
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, *done, return_exceptions=True)


async def _index(
    curator: Curator,
    collection: str,
    folder: Path,
    file: Path,
    known: dict[str, tuple[str, str | None]],
    labels: bool,
    bits: int | None,
) -> FileOutcome:
    path = file.relative_to(folder)
    id = path.as_posix()
    digest, label = known.get(id, (None, None))
    wanted = _label(path) if labels else label
    try:
        content = await curator.read(file.read_bytes)
        if (digest, label) == (hashlib.sha256(content).hexdigest(), wanted):
            return FileOutcome(file, "unchanged")
        metadata = {} if digest is None else (await curator.item(collection, id)).metadata
        draft = Draft(id=id, label=wanted, metadata=metadata, upsert=True)
        picture = ImageFile(content, bits)
        stored = await patiently(lambda: curator.add(collection, picture, draft, Call(), Lane.BULK))
    except (StorageFull, GalleryUnusable):
        raise
    except (SeethroughError, OSError) as error:
        return FileOutcome(file, "failed", str(error))
    return FileOutcome(file, "stored" if stored.written.created else "replaced")


def _label(path: Path) -> str | None:
    return path.parts[0] if len(path.parts) > 1 else None
