"""A folder to flip bytes in, and all that can be read of its items."""

from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np

from core.gallery.records import Put
from core.gallery.sqlite.database import connect
from core.gallery.sqlite.local import DATABASE, LocalGallery
from core.types import ImageFile
from tests.core.gallery.records import WAIT_S, new_item, spec

ITEMS = 30
_KEEPING = {"pixel_space": True, "keep_originals": True}


def filled(folder: Path) -> None:
    with closing(LocalGallery(folder)) as gallery:
        gallery.create(spec("c", dim=64, **_KEEPING)).result()
        for seed in range(ITEMS):
            item = new_item(
                f"item {seed:02}",
                seed,
                64,
                label=f"label {seed}",
                metadata={"text": f"words of {seed:02}"},
                original=ImageFile(np.random.default_rng(seed).bytes(3000)),
            )
            gallery.write(Put("c", item)).result(WAIT_S)


def change(folder: Path, statement: str, *values: object) -> None:
    """As a disk would: no sum, no index of ours follows."""
    with closing(connect(folder / DATABASE)) as connection:
        connection.execute(statement, values)


def everything(gallery: LocalGallery) -> dict[str, Callable[[], Any]]:
    """Every read of one item, by what it reads."""
    found: dict[str, Callable[[], Any]] = {}
    for seed in range(ITEMS):
        id = f"item {seed:02}"
        found |= {
            f"{id} item": lambda id=id: gallery.item("c", id),  # type: ignore[misc]
            f"{id} vector": lambda id=id: gallery.vector("c", id).tobytes(),  # type: ignore[misc]
            f"{id} pixels": lambda id=id: gallery.pixels("c", id).tobytes(),  # type: ignore[misc]
            f"{id} thumbnail": lambda id=id: gallery.thumbnail("c", id),  # type: ignore[misc]
            f"{id} original": lambda id=id: gallery.original("c", id),  # type: ignore[misc]
        }
    return found
