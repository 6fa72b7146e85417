"""`seethrough project`: lay a collection out and draw it."""

import argparse
import asyncio
from dataclasses import fields
from pathlib import Path
from typing import Any, get_args

from tqdm import tqdm

from core.collections.layout import ColorBy, Plot
from core.compute.call import Call
from core.engine import Engine
from core.projection.methods import METHODS, TSNE, USUAL_PERPLEXITY
from service.cli.command import add_command, add_settings, complain, with_engine
from service.cli.gallery import SETTINGS

_HELP = {"perplexity": f"{USUAL_PERPLEXITY}, or what fits few items, if left out"}
_KINDS = {"metric": str, "perplexity": float, "early_exaggeration": float}


def add_project(commands: Any) -> None:
    """`seethrough project`."""
    parser = add_command(
        commands,
        "project",
        lambda options: asyncio.run(
            with_engine(options, lambda engine: _project(engine, options), stored=True)
        ),
        "Lay a collection out in two or three dimensions and draw the map.",
        "seethrough project holidays --method tsne -o map.png --thumbnails",
    )
    parser.add_argument("collection", metavar="COLLECTION")
    parser.add_argument("--method", choices=METHODS, default="tsne", help="tsne")
    parser.add_argument("-o", "--output", type=Path, required=True, help="the PNG file to write")
    parser.add_argument("--sample", type=int, help="at most so many items; all if left out")
    for field in fields(TSNE):
        parser.add_argument(
            f"--{field.name.replace('_', '-')}",
            type=_KINDS.get(field.name, int),
            help=_HELP.get(field.name, f"{field.default} if left out"),
        )
    parser.add_argument("--color-by", choices=get_args(ColorBy), default="label")
    parser.add_argument("--thumbnails", action="store_true", help="draw the pictures, too")
    parser.add_argument("--size-px", type=int, default=900, help="width of the picture (900)")
    add_settings(parser, SETTINGS)


async def _project(engine: Engine, options: argparse.Namespace) -> int:
    names = ("method", "sample", *(field.name for field in fields(TSNE)))
    asked = {name: getattr(options, name) for name in names}
    how = Plot(options.color_by, options.thumbnails, options.size_px)
    given = {name: value for name, value in asked.items() if value is not None}
    begun, _ = await engine.projector.start(options.collection, given)
    now = begun
    with tqdm(total=100, unit="%", disable=None) as bar:
        async for now in engine.projector.follow(options.collection, begun.stored.id):
            bar.set_description(now.text)
            bar.update(round(100 * now.progress) - bar.n)
    if now.stored.status != "done":
        complain(f"{options.collection}: {now.stored.status}: {now.stored.reason}")
        return 1
    id = begun.stored.id
    options.output.write_bytes(await engine.projector.draw(options.collection, id, how, Call()))
    result = await engine.projector.result(options.collection, id)
    print(
        f"{options.output}: {len(result.ids)} items, trustworthiness {result.trustworthiness:.3f}, "
        f"{result.knn_preservation:.0%} of {result.neighbors} nearest neighbors preserved"
    )
    return 0
