"""How many calls of ours lie between a router's function and the network.

Counted while the network runs, from its runtime outwards: every Python frame of `core` and
`service` on the worker's thread, then, through the hop, every coroutine of ours that waits for it,
up to the router's own function, which counts. The room of the runtimes is the network: it does not.
Comprehensions count where they have a frame (before Python 3.12); dependencies of FastAPI ran and
ended before.
"""

import asyncio
import sys
from collections.abc import Iterator
from pathlib import Path
from types import CoroutineType, FrameType
from typing import Any

import pytest
from httpx2 import ASGITransport, AsyncClient

import core
from core.engine import Engine
from core.models.registry import ModelRegistry
from core.models.runtimes.incremental import ChangedWindows
from core.models.runtimes.runtime import OpenVinoRuntime, TorchRuntime
from service.app import create_app
from tests.conftest import settings
from tests.pictures import jpeg
from tests.tinycnn import TinyCNN, tiny_spec

ROOT = Path(core.__file__).parent.parent
OURS = tuple(f"{ROOT / room}/" for room in ("core", "service"))
NETWORK = f"{ROOT / 'core/models/runtimes'}/"
ROUTERS = f"{ROOT / 'service/routers'}/"


def on_this_thread() -> Iterator[FrameType]:
    """The frames of this thread, innermost first."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        yield frame
        frame = frame.f_back


def waiting(task: "asyncio.Task[Any]") -> list[FrameType]:
    """The frames of the coroutines of a task that waits, outermost first."""
    found, coroutine = [], task.get_coro()
    while isinstance(coroutine, CoroutineType):
        found.append(coroutine.cr_frame)
        coroutine = coroutine.cr_await
    return found


def path_to_network(loop: asyncio.AbstractEventLoop) -> list[str]:
    """Our functions from a router's to the network, which is about to run on this thread."""
    for task in asyncio.all_tasks(loop):
        frames = waiting(task)
        routers = [n for n, each in enumerate(frames) if in_files_of(each, ROUTERS)]
        if routers:
            frames = [*frames[routers[0] :], *reversed(list(on_this_thread()))]
            return [each.f_code.co_qualname for each in frames if is_ours(each)]
    raise AssertionError("no router waits for the network")


def in_files_of(frame: FrameType, *folders: str) -> bool:
    return frame.f_code.co_filename.startswith(folders)


def is_ours(frame: FrameType) -> bool:
    return in_files_of(frame, *OURS) and not in_files_of(frame, NETWORK)


async def deepest(address: str, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Our functions on the longest way to the network in one request."""
    registry = ModelRegistry()
    registry.register("tiny", lambda *_: (tiny_spec("tiny"), TinyCNN()))
    chosen = settings(models="tiny")
    engine = Engine(chosen.engine_config(), registry)
    await engine.start()
    loop, paths = asyncio.get_running_loop(), []

    def watched(kind: type, name: str) -> None:
        run = getattr(kind, name)

        def watch(*args: Any) -> Any:
            paths.append(path_to_network(loop))
            return run(*args)

        monkeypatch.setattr(kind, name, watch)

    watched(OpenVinoRuntime, "__call__")
    watched(TorchRuntime, "__call__")
    watched(ChangedWindows, "logits")
    transport = ASGITransport(create_app(chosen, engine))
    try:
        async with AsyncClient(transport=transport, base_url="http://test") as client:
            answer = await client.post(address, files={"image": jpeg()})
    finally:
        await engine.close()
    assert answer.status_code == 200, answer.text
    return max(paths, key=len)


@pytest.mark.parametrize(
    ("address", "most"),
    [
        ("/v1/classify", 6),
        ("/v1/explain/occlusion", 9),
    ],
)
def test_few_calls_lie_between_a_router_and_the_network(
    address: str, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = asyncio.run(deepest(address, monkeypatch))
    assert len(path) == most, "\n".join(path)
