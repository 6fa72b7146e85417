"""`seethrough project`: lay a collection out and draw it."""

import argparse
import asyncio
from pathlib import Path
from typing import Any, get_args

from tqdm import tqdm

from core.collections.plot import ColorBy, Plot
from core.compute.call import Call
from core.engine import Engine
from core.projection.methods import PROJECTION_METHODS, USUAL, every_parameter
from service.cli.command import (
    add_command,
    add_parameters,
    add_settings,
    complain,
    parameters_given,
    with_engine,
)
from service.cli.gallery import SETTINGS


def add_project(commands: Any) -> None:
    """`seethrough project`."""
    parser = add_command(
        commands,
        "project",
        lambda options: asyncio.run(
            with_engine(options, lambda engine: _project(engine, options), stored=True)
        ),
        "Lay a collection out in two or three dimensions and draw the map.",
        f"seethrough project holidays --method {USUAL} -o map.png --thumbnails",
    )
    parser.add_argument("collection", metavar="COLLECTION")
    parser.add_argument(
        "--method", choices=PROJECTION_METHODS, default=USUAL, help=f"{USUAL} if left out"
    )
    parser.add_argument("-o", "--output", type=Path, required=True, help="the PNG file to write")
    parser.add_argument("--sample", type=int, help="at most so many items; all if left out")
    add_parameters(parser, every_parameter())
    parser.add_argument("--color-by", choices=get_args(ColorBy), default="label")
    parser.add_argument("--thumbnails", action="store_true", help="draw the pictures, too")
    parser.add_argument("--size-px", type=int, default=900, help="width of the picture (900)")
    add_settings(parser, SETTINGS)


async def _project(engine: Engine, options: argparse.Namespace) -> int:
    given = parameters_given(options, every_parameter())
    wanted = {"method": options.method, "sample": options.sample, **given}
    how = Plot(options.color_by, options.thumbnails, options.size_px)
    begun, _ = await engine.projector.start(options.collection, wanted)
    now = begun
    with tqdm(total=100, unit="%", disable=None) as bar:
        async for now in await engine.projector.follow(options.collection, begun.stored.id):
            bar.set_description(now.text)
            bar.update(round(100 * now.progress) - bar.n)
    if now.stored.status != "done":
        complain(f"{options.collection}: {now.stored.status}: {now.stored.reason}")
        return 1
    id = begun.stored.id
    options.output.write_bytes(await engine.projector.draw(options.collection, id, how, Call()))
    _, result = await engine.projector.get(options.collection, id)
    assert result is not None  # it is done
    print(
        f"{options.output}: {len(result.ids)} items, trustworthiness {result.trustworthiness:.3f}, "
        f"{result.knn_preservation:.0%} of {result.neighbors} nearest neighbors preserved"
    )
    return 0
