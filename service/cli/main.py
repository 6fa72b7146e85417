"""The command `seethrough` with `serve`, `classify`, `models` and `openapi`."""

import argparse
import asyncio
import io
import json
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, cast

import uvicorn
from fastapi import FastAPI
from pydantic import ValidationError

from core import __version__
from core.compute.call import Call
from core.engine import Engine
from core.errors import SeethroughError
from core.types import ImageFile
from service.app import create_app
from service.cli.care import add_care
from service.cli.check import add_check
from service.cli.command import (
    RAW,
    add_bits,
    add_command,
    add_settings,
    complain,
    settings_of,
    with_engine,
)
from service.cli.explain import add_explain
from service.cli.gallery import add_index, add_neighbors
from service.cli.inside import add_filters, add_layers
from service.cli.project import add_project
from service.connections import ConnectionLimits, Connections
from service.gate import Gate, Protocol
from service.hosts import Hosts
from service.logs import configure
from service.server import DrainingServer, connections_that_fit, sockets_for, url_of
from service.settings import PREFIX, Settings


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        arguments: without the program's name; None = the process's own.

    Returns:
        The exit code: 0 = done, 1 = it failed, 2 = it was called wrongly, 130 = Ctrl-C.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        # As stderr does: a file's name may be bytes of another encoding.
        sys.stdout.reconfigure(errors="backslashreplace")
    options = _parser().parse_args(arguments)
    try:
        result: int = options.run(options)
    except ValidationError as error:
        for each in error.errors():
            name = ".".join(map(str, each["loc"]))
            complain(f"{PREFIX}{name.upper()}={each['input']!r}: {each['msg']}")
        return 2
    except (SeethroughError, OSError) as error:
        complain(str(error))
        return 1
    except KeyboardInterrupt:
        complain("interrupted")
        return 130
    return result


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="seethrough",
        formatter_class=RAW,
        description="A trained image classifier behind a REST API, and what the network sees.",
        epilog="example:\n  seethrough serve --port 8000",
    )
    parser.add_argument("--version", action="version", version=f"seethrough {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_serve(commands)
    _add_classify(commands)
    add_explain(commands)
    add_layers(commands)
    add_filters(commands)
    add_check(commands)
    add_index(commands)
    add_neighbors(commands)
    add_project(commands)
    add_care(commands)
    _add_models(commands)
    _add_openapi(commands)
    return parser


def _add_serve(commands: Any) -> None:
    parser = add_command(
        commands,
        "serve",
        _serve,
        "Serve over HTTP until SIGTERM or Ctrl-C.",
        "seethrough serve --port 8000 --models efficientnet-lite0,torchvision:resnet50",
    )
    add_settings(parser, Settings.model_fields)


def _add_classify(commands: Any) -> None:
    parser = add_command(
        commands,
        "classify",
        _classify,
        "Classify pictures, without a server.",
        "seethrough classify --top-k 3 cat.jpg cup.png",
    )
    parser.add_argument("files", nargs="+", metavar="FILE", type=Path)
    parser.add_argument("--model", help="a served model; the default one if left out")
    parser.add_argument("--top-k", type=int, help="how many classes (5, or all of fewer)")
    add_bits(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON object per picture")
    add_settings(parser, ("models", "models_dir", "device", "max_pixels"))


def _add_models(commands: Any) -> None:
    parser = add_command(
        commands,
        "models",
        _models,
        "Load the configured models and list them.",
        "seethrough models",
    )
    add_settings(parser, ("models", "models_dir", "default_model", "device"))


def _add_openapi(commands: Any) -> None:
    parser = add_command(
        commands,
        "openapi",
        _openapi,
        "Print the OpenAPI document.",
        "seethrough openapi --output openapi/openapi.json",
    )
    parser.add_argument("--output", type=Path, help="write it to this file instead")


def _serve(options: argparse.Namespace) -> int:
    settings = settings_of(options)
    configure(settings.log_level, settings.log_format)
    engine = Engine(settings.engine_config())
    failures: list[BaseException] = []

    def give_up(error: BaseException) -> None:
        failures.append(error)
        server.should_exit = True

    app = create_app(settings, engine, on_failure=give_up)
    connections = _connections(settings, engine)
    config = uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        http=cast(
            type[asyncio.Protocol],
            partial(Protocol, connections, _gate(app, settings, engine)),
        ),
        ws="none",
        timeout_keep_alive=settings.keep_alive_s,
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,  # `service.addressing` reads them
        timeout_graceful_shutdown=int(settings.drain_timeout_s) or 1,
    )
    server = DrainingServer(
        config,
        drain=engine.drain,
        drain_delay_s=settings.drain_delay_s,
        each_second=connections.expire,
    )
    sockets = sockets_for(settings.host, settings.port)
    print(_welcome(settings), file=sys.stderr, flush=True)
    server.run(sockets)
    return 1 if failures or not server.started else 0


def _gate(app: FastAPI, settings: Settings, engine: Engine) -> Gate:
    return Gate(
        lambda coming: engine.bridge.check_admission(coming=coming),
        lambda: cast(dict[str, Any], app.openapi()["paths"]),
        metrics=engine.metrics,
        prefix=settings.root_path,
        keys=settings.api_keys,
        hosts=Hosts(settings.host, settings.allowed_hosts),
        max_body_bytes=settings.max_body_bytes,
    )


def _connections(settings: Settings, engine: Engine) -> Connections:
    limits = ConnectionLimits(
        head_bytes=settings.max_header_bytes,
        head_s=settings.header_timeout_s,
        stall_s=settings.stall_timeout_s,
        connections=connections_that_fit(settings.max_connections),
        connections_per_address=settings.max_connections_per_address,
    )
    return Connections(limits, settings.trusted_proxies, engine.metrics.registry)


def _welcome(settings: Settings) -> str:
    url = url_of(settings.host, settings.port) + settings.root_path
    return (
        f"Seethrough {__version__} is loading {', '.join(settings.all_models())}; then open\n"
        f"  {url}/      the explorer page\n"
        f"  {url}/docs  the API, to try out"
    )


def _classify(options: argparse.Namespace) -> int:
    return asyncio.run(with_engine(options, lambda engine: _classify_files(engine, options)))


async def _classify_files(engine: Engine, options: argparse.Namespace) -> int:
    failed = False
    for file in options.files:
        try:
            picture = ImageFile(file.read_bytes(), options.bits)
            result = await engine.classifier.classify(
                picture, model=options.model, top_k=options.top_k, call=Call()
            )
        except (SeethroughError, OSError) as error:
            complain(f"{file}: {error}")
            failed = True
            continue
        rows = [(each.probability, each.label, each.class_index) for each in result.predictions]
        if options.json:
            keys = ("probability", "label", "class_index")
            found = [dict(zip(keys, row, strict=True)) for row in rows]
            print(json.dumps({"file": str(file), "model": result.model, "predictions": found}))
        else:
            print(file)
            print("".join(f"  {share:7.2%}  {label} ({index})\n" for share, label, index in rows))
    return 1 if failed else 0


def _models(options: argparse.Namespace) -> int:
    return asyncio.run(with_engine(options, _list_models))


async def _list_models(engine: Engine) -> int:
    for card in engine.models.cards():
        mark = "*" if card.default else " "
        print(
            f"{mark} {card.name}  {card.channels}x{card.height}x{card.width} -> "
            f"{card.num_classes} classes, {card.feature_dim} features ({card.feature_layer}), "
            f"{card.runtime} on {card.device}"
        )
    return 0


def _openapi(options: argparse.Namespace) -> int:
    text = json.dumps(create_app(Settings(_env_file=None)).openapi(), indent=2) + "\n"
    if options.output is None:
        print(text, end="")
    else:
        options.output.parent.mkdir(parents=True, exist_ok=True)
        options.output.write_text(text, encoding="utf-8")
    return 0
