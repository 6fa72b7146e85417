"""The commands export, import, backup, verify and reindex."""

import argparse
import asyncio
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from tqdm import tqdm

from core.collections.reindexing import reembed
from core.engine import Engine
from core.errors import GalleryUnusable, InvalidValue
from core.gallery.parquet import export_collection, import_collection
from core.gallery.sqlite.backup import back_up
from core.gallery.sqlite.local import DATABASE, LocalGallery
from service.cli.command import add_command, add_settings, complain, settings_of, with_engine
from service.cli.gallery import SETTINGS


def add_care(commands: Any) -> None:
    """All of them."""
    export = _add(
        commands,
        "export",
        _export,
        "Write a collection into a Parquet file.",
        "seethrough export holidays.parquet --collection holidays",
    )
    export.add_argument("file", metavar="FILE", type=Path)
    export.add_argument("--collection", default="default", help="which (default)")
    load = _add(
        commands,
        "import",
        _import,
        "Read a collection from a Parquet file; pictures are not embedded anew.",
        "seethrough import holidays.parquet --collection copy",
    )
    load.add_argument("file", metavar="FILE", type=Path)
    load.add_argument("--collection", help="as it was called, if left out")
    _add(
        commands,
        "backup",
        _backup,
        "Copy all that is stored into one file, also while a service runs.",
        "seethrough backup monday.db",
    ).add_argument("file", metavar="FILE", type=Path)
    _add(
        commands,
        "verify",
        _verify,
        "Compare database, indexes and brute force.",
        "seethrough verify",
    ).add_argument("--queries", type=int, default=20, help="searches compared per collection (20)")
    _add_reindex(commands)


def _add(
    commands: Any, name: str, run: Callable[[argparse.Namespace], int], text: str, example: str
) -> argparse.ArgumentParser:
    parser = add_command(commands, name, run, text, example)
    add_settings(parser, ("data_dir",))
    return parser


def _add_reindex(commands: Any) -> None:
    parser = add_command(
        commands,
        "reindex",
        lambda options: asyncio.run(
            with_engine(options, lambda engine: _reindex(engine, options), stored=True)
        ),
        "Embed a collection's pictures anew, with a model that is served; it must keep originals.",
        "seethrough reindex holidays --model efficientnet-lite0",
    )
    parser.add_argument("collection", metavar="COLLECTION")
    parser.add_argument("--model", help="the model it has, if left out")
    add_settings(parser, SETTINGS)


@contextmanager
def _gallery(options: argparse.Namespace) -> Iterator[LocalGallery]:
    """What is stored already; a folder without a gallery is left as it is."""
    folder = settings_of(options).data_dir
    if not (folder / DATABASE).is_file():
        raise GalleryUnusable(f"there is no gallery in {folder}")
    with closing(LocalGallery(folder)) as gallery:
        yield gallery


def _export(options: argparse.Namespace) -> int:
    with _gallery(options) as gallery:
        count = export_collection(gallery, options.collection, options.file)
    print(f"{options.file}: {count} items of {options.collection}")
    return 0


def _import(options: argparse.Namespace) -> int:
    with closing(LocalGallery(settings_of(options).data_dir)) as gallery:
        count = import_collection(gallery, options.file, options.collection)
    print(f"{count} items from {options.file}")
    return 0


def _backup(options: argparse.Namespace) -> int:
    back_up(settings_of(options).data_dir / DATABASE, options.file)
    print(f"{options.file}: {options.file.stat().st_size} bytes")
    return 0


def _verify(options: argparse.Namespace) -> int:
    if options.queries < 1:
        raise InvalidValue("queries", options.queries, "1 or more")
    with _gallery(options) as gallery:
        faults = gallery.verify(options.queries)
        for fault in faults:
            complain(": ".join(filter(None, (fault.collection, fault.space, fault.text))))
        if not faults:
            counts = [f"{each.spec.name} {each.count}" for each in gallery.collections()]
            print(f"database, indexes and brute force agree: {', '.join(counts)}")
    return 1 if faults else 0


async def _reindex(engine: Engine, options: argparse.Namespace) -> int:
    count = (await engine.curator.collection(options.collection)).count
    with tqdm(total=count, unit="picture", disable=None) as bar:
        done = await reembed(engine.curator, options.collection, options.model, bar.update)
    print(f"{options.collection}: {done} pictures embedded anew")
    return 0
