"""The commands `index` and `neighbors`."""

import argparse
import asyncio
import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from tqdm import tqdm

from core.collections.bulk import FileOutcome, index_folder, pictures_in
from core.collections.finder import ImageSeed, Search
from core.compute.call import Call
from core.engine import Engine
from core.errors import InvalidValue, UnknownCollection
from core.gallery.records import METRICS, SPACES
from core.models.structure.ports import ATS
from core.types import ImageFile
from service.cli.command import add_bits, add_command, add_settings, complain, with_engine

SETTINGS = ("data_dir", "models", "models_dir", "default_model", "device", "max_pixels")

_CREATION = ("model", "layer", "at", "metric", "pixel_space", "keep_originals")


def add_index(commands: Any) -> None:
    """`seethrough index`."""
    parser = add_command(
        commands,
        "index",
        lambda options: asyncio.run(
            with_engine(options, lambda engine: _index(engine, options), stored=True)
        ),
        "Store every picture of a folder; begun again, it goes on where it stopped.",
        "seethrough index photos --collection holidays --labels",
    )
    parser.add_argument("folder", metavar="FOLDER", type=Path)
    parser.add_argument("--collection", required=True, help="made if it is missing")
    parser.add_argument(
        "--labels", action="store_true", help="the first folder of a path is the label"
    )
    add_bits(parser)
    new = parser.add_argument_group("of a collection that is made")
    new.add_argument("--model", help="a served model; the default one if left out")
    new.add_argument("--layer", help="whose output is stored; the feature vector if left out")
    new.add_argument("--at", choices=ATS, help="what leaves the layer is stored, or what enters it")
    new.add_argument("--metric", choices=METRICS, help="how distance is measured (l2)")
    new.add_argument(
        "--pixel-space", action="store_true", default=None, help="also keep 32 x 32 pixels"
    )
    new.add_argument(
        "--keep-originals", action="store_true", default=None, help="also keep the files"
    )
    add_settings(parser, SETTINGS)


def add_neighbors(commands: Any) -> None:
    """`seethrough neighbors`."""
    parser = add_command(
        commands,
        "neighbors",
        lambda options: asyncio.run(
            with_engine(options, lambda engine: _neighbors(engine, options), stored=True)
        ),
        "Find the stored pictures nearest to one.",
        "seethrough neighbors cat.jpg --collection holidays -k 5 -o near.png",
    )
    parser.add_argument("file", metavar="FILE", type=Path)
    parser.add_argument("--collection", default="default", help="where to look (default)")
    parser.add_argument("-k", type=int, default=10, help="how many (10)")
    add_bits(parser)
    parser.add_argument("--label", help="only items with this label")
    parser.add_argument("--space", choices=SPACES, default=SPACES[0])
    parser.add_argument("--exact", action="store_true", help="never approximate")
    parser.add_argument("-o", "--output", type=Path, help="also draw them into this PNG file")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    add_settings(parser, SETTINGS)


async def _index(engine: Engine, options: argparse.Namespace) -> int:
    files = pictures_in(options.folder)
    await _make(engine, options)
    outcomes: list[FileOutcome] = []
    with tqdm(total=len(files), unit="picture", disable=None) as bar:
        async for outcome in index_folder(
            engine.curator,
            options.collection,
            options.folder,
            files,
            labels=options.labels,
            bits=options.bits,
        ):
            outcomes.append(outcome)
            bar.update()
    return _report(options.collection, outcomes)


async def _make(engine: Engine, options: argparse.Namespace) -> None:
    """The collection is there afterwards, and is what the options say."""
    wanted = {name: getattr(options, name) for name in _CREATION}
    given = {name: value for name, value in wanted.items() if value is not None}
    try:
        spec = (await engine.curator.collection(options.collection)).spec
    except UnknownCollection:
        await engine.curator.create(options.collection, **given, call=Call())
        return
    for name, value in given.items():
        if getattr(spec, name) != value:
            raise InvalidValue(name, value, f"{getattr(spec, name)}, as {spec.name!r} has it")


def _report(collection: str, outcomes: list[FileOutcome]) -> int:
    fates = Counter(outcome.fate for outcome in outcomes)
    failed = sorted(
        (outcome for outcome in outcomes if outcome.fate == "failed"),
        key=lambda outcome: outcome.file,
    )
    print(
        f"{collection}: {fates['stored']} stored, {fates['replaced']} replaced, "
        f"{fates['unchanged']} unchanged, {len(failed)} failed"
    )
    for outcome in failed:
        complain(f"{outcome.file}: {outcome.problem}")
    return 1 if failed else 0


async def _neighbors(engine: Engine, options: argparse.Namespace) -> int:
    search = Search(k=options.k, space=options.space, label=options.label, exact=options.exact)
    seed = ImageSeed(ImageFile(options.file.read_bytes(), options.bits))
    found = await engine.finder.nearest(options.collection, seed, search, Call())
    if options.output is not None:
        options.output.write_bytes(await engine.finder.draw(found, Call()))
    near = found.neighbors
    rows = [
        {"id": each.item.id, "label": each.item.label, "distance": each.distance}
        for each in near.found
    ]
    if options.json:
        print(json.dumps({"metric": near.metric, "exact": near.exact, "neighbors": rows}))
        return 0
    for row in rows:
        print(
            f"{row['distance']:10.4f}  {row['id']}" + (f"  ({row['label']})" * bool(row["label"]))
        )
    if near.recall is not None:
        print(f"approximate: finds {near.recall:.1%} of true neighbors", file=sys.stderr)
    return 0
