"""Scratch folders: for what is not finished yet; those of processes that died are cleared away."""

import fcntl
import os
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import mkdtemp
from typing import Final

PREFIX: Final = ".seethrough-scratch-"
_LOCK: Final = ".scratch-lock"
_TRIES: Final = 10

# What older versions left beside an export, beside a backup, and in the temporary directory. It has
# no lock: an older version may still run beside this one, but none writes for hours without a word.
# Others name files so, too: what is in it must be what we wrote.
_EARLIER: Final = re.compile(
    r"\..+\.parquet\.\d{1,7}|\..+\.[a-z0-9_]{8}\.part|seethrough-[a-z0-9_]{8}"
)
_BEGINS: Final = (b"PAR1", b"SQLite format 3\0")
_BESIDE: Final = ("-journal", "-wal", "-shm")
_EARLIER_HOLDS: Final = {"asked.json", "vectors.f32", "result.npz", "placement.npz"}
_OLD_S: Final = 6 * 3600.0


@contextmanager
def scratch(parent: Path) -> Iterator[Path]:
    """A new folder in another, gone afterwards; first, what dead processes left there goes.

    Raises:
        OSError: it cannot be made there.
    """
    clear(parent)
    folder, lock = _made(parent)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def clear(parent: Path) -> None:
    """Delete the scratch folders there that no living process owns.

    Each holds a file that its owner keeps locked: a number of a process says nothing where
    containers share a volume, and comes again.
    """
    with suppress(OSError):
        for folder in parent.glob(f"{PREFIX}*"):
            _clear_one(folder)
        for path in parent.iterdir():
            if _EARLIER.fullmatch(path.name):
                _clear_earlier(path)


def _clear_one(folder: Path) -> None:
    with suppress(OSError):  # it is owned, gone meanwhile, or another user's
        lock = os.open(folder / _LOCK, os.O_RDWR)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder)
        finally:
            os.close(lock)


def _clear_earlier(path: Path) -> None:
    with suppress(OSError):
        status = path.lstat()
        if status.st_uid != os.getuid() or time.time() - status.st_mtime < _OLD_S:
            return
        if path.is_file():
            with path.open("rb") as file:
                if not file.read(16).startswith(_BEGINS):
                    return
            for beside in (path, *(path.with_name(path.name + each) for each in _BESIDE)):
                beside.unlink(missing_ok=True)
        elif path.is_dir() and {each.name for each in path.iterdir()} <= _EARLIER_HOLDS:
            shutil.rmtree(path)


def _made(parent: Path) -> tuple[Path, int]:
    """A folder, and the open file whose lock says that it is owned."""
    for _ in range(_TRIES):
        try:
            folder = Path(mkdtemp(prefix=PREFIX, dir=parent))
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(parent)) from error
        lock = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT, 0o600)
        taken = False
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            taken = True
        except OSError:  # where files cannot be locked, nobody clears either
            pass
        if not taken and os.fstat(lock).st_nlink:
            return folder, lock
        os.close(lock)  # taken for a dead process's before it was locked
    raise FileNotFoundError(f"scratch folders in {parent} vanish as soon as they are made")
