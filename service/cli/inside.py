"""The commands `layers` and `filters`."""

import argparse
import asyncio
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, get_args

from core.compute.call import Call
from core.engine import Engine
from core.errors import ModelUnusable
from core.inspect.selection import Selection
from core.inspect.table import LayerRow, LayerTable, Totals
from core.render.tiles import Scaling
from service.cli.command import add_command, add_settings, with_engine
from service.schemas.inspecting import LayersPublic

_HEADS = ("layer", "type", "input", "output", "parameters", "macs", "follows")
_MAX_FOLLOWED = 2


def add_layers(commands: Any) -> None:
    """The command that prints a model's layers."""
    parser = add_command(
        commands,
        "layers",
        _layers,
        "List a model's layers in order of execution.",
        "seethrough layers torchvision:resnet50",
    )
    _add_model(parser)
    parser.add_argument("--json", action="store_true", help="print what the API answers")
    add_settings(parser, ("models_dir", "device"))


def add_filters(commands: Any) -> None:
    """The command that draws a convolution's filters."""
    parser = add_command(
        commands,
        "filters",
        _filters,
        "Draw the filters of a convolution.",
        "seethrough filters efficientnet-lite0 -o filters.png",
    )
    _add_model(parser)
    parser.add_argument("-o", "--output", type=Path, required=True, help="the PNG file to write")
    parser.add_argument("--layer", help="a convolution; the first one if left out")
    parser.add_argument("--channels", help="only these filters, such as 0-15,20")
    parser.add_argument(
        "--scale", choices=get_args(Scaling), default="each",
        help="each filter on its own scale, or one for all",
    )  # fmt: skip
    add_settings(parser, ("models_dir", "device"))


def _add_model(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", metavar="MODEL", help="any model that can be served")


def _on_model(
    options: argparse.Namespace, work: Callable[[Engine, argparse.Namespace], Awaitable[int]]
) -> int:
    """Run work on an engine that serves this one model, whatever the environment says."""
    options.setting_models = options.setting_default_model = options.model
    return asyncio.run(with_engine(options, lambda engine: work(engine, options)))


def _layers(options: argparse.Namespace) -> int:
    return _on_model(options, _list_layers)


async def _list_layers(engine: Engine, options: argparse.Namespace) -> int:
    table = await engine.inspector.layers(options.model, Call())
    if options.json:
        print(LayersPublic.of(options.model, table).model_dump_json())
    else:
        print(_aligned(table))
    return 0


def _filters(options: argparse.Namespace) -> int:
    return _on_model(options, _draw_filters)


async def _draw_filters(engine: Engine, options: argparse.Namespace) -> int:
    model, call = options.model, Call()
    selection = None if options.channels is None else Selection.parse(options.channels)
    layer = options.layer or _first(
        (await engine.inspector.layers(model, call)).convolutions, model
    )
    found = await engine.inspector.filters(model, layer, selection, call)
    options.output.write_bytes(await engine.inspector.draw(found, options.scale, call))
    count, *shape = found.shape
    print(f"{options.output}: {len(found.indices)} of {count} filters of {layer}, {_sides(shape)}")
    return 0


def _first(convolutions: Sequence[str], model: str) -> str:
    if not convolutions:
        raise ModelUnusable(f"model {model!r} has no convolution, and so no filters")
    return convolutions[0]


def _aligned(table: LayerTable) -> str:
    """Columns of text, figures to the right; totals last."""
    rows = [_HEADS, *map(_cells, table.rows)]
    rows.append(_sum("elsewhere", table.elsewhere))
    rows.append(_sum("total", table.totals))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = (
        "  ".join(
            cell.rjust(width) if head in ("parameters", "macs") else cell.ljust(width)
            for cell, width, head in zip(row, widths, _HEADS, strict=True)
        )
        for row in rows
    )
    return "\n".join(line.rstrip() for line in lines)


def _cells(row: LayerRow) -> tuple[str, ...]:
    followed = list(row.follows[:_MAX_FOLLOWED])
    if len(row.follows) > _MAX_FOLLOWED:
        followed.append(f"{len(row.follows) - _MAX_FOLLOWED} more")
    shapes = _sides(row.input_shape), _sides(row.output_shape)
    figures = f"{row.parameters:,}", f"{row.macs:,}"
    return row.name, _described(row), *shapes, *figures, ", ".join(followed)


def _described(row: LayerRow) -> str:
    if row.kernel is None:
        return row.type
    stride = f" /{row.stride[0]}" if row.stride and max(row.stride) > 1 else ""
    return f"{row.type} {_sides(row.kernel)}{stride}"


def _sum(name: str, totals: Totals) -> tuple[str, ...]:
    return name, "", "", "", f"{totals.parameters:,}", f"{totals.macs:,}", ""


def _sides(shape: Sequence[int]) -> str:
    return "x".join(map(str, shape)) or "-"
