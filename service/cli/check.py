"""`seethrough check`: loads a network of one's own and tries everything on one picture."""

import argparse
import asyncio
import io
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

from PIL import Image

from core.compute.call import Call
from core.engine import Engine
from core.errors import InvalidValue, MethodUnsupported, SeethroughError
from core.explain.methods import METHODS
from core.inspect.activations import Channels
from core.inspect.unit import Position
from core.models.manifest import MANIFEST, require_name
from core.models.structure.ports import Port
from core.types import ImageFile, ModelCard
from service.cli.command import add_command, add_settings, complain, with_engine

Try = Callable[[], Awaitable[str]]
"""One capability: answers what it found, in a few words."""


def add_check(commands: Any) -> None:
    """The command and its options."""
    parser = add_command(
        commands,
        "check",
        _check,
        f"Load a network of one's own, a folder with a {MANIFEST}, and try everything once.",
        "seethrough check examples/fashion_mnist",
    )
    parser.add_argument("folder", metavar="MODEL_DIR", type=Path)
    parser.add_argument("--image", type=Path, help="a picture to try it on; one is made up if not")
    add_settings(parser, ("device", "threads"))


def _check(options: argparse.Namespace) -> int:
    folder = options.folder.resolve()
    if not (folder / MANIFEST).is_file():
        complain(f"{options.folder}: there is no {MANIFEST} in it")
        return 1
    require_name(folder)
    options.setting_models = options.setting_default_model = folder.name
    options.setting_models_dir = str(folder.parent)
    return asyncio.run(with_engine(options, lambda engine: _try_all(engine, options)))


async def _try_all(engine: Engine, options: argparse.Namespace) -> int:
    (card,) = engine.models.cards()
    print(
        f"{card.name}: {card.channels} x {card.height} x {card.width} -> {card.num_classes} "
        f"classes, {card.feature_dim} features ({card.feature_at} of {card.feature_layer}), "
        f"{card.runtime} on {card.device}"
    )
    for note in filter(None, (*card.notes, card.runtime_note)):
        print(f"note: {note}")
    picture = ImageFile(options.image.read_bytes() if options.image else _made_up(card))
    tried = [await _tried(*each) for each in _capabilities(engine, card, picture)]
    results = [each for each in tried if each is not None]
    works = f"{sum(results)} of {len(results)} work"
    print(f"{works}: ready to serve" if all(results) else works)
    return 0 if all(results) else 1


class _Lacking(Exception):
    """The network lacks what the capability is about."""


async def _tried(name: str, capability: Try) -> bool | None:
    """Whether it works; None = it does not apply."""
    start = time.perf_counter()
    try:
        found = await capability()
    except _Lacking as error:
        print(f"none  {name:<30} {error}")
        return None
    except Exception as error:  # the operator's own code may raise anything; the rest is tried
        told = str(error) if isinstance(error, SeethroughError) else repr(error)
        print(f"FAIL  {name:<30} {told}")
        return False
    print(f"ok    {name:<30} {(time.perf_counter() - start) * 1000:6.0f} ms  {found}")
    return True


def _capabilities(engine: Engine, card: ModelCard, picture: ImageFile) -> list[tuple[str, Try]]:
    """Every capability of the network, by the name of its endpoint."""

    async def classify() -> str:
        found = await engine.classifier.classify(picture, call=Call())
        return f"{found.predictions[0].label} {found.predictions[0].probability:.1%}"

    async def features() -> str:
        found = await engine.classifier.feature_vector(picture, call=Call())
        return f"{len(found.vector)} values"

    async def layers() -> str:
        table = await engine.inspector.layers(card.name, Call())
        totals = table.totals
        return f"{len(table.rows)}, {totals.parameters} parameters, {totals.macs} multiply-adds"

    async def filters() -> str:
        names = (await engine.inspector.layers(card.name, Call())).convolutions
        if not names:
            raise _Lacking("the network has no convolution")
        found = await engine.inspector.filters(card.name, names[0], None, Call())
        return f"{names[0]}: {' x '.join(map(str, found.weights.shape))}"

    async def activations() -> str:
        refused = "the network runs no layer"
        for row in (await engine.inspector.layers(card.name, Call())).rows:
            port = Port(row.name)
            try:
                found = await engine.inspector.activations(picture, port, Channels(), call=Call())
            except MethodUnsupported as error:  # as where it runs on parts of pictures
                refused = str(error)
            else:
                return f"{row.name}: {' x '.join(map(str, found.found.values.shape))}"
        raise _Lacking(refused)

    async def unit() -> str:
        names = (await engine.inspector.layers(card.name, Call())).convolutions
        if not names:
            raise _Lacking("the network has no convolution")
        position = Position(names[0], 0, 0, 0)
        found = (await engine.inspector.unit(picture, position, call=Call())).found
        return f"{names[0]}: products and bias {found.sum:.4g}, the layer {found.value:.4g}"

    def explain(name: str) -> Try:
        async def run() -> str:
            try:
                (found,) = await engine.explainer.explain(
                    picture, [METHODS[name].parameters()], call=Call()
                )
            except InvalidValue as error:  # a default does not fit this network
                raise _Lacking(str(error)) from error
            except MethodUnsupported as error:
                if name in card.explanations:
                    raise
                raise _Lacking(str(error)) from error
            values = f"{found.values.min():.3g} to {found.values.max():.3g}"
            return f"{values}{_said(found.extras)}"

        return run

    return [
        ("classify", classify),
        ("feature-vector", features),
        *((f"explain/{name}", explain(name)) for name in METHODS),
        ("layers", layers),
        ("layers/{layer}/filters", filters),
        ("activations", activations),
        ("activations/unit", unit),
    ]


def _said(extras: Mapping[str, Any]) -> str:
    """What a method found out about the network."""
    if "cells" in extras:
        height, width = extras["cells"]
        return f", {height} x {width} maps at the {extras['at']} of {extras['layer']}"
    if "coverage" in extras:
        coverage = extras["coverage"]
        left = "".join(f", not {count} {name}" for name, count in coverage["unguided"].items())
        return f", guides {coverage['guided']} activations{left}"
    return ""


def _made_up(card: ModelCard) -> bytes:
    """A PNG file twice the input's size, with edges, flat parts and a slope."""
    size = (2 * card.width, 2 * card.height)
    slope = Image.linear_gradient("L").resize(size)
    disc = Image.radial_gradient("L").resize(size).point(lambda level: 255 * (level < 96))
    file = io.BytesIO()
    Image.merge("RGB", (slope, disc, Image.eval(slope, lambda level: 255 - level))).save(
        file, "PNG"
    )
    return file.getvalue()
