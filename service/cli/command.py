"""What the commands share: parser, settings, an engine."""

import argparse
import sys
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any, Final, get_args

from core.engine import Engine
from core.fields import Described
from core.types import LEAST_BITS, MOST_BITS
from service.settings import PREFIX, Settings

_SETTING: Final = "setting_"
_PARAMETER: Final = "parameter_"

RAW = argparse.RawDescriptionHelpFormatter


def add_command(
    commands: Any, name: str, run: Callable[[argparse.Namespace], int], text: str, example: str
) -> argparse.ArgumentParser:
    """A command's parser, which runs `run` and has an example in its help."""
    parser: argparse.ArgumentParser = commands.add_parser(
        name,
        help=text,
        description=text,
        epilog=f"example:\n  {example}",
        formatter_class=RAW,
    )
    parser.set_defaults(run=run)
    return parser


def add_settings(parser: argparse.ArgumentParser, names: Any) -> None:
    """An option for each of these settings."""
    for name in names:
        parser.add_argument(
            f"--{name.replace('_', '-')}",
            dest=f"{_SETTING}{name}",
            metavar="VALUE",
            default=argparse.SUPPRESS,
            help=f"{Settings.model_fields[name].description} [{PREFIX}{name.upper()}]".replace(
                "%", "%%"
            ),
        )


def add_parameters(parser: argparse.ArgumentParser, known: Mapping[str, Described]) -> None:
    """An option for each of these parameters."""
    for name, each in known.items():
        parser.add_argument(
            f"--{name.replace('_', '-')}",
            dest=f"{_PARAMETER}{name}",
            default=argparse.SUPPRESS,
            help=each.meaning.sentence.replace("%", "%%"),
            **_reading(each),
        )


def parameters_given(options: argparse.Namespace, known: Mapping[str, Described]) -> dict[str, Any]:
    """Those that `add_parameters` added and somebody gave, by name."""
    given = _with_prefix(options, _PARAMETER)
    for name, value in given.items():
        parse = known[name].meaning.parse
        given[name] = value if parse is None else parse(name, value)
    return given


def _reading(each: Described) -> dict[str, Any]:
    """How argparse reads a parameter."""
    if each.choices:
        return {"choices": each.choices}
    if each.hint is bool:
        return {"action": argparse.BooleanOptionalAction}
    kinds = {each.hint, *get_args(each.hint)}  # of `int | None`, too
    kind = next((kind for kind in (int, float) if kind in kinds), str)
    return {"type": str if each.meaning.parse else kind, "metavar": "VALUE"}


def add_bits(parser: argparse.ArgumentParser) -> None:
    """The option that says how many bits of a deep sample mean something."""
    parser.add_argument(
        "--bits",
        type=int,
        choices=range(LEAST_BITS, MOST_BITS + 1),
        metavar="N",
        help="of samples deeper than 8 bits, how many mean something; if left out as the file "
        "says, or guessed of gray",
    )


def settings_of(options: argparse.Namespace) -> Settings:
    """Command line beats environment beats `.env`."""
    return Settings(**_with_prefix(options, _SETTING))


def _with_prefix(options: argparse.Namespace, prefix: str) -> dict[str, Any]:
    return {
        name.removeprefix(prefix): value
        for name, value in vars(options).items()
        if name.startswith(prefix)
    }


async def with_engine(
    options: argparse.Namespace, work: Callable[[Engine], Awaitable[int]], *, stored: bool = False
) -> int:
    """Run work on an engine that lives as long as it takes; what it answers is the exit code.

    Args:
        options: of the command.
        work: what to do.
        stored: whether it needs what is stored, which no other process may have then.
    """
    config = settings_of(options).engine_config()
    engine = Engine(config if stored else replace(config, data_dir=None))
    try:
        await engine.start()
        return await work(engine)
    finally:
        await engine.close()


def complain(text: str) -> None:
    """Say on stderr what went wrong."""
    print(f"seethrough: {text}", file=sys.stderr)
