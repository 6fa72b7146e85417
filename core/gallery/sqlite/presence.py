"""`Presence`: whether an open database is still the files at its path. Knows no SQL."""

import logging
import os
import threading
from pathlib import Path
from typing import Final

from core.errors import StorageUnusable

_log = logging.getLogger("seethrough")

RETRY_AFTER_S: Final = 30.0
"""A volume that went may be mounted again."""


class Presence:
    """Notes which files were opened, and tells when others, or none, are in their place.

    A process goes on writing into files that were deleted or whose volume was taken away, and
    nobody ever sees again what it wrote.

    Args:
        file: of the database, which is open and has its log beside it.

    Raises:
        OSError: one of them is not there.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._known = {path: _identity(path) for path in (file, Path(f"{file}-wal"))}
        self._lock = threading.Lock()
        self._noticed = False

    def require(self) -> None:
        """Raise StorageUnusable where the files at the path are not those that are open."""
        fault = self.fault()
        if fault is not None:
            raise fault

    def require_writable(self) -> None:
        """Raise StorageUnusable where nothing can be written, too."""
        self.require()
        if is_read_only(self._file):
            raise read_only(self._file)

    def is_same_database(self) -> bool:
        """Whether the database is in its place; its log goes when it is closed."""
        return self._wrong_with(self._file) is None

    def fault(self) -> StorageUnusable | None:
        """What is wrong with the files at the path; the log has it when it begins and ends."""
        wrong = next(filter(None, map(self._wrong_with, self._known)), None)
        self._notice(wrong)
        return None if wrong is None else StorageUnusable(wrong, retry_after_s=RETRY_AFTER_S)

    def _wrong_with(self, path: Path) -> str | None:
        try:
            same = _identity(path) == self._known[path]
        except OSError as error:
            return (
                f"{path.name} is no longer in the data folder ({error.strerror}): was it deleted, "
                "or its volume unmounted?"
            )
        return None if same else f"another file is in the place of {path.name}"

    def _notice(self, wrong: str | None) -> None:
        if self._noticed == (wrong is not None):
            return
        with self._lock:
            if self._noticed == (wrong is not None):
                return
            self._noticed = wrong is not None
            if wrong is None:
                _log.warning("%s is in its place again", self._file)
            else:
                _log.critical("nothing is read or stored any more in %s: %s", self._file, wrong)


def is_read_only(file: Path) -> bool:
    """Whether its file system refuses all writes."""
    try:
        return bool(os.statvfs(file).f_flag & os.ST_RDONLY)
    except OSError:
        return False


def read_only(file: Path) -> StorageUnusable:
    """What to raise then."""
    return StorageUnusable(
        f"{file.name} cannot be written: it or its file system is read-only; nothing was changed",
        retry_after_s=RETRY_AFTER_S,
    )


def _identity(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_dev, status.st_ino
