"""`Reserve`: space that is kept for what makes space: removals on a full disk need some, too."""

import os
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Final

RESERVE_BYTES: Final = 2**20
SHORT_BYTES: Final = 64 * 2**20
"""With less than this left, the log is kept short."""


class Reserve:
    """A file of nothing, deleted when its space is needed, and made again when there is some.

    Args:
        file: where; made now, if the disk is not full.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._kept = _size_bytes(file) >= RESERVE_BYTES
        self.restore()

    def give_up(self) -> None:
        """Let others have the space."""
        with suppress(OSError):
            self._file.unlink(missing_ok=True)
            self._kept = False

    def is_space_short(self) -> bool:
        """Whether the disk is nearly full."""
        try:
            return shutil.disk_usage(self._file.parent).free < SHORT_BYTES
        except OSError:
            return False

    def restore(self) -> None:
        """Take the space again, unless it is taken or there is none."""
        if self._kept:
            return
        try:
            with self._file.open("wb") as out:
                os.posix_fallocate(out.fileno(), 0, RESERVE_BYTES)
            self._kept = True
        except OSError:
            self.give_up()


def _size_bytes(file: Path) -> int:
    """Bytes on the disk: a file that is only said to be long keeps no space."""
    try:
        return file.stat().st_blocks * 512
    except OSError:
        return 0
