"""What may happen to the files of an index while no server runs."""

import shutil
from pathlib import Path

import numpy as np

KINDS = ("cut off", "bytes flipped", "deleted", "older copy")


def damage(file: Path, kind: str, copies: Path, random: np.random.Generator) -> bool:
    """Do it.

    Returns:
        Whether the file cannot be believed any more; an older copy may be caught up with.
    """
    if not file.exists():
        return False
    if kind == "deleted":
        file.unlink()
    elif kind == "cut off":
        content = file.read_bytes()
        file.write_bytes(content[: random.integers(len(content))])
    elif kind == "bytes flipped":
        content = bytearray(file.read_bytes())
        for offset in random.integers(len(content), size=random.integers(1, 9)):
            content[offset] ^= int(random.integers(1, 256))
        file.write_bytes(content)
    elif (copies / file.name).exists():
        shutil.copy(copies / file.name, file)
    return kind != "older copy"


def keep_copies(folder: Path, copies: Path) -> None:
    """For a later "older copy"."""
    copies.mkdir(exist_ok=True)
    for file in folder.glob("*.index"):
        shutil.copy(file, copies)
