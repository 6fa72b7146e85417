"""`seethrough explain METHOD`: each method with its own options."""

import argparse
import asyncio
from pathlib import Path
from typing import Any, get_args

from core.compute.call import Call
from core.engine import Engine
from core.explain.method import Method
from core.explain.methods import METHODS
from core.fields import described
from core.render.overlay import Drawing, DrawingSize, Style
from core.types import ImageFile, Prediction
from service.cli.command import (
    RAW,
    add_bits,
    add_command,
    add_parameters,
    add_settings,
    parameters_given,
    with_engine,
)


def add_explain(commands: Any) -> None:
    """`seethrough explain METHOD`."""
    parser = add_command(
        commands,
        "explain",
        _explain,
        "Draw why the network answers as it does, without a server.",
        "seethrough explain occlusion cat.jpg -o cat-occlusion.png --target 'tiger cat'",
    )
    methods = parser.add_subparsers(required=True, metavar="METHOD", dest="method")
    for method in METHODS.values():
        _add_method(methods, method)


def _add_method(methods: Any, method: Method[Any]) -> None:
    parser = methods.add_parser(
        method.name,
        help=method.text.splitlines()[0].replace("%", "%%"),
        description=method.text,
        epilog=f"example:\n  seethrough explain {method.name} cat.jpg -o why.png",
        formatter_class=RAW,
    )
    parser.add_argument("file", metavar="FILE", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True, help="the PNG file to write")
    parser.add_argument("--model", help="a served model; the default one if left out")
    add_bits(parser)
    parser.add_argument("--target", help="class index or exact label; the top one if left out")
    add_parameters(parser, described(method.parameters))
    for name, kind in (("style", Style), ("size", DrawingSize)):
        parser.add_argument(f"--{name}", choices=get_args(kind), default=get_args(kind)[0])
    add_settings(parser, ("models", "models_dir", "device", "max_pixels"))


def _explain(options: argparse.Namespace) -> int:
    return asyncio.run(with_engine(options, lambda engine: _draw(engine, options)))


async def _draw(engine: Engine, options: argparse.Namespace) -> int:
    kind = METHODS[options.method].parameters
    (found,) = await engine.explainer.explain(
        ImageFile(options.file.read_bytes(), options.bits),
        [kind(**parameters_given(options, described(kind)))],
        model=options.model,
        target=options.target,
        keep_original=options.size == "original",
        call=Call(),
    )
    drawing = Drawing(style=options.style, size=options.size)
    options.output.write_bytes(await engine.explainer.draw(found, drawing, Call()))
    assert isinstance(found.target, Prediction)  # no part of a layer was asked for
    print(f"{options.output}: {found.method} of {found.target.label} ({found.target.class_index})")
    return 0
