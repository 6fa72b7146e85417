"""Open the SQLite file, its pragmas, and its errors translated into ours."""

import errno
import shutil
import sqlite3
from pathlib import Path
from typing import Any, Final

from core.errors import GalleryUnusable, StorageFull, Unavailable
from core.gallery.sqlite import schema, state
from core.gallery.sqlite.presence import is_read_only, read_only

BUSY_S: Final = 5.0
"""So long a connection waits for another process that writes."""

# Our own statements fit our own tables, and rows are looked for before they are made: an SQL error
# or a constraint is of a file that something else has written into.
_DAMAGED: Final = (
    *(sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR),
    *(sqlite3.SQLITE_CONSTRAINT, sqlite3.SQLITE_MISMATCH),
)

_CONNECTED: Final[dict[str, Any]] = {"isolation_level": None, "check_same_thread": False}
_CACHE_KIB = 16 * 1024
_KEPT_WAL_BYTES = 64 * 2**20
# With less than this left, an I/O error of the disk is taken for a full one: SQLite's shared
# memory file and its log grow by up to this much.
_FULL_BELOW_BYTES = 2**20


def open_gallery(file: Path, busy_s: float = BUSY_S) -> sqlite3.Connection:
    """A connection that may write, to an existing gallery or to a new one.

    Raises:
        GalleryUnusable: the file cannot be opened, or is not a gallery this version can read.
    """
    try:
        connection = connect(file, busy_s)
    except (sqlite3.Error, UnicodeDecodeError) as error:  # which is of SQLite's own message
        raise GalleryUnusable(f"cannot open {file}: {error}") from error
    try:
        _prepare(connection)
    except (sqlite3.Error, UnicodeDecodeError, GalleryUnusable) as error:
        connection.close()
        raise GalleryUnusable(f"cannot open {file}: {error}") from error
    return connection


def connect(file: Path, busy_s: float = BUSY_S) -> sqlite3.Connection:
    """A connection in autocommit mode that any one thread at a time may use."""
    return _with_pragmas(sqlite3.connect(file, busy_s, **_CONNECTED))


def connect_reader(file: Path, *, immutable: bool = False) -> sqlite3.Connection:
    """A connection that cannot write, and makes no file where there is none.

    Args:
        file: of the database.
        immutable: nobody writes meanwhile, so that neither locks nor a log are needed.
    """
    uri = f"{file.absolute().as_uri()}?{'immutable=1' if immutable else 'mode=rw'}"
    connection = _with_pragmas(sqlite3.connect(uri, BUSY_S, uri=True, **_CONNECTED))
    connection.execute("PRAGMA query_only = ON")
    return connection


def _with_pragmas(connection: sqlite3.Connection) -> sqlite3.Connection:
    connection.row_factory = sqlite3.Row
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA synchronous = FULL")
    # Some builds overwrite what is deleted with zeros, which makes a large drop write it all.
    connection.execute("PRAGMA secure_delete = OFF")
    connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
    return connection


def translated(error: BaseException, file: Path) -> BaseException:
    """The error as the engine knows it: a full disk, a locked or damaged file, or as it is."""
    if _is_read_only(error, file):
        return read_only(file)
    if is_full(error, file):
        return StorageFull(f"there is no space on the disk for {file.name}; nothing was changed")
    if _code(error) in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return Unavailable("another process writes to the gallery", retry_after_s=BUSY_S)
    if _code(error) in _DAMAGED:
        return GalleryUnusable(f"{file} is damaged ({error}): bring back a backup")
    return error


def is_full(error: BaseException, file: Path) -> bool:
    """Whether it was raised because there is no space."""
    if isinstance(error, OSError):
        return error.errno in (errno.ENOSPC, errno.EDQUOT)
    if _code(error) == sqlite3.SQLITE_IOERR:
        return shutil.disk_usage(file.parent).free < _FULL_BELOW_BYTES
    return _code(error) == sqlite3.SQLITE_FULL


def _is_read_only(error: BaseException, file: Path) -> bool:
    # A file system that became read-only under an open file fails with an I/O error.
    return _code(error) == sqlite3.SQLITE_READONLY or (
        _code(error) == sqlite3.SQLITE_IOERR and is_read_only(file)
    )


def _prepare(connection: sqlite3.Connection) -> None:
    connection.execute(f"PRAGMA page_size = {schema.PAGE_SIZE_BYTES}")
    schema.check(connection)
    (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
    if mode != "wal":
        raise GalleryUnusable("its file system does not allow a write-ahead log")
    connection.execute(f"PRAGMA journal_size_limit = {_KEPT_WAL_BYTES}")
    schema.migrate(connection)
    schema.require_whole(connection)
    state.write(connection, state.read(connection))  # of an older version: it gets its sum


def _code(error: BaseException) -> int | None:
    """SQLite's primary error code; the extended one says more than we need."""
    extended = getattr(error, "sqlite_errorcode", None)
    return extended & 0xFF if isinstance(extended, int) else None
