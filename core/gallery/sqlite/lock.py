"""`FolderLock`: one process at a time has a data folder."""

import fcntl
import os
from pathlib import Path

from core.errors import GalleryUnusable

_FILE = "lock"


class FolderLock:
    """Held until released, or until the process ends in any way.

    Args:
        folder: made if it is missing.

    Raises:
        GalleryUnusable: another process holds it, or the folder cannot be written.
    """

    def __init__(self, folder: Path) -> None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._file = (folder / _FILE).open("a+", encoding="utf-8", errors="replace")
        except OSError as error:
            raise GalleryUnusable(f"{folder} cannot be used: {_reason(folder, error)}") from error
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._file.seek(0)
            holder = self._file.read(20).strip() or "unknown"
            self._file.close()
            raise GalleryUnusable(
                f"{folder} is in use by process {holder}: stop it, or name another folder"
            ) from error
        self._file.truncate(0)
        self._file.write(str(os.getpid()))
        self._file.flush()

    def release(self) -> None:
        """Let others have it."""
        self._file.close()


def _reason(folder: Path, error: OSError) -> str:
    """Why a folder cannot be had, in words that say what to change."""
    file = next((each for each in (folder, *folder.parents) if each.is_file()), None)
    if file is not None:
        return f"{'it' if file == folder else file} is a file, and a folder is needed"
    return str(error.strerror)
