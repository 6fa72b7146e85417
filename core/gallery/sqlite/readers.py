"""`Readers`: a pool of read-only connections, each lent to one thread at a time."""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from core.errors import Draining, GalleryUnusable, StorageUnusable
from core.gallery.sqlite.database import connect_reader, translated
from core.gallery.sqlite.presence import Presence

_MAX_IDLE = 8


class Readers:
    """Connections that see one committed state each, and never wait for the writer.

    Args:
        file: of the database.
        presence: of that file.
    """

    def __init__(self, file: Path, presence: Presence) -> None:
        self._file = file
        self._presence = presence
        self._lock = threading.Lock()
        self._idle: list[sqlite3.Connection] = []
        self._closed = False

    @contextmanager
    def snapshot(self) -> Iterator[sqlite3.Connection]:
        """A connection inside one read transaction.

        Raises:
            Draining: the gallery is closed.
            GalleryUnusable: the file is damaged.
            StorageUnusable: the file is no longer there, or another one is.
        """
        connection = self._take()
        try:
            connection.execute("BEGIN")
            yield connection
        except sqlite3.DatabaseError as error:
            raise translated(error, self._file) from error
        except UnicodeDecodeError as error:  # of SQLite's own message about a damaged schema
            raise GalleryUnusable(f"{self._file} is damaged: bring back a backup") from error
        finally:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            self._give_back(connection)

    def check_open(self) -> None:
        """For readings that go on for long.

        Raises:
            Draining: the gallery is closed.
        """
        if self._closed:
            raise Draining("the gallery is closed", retry_after_s=1.0)

    def close(self) -> None:
        """Close every connection; those that are reading close when they have read."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    def _take(self) -> sqlite3.Connection:
        with self._lock:
            self.check_open()
            connection = self._idle.pop() if self._idle else None
        if connection is None:
            connection = self._connect()
        try:
            self._presence.require()  # a connection holds the log in its place, also while we close
        except StorageUnusable:
            connection.close()
            raise
        return connection

    def _connect(self) -> sqlite3.Connection:
        try:
            return connect_reader(self._file)
        except sqlite3.Error as error:
            self._presence.require()
            raise translated(error, self._file) from error

    def _give_back(self, connection: sqlite3.Connection) -> None:
        with self._lock:
            if not self._closed and len(self._idle) < _MAX_IDLE:
                self._idle.append(connection)
                return
        connection.close()
