"""Loads one model folder and uses it, in this process; says what is wrong with the outcome."""

import asyncio
import io
import logging
import re
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import openvino
from PIL import Image

from core.compute.call import Call
from core.config import EngineConfig
from core.engine import Engine
from core.errors import OutputNotFinite, SeethroughError
from core.types import ImageFile
from tests.fuzz.models.folder import NAME, Known
from tests.fuzz.models.statements import ASKED_FOR

MAX_CHARS = 600
"""Of an error's text, the folder's own path not counted."""

_LEAKS = re.compile(r"Traceback|weights_only|File \"| at 0x|<_io|<class ")
_CONTROL = re.compile(r"[\x00-\x1f\x7f\x85\u2028\u2029]")
# Of ours: not what a network's author asks for, nor a reader that a damaged file asks.
_MEMORY = re.compile(r"^(?!.*(?:\[model\.args\]|is damaged)).*(?:allocate|memory)", re.IGNORECASE)


def faults(directory: Path) -> list[str]:
    """What is wrong with what became of the folder in a directory; empty if nothing is."""
    folder, known = directory / NAME, Known.read(directory)
    logging.disable(logging.CRITICAL)  # thousands of refusals are no news
    left_out = patch.object(openvino, "convert_model", side_effect=RuntimeError("left out"))
    with nullcontext() if known.compiled else left_out:
        return list(_faults(folder, known.sound, known.greedy))


def _faults(folder: Path, sound: bool, greedy: bool) -> Iterator[str]:
    try:
        outcome = asyncio.run(_used(folder))
    except BaseException as error:
        if not (ASKED_FOR in str(error) and isinstance(error, ValueError | RuntimeError)):
            yield f"escaped: {type(error).__name__}: {error!s:.300}"
        return
    if not isinstance(outcome, SeethroughError):
        yield from _answer_faults(*outcome)
        return
    text = str(outcome)
    if sound:
        yield f"refused, and is sound: {text}"
    yield from text_faults(text, folder, named=not isinstance(outcome, OutputNotFinite))
    if not greedy and _MEMORY.search(text.replace(str(folder), "")):
        yield f"asked for memory: {text}"


async def _used(folder: Path) -> tuple[Any, Any] | SeethroughError:
    """A classification and a feature vector, or what they or loading were refused with."""
    try:
        config = EngineConfig(
            (folder.name,), models_dir=folder.parent, device="cpu", threads=1, decode_threads=1
        )
        engine = Engine(config)
        try:
            await engine.start()
            picture = ImageFile(PICTURE)
            return (
                await engine.classifier.classify(picture, top_k=1, call=Call.within(60)),
                await engine.classifier.feature_vector(picture, call=Call.within(60)),
            )
        finally:
            await engine.close()
    except SeethroughError as error:
        return error


def text_faults(text: str, folder: Path, *, named: bool = True) -> Iterator[str]:
    """What an error's text must not have, or must."""
    if len(text.replace(str(folder), "")) > MAX_CHARS:
        yield f"{len(text)} characters: {text:.300}"
    if _CONTROL.search(text):
        yield f"a line break or a control character: {text!r:.300}"
    if found := _LEAKS.search(text):
        yield f"shows {found[0]!r}: {text!r:.300}"
    try:
        text.encode()
    except UnicodeEncodeError:
        yield f"cannot be written: {text!r:.300}"
    if named and str(folder) not in text and repr(folder.name) not in text:
        yield f"does not say of which folder it is: {text!r:.300}"


def _answer_faults(classified: Any, features: Any) -> Iterator[str]:
    (top,) = classified.predictions
    if not np.isfinite([top.probability, top.logit]).all() or not 0 <= top.probability <= 1:
        yield f"the prediction {top}"
    if not np.isfinite(features.vector).all() or features.vector.ndim != 1:
        yield f"features of {features.vector.shape}: {features.vector}"
    try:
        top.label.encode()
    except UnicodeEncodeError:
        yield f"a label that cannot be written: {top.label!r:.100}"


def _picture() -> bytes:
    file = io.BytesIO()
    pixels = np.random.default_rng(1).integers(40, 200, (9, 13, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


PICTURE = _picture()
"""A PNG file of 13 x 9 pixels that are neither black nor white."""
