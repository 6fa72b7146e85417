"""Online backup of the database file: a copy while writers go on."""

import os
import sqlite3
from contextlib import closing
from pathlib import Path

from core.errors import Conflict, GalleryUnusable
from core.gallery.sqlite import schema
from core.gallery.sqlite.database import connect_reader, translated
from core.scratch import scratch


def back_up(source: Path, target: Path) -> None:
    """Copy all that is committed; writers go on, in this process or another.

    The target appears whole or not at all, and what was there under its name is replaced.

    Raises:
        Conflict: the target is in use as a gallery itself.
        GalleryUnusable: the source is not a gallery.
        StorageFull: there is no space for the copy.
    """
    if target.resolve() == source.resolve() or _log_of(target).exists():
        raise Conflict(f"{target} is a gallery in use")
    if not source.is_file():
        raise GalleryUnusable(f"there is no gallery {source}")
    try:
        with scratch(target.absolute().parent) as folder:
            partial = folder / target.name
            partial.touch(0o600)
            _copy(source, partial)
            _sync(partial)
            partial.replace(target)
        _sync(target.absolute().parent)
    except sqlite3.DatabaseError as error:
        said = translated(error, target) if isinstance(error, sqlite3.OperationalError) else error
        if said is error:
            raise GalleryUnusable(f"cannot copy {source}: {error}") from error
        raise said from error
    except OSError as error:
        raise translated(error, target) from error


def _copy(source: Path, partial: Path) -> None:
    try:
        _copy_from(connect_reader(source), source, partial)
    except sqlite3.OperationalError as error:
        if os.access(source.parent, os.W_OK):
            raise
        # A reader makes files beside the database, and cannot here. Where it was closed well there
        # is no log; then nobody has it open, and it can be read as it is.
        if _log_of(source).exists():
            raise GalleryUnusable(
                f"{source.parent} is read-only, and its log has not been written back: open the "
                "gallery once where it can be written"
            ) from error
        _copy_from(connect_reader(source, immutable=True), source, partial)


def _copy_from(reader: sqlite3.Connection, source: Path, partial: Path) -> None:
    with closing(reader) as live, closing(sqlite3.connect(partial)) as copy:
        schema.check(live)
        if not schema.version_of(live):
            raise GalleryUnusable(f"{source} holds no gallery")
        # All pages in one step: it reads one snapshot, and no commit can make it begin anew.
        live.backup(copy, pages=-1)


def _sync(path: Path) -> None:
    """Until the disk has it; of a folder, its entries."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _log_of(file: Path) -> Path:
    return Path(f"{file}-wal")
