"""`Readers`: a pool of read-only connections, each lent to one thread at a time."""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from core.errors import Draining
from core.gallery.sqlite.database import connect_reader, translated

_MAX_IDLE = 8


class Readers:
    """Connections that see one committed state each, and never wait for the writer."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._lock = threading.Lock()
        self._idle: list[sqlite3.Connection] = []
        self._closed = False

    @contextmanager
    def snapshot(self) -> Iterator[sqlite3.Connection]:
        """A connection inside one read transaction.

        Raises:
            Draining: the gallery is closed.
            GalleryUnusable: the file is damaged.
        """
        connection = self._take()
        try:
            connection.execute("BEGIN")
            yield connection
        except sqlite3.DatabaseError as error:
            raise translated(error, self._file) from error
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
            if self._idle:
                return self._idle.pop()
        return connect_reader(self._file)

    def _give_back(self, connection: sqlite3.Connection) -> None:
        with self._lock:
            if not self._closed and len(self._idle) < _MAX_IDLE:
                self._idle.append(connection)
                return
        connection.close()
