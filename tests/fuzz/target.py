"""Runs one case against the service or the decoder, and says what is wrong with the outcome."""

import asyncio
import hashlib
import json
import re
import resource
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple
from urllib.parse import unquote

import numpy as np
import torch
from fastapi import FastAPI
from fastapi.testclient import TestClient

from core.engine import Engine
from core.errors import ImageRefused, InvalidValue, RequestUnreadable
from core.images.decode import ImageLimits, decode
from core.images.formats.known import FORMATS
from core.models.registry import ModelRegistry
from service.app import create_app
from service.errors import PROBLEM_TYPE
from tests.conftest import settings, wait_until_ready
from tests.fuzz.case import Case
from tests.tinycnn import TinyCNN, tiny_spec

LIMITS = ImageLimits(max_bytes=2**20, max_pixels=1_000_000)
"""Of pictures; what they may cost follows from it."""

MAX_GROWTH_MIB = 128
"""How much one case may add to the most memory the process ever had."""

MAX_SECONDS = 20.0
"""How long one case may take: some ten times what the slowest should."""

_MAY_FAIL = {
    503: {"queue_full", "not_ready", "not_yet_applied", "unavailable", "draining"},
    504: {"deadline_passed"},
    507: {"storage_full"},
}
_LEAKS = re.compile(r" at 0x|<_io|Traceback|/core/|/service/|site-packages|\.py\b")
_CONTROL = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")


class Answer(NamedTuple):
    """What the application sent."""

    status: int
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes


class Target:
    """The service with tiny models, and the decoder.

    Args:
        client: a started test client of the application.
        app: the application.
    """

    def __init__(self, client: TestClient, app: FastAPI) -> None:
        self._client = client
        self._app = app

    @property
    def document(self) -> Mapping[str, Any]:
        """The OpenAPI document."""
        return self._app.openapi()

    def faults(self, case: Case) -> list[str]:
        """What is wrong with what became of a case; empty if nothing is."""
        before = _peak_mib()
        found = self._request_faults(case) if case.path else list(_picture_faults(case.body))
        growth = _peak_mib() - before
        if growth > MAX_GROWTH_MIB:
            found.append(f"took {growth:.0f} MiB; at most {MAX_GROWTH_MIB} are right")
        return found

    def _request_faults(self, case: Case) -> list[str]:
        assert self._client.portal is not None
        try:
            answer = self._client.portal.call(self._answer, case)
        except TimeoutError:
            return [f"no answer within {MAX_SECONDS:g} s"]
        except Exception as error:
            return [f"escaped: {type(error).__name__}: {error}"]
        return [*_answer_faults(case, answer), *_name_faults(case, answer)]

    async def _answer(self, case: Case) -> Answer:
        """Speaks ASGI itself: a client library would mend or refuse what is odd."""
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": case.method,
            "path": unquote(case.path.decode("ascii")),
            "raw_path": case.path,
            "root_path": "",
            "scheme": "http",
            "query_string": case.query,
            "headers": [(b"host", b"testserver"), *case.headers],
            "client": ("testclient", 50000),
            "server": ("testserver", 80),
            "state": {},
        }
        sent: list[dict[str, Any]] = []
        pieces = [case.body[: len(case.body) // 2], case.body[len(case.body) // 2 :]]
        over = asyncio.Event()

        async def receive() -> dict[str, Any]:
            if pieces:
                return {"type": "http.request", "body": pieces.pop(0), "more_body": bool(pieces)}
            await over.wait()
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            sent.append(message)

        async with asyncio.timeout(MAX_SECONDS):
            await self._app(scope, receive, send)
        over.set()
        start, *rest = sent
        return Answer(
            start["status"],
            tuple(start.get("headers", ())),
            b"".join(each.get("body", b"") for each in rest),
        )


@contextmanager
def target() -> Iterator[Target]:
    """A service of its own, started and in the end stopped."""
    registry = ModelRegistry()
    registry.register("tiny", lambda *_: (tiny_spec("tiny"), TinyCNN()))
    registry.register("gray", lambda *_: (tiny_spec("gray", 4, 1), TinyCNN(4, 1)))
    chosen = settings(
        models="tiny,gray",
        device="cpu",
        max_pixels=LIMITS.max_pixels,
        max_body_bytes=2 * 2**20,
        deadline_s=10,
    )
    engine = Engine(chosen.engine_config(), registry)
    app = create_app(chosen, engine)
    threads = torch.get_num_threads()
    with TestClient(app) as client:
        wait_until_ready(client, engine)
        yield Target(client, app)
    torch.set_num_threads(threads)


def _peak_mib() -> float:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 2**10


def _picture_faults(content: bytes) -> Iterator[str]:
    for side in (None, 8):
        try:
            image = decode(content, LIMITS, min_side_px=side)
        except (ImageRefused, InvalidValue, RequestUnreadable) as error:
            if _LEAKS.search(str(error)):
                yield f"an error that shows our insides: {error}"
            continue
        except Exception as error:
            yield f"escaped the decoder: {type(error).__name__}: {error}"
            continue
        pixels, source = image.pixels, image.source
        if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3:
            yield f"pixels of {pixels.dtype} {pixels.shape}"
        if not (pixels.flags.c_contiguous and pixels.flags.writeable):
            yield "pixels that are not contiguous or not writable"
        if source.sha256 != hashlib.sha256(content).hexdigest() or source.format not in FORMATS:
            yield f"a wrong source: {source}"
        if source.width * source.height > LIMITS.max_pixels or source.frames < 1:
            yield f"a source beyond the limits: {source}"


def _answer_faults(case: Case, answer: Answer) -> Iterator[str]:
    for name, value in answer.headers:
        if _CONTROL.search(name + value):
            yield f"a header with a control character: {name!r}: {value!r}"
    if answer.status < 400:
        return
    if case.method == "HEAD":
        if answer.status >= 500 and answer.status not in _MAY_FAIL:
            yield f"status {answer.status} of HEAD"
        return
    kind = dict(answer.headers).get(b"content-type", b"").decode("latin-1")
    if kind.partition(";")[0] != PROBLEM_TYPE:
        yield f"status {answer.status} as {kind!r}: {answer.body[:200]!r}"
        return
    try:
        problem = json.loads(answer.body, parse_constant=_refuse)
    except ValueError as error:
        yield f"a problem that is not JSON: {error}: {answer.body[:200]!r}"
        return
    if not problem.get("code") or problem.get("status") != answer.status:
        yield f"status {answer.status} with the problem {problem}"
    if answer.status >= 500 and problem.get("code") not in _MAY_FAIL.get(answer.status, ()):
        yield f"status {answer.status}: {problem.get('code')}: {problem.get('detail')}"
    if _LEAKS.search(str(problem.get("detail"))):
        yield f"a problem that shows our insides: {problem.get('detail')}"


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} in JSON")


def _name_faults(case: Case, answer: Answer) -> Iterator[str]:
    """Of a good form with one named file: it is taken, and its name comes back."""
    if case.names is None:
        return
    if answer.status != 200:
        yield f"status {answer.status} for a good form: {answer.body[:200]!r}"
        return
    results = json.loads(answer.body)["results"]
    found = [each["name"] for each in results]
    if len(found) != 1 or found[0] not in case.names:
        yield f"the file names {found!r:.200}; right: {case.names!r:.200}"
