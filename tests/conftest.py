"""Fixtures that cost something: the real default model, loaded once."""

import ctypes
import gc
import logging
import mmap
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import torch
from fastapi.testclient import TestClient

from core.compute.bridge import State
from core.engine import Engine
from core.models.loaded import LoadedModel
from core.models.registry import ModelRegistry, standard_registry
from core.models.sources import DEFAULT_MODEL
from service.app import create_app
from service.settings import Settings
from tests.tinycnn import TinyCNN, tiny_spec


@pytest.fixture(autouse=True)
def _logging_as_it_was() -> Iterator[None]:
    """A command sends the log to the stderr of its test, which is closed after it."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


MUCH_BYTES = 64 * 2**20


def resident_bytes() -> int:
    """Of this process; 0 where that is not known."""
    statm = Path("/proc/self/statm")
    return int(statm.read_text().split()[1]) * mmap.PAGESIZE if statm.exists() else 0


@pytest.fixture(autouse=True, scope="module")
def _memory_given_back() -> Iterator[None]:
    """What a module's tests have used goes back to the system, which the allocator puts off.

    Where they used much: going through all objects takes more than half a second.
    """
    before = resident_bytes()
    yield
    if before and resident_bytes() < before + MUCH_BYTES:
        return
    gc.collect()
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc's
        if trim is not None:
            trim(0)


@pytest.fixture(scope="session")
def lite0() -> LoadedModel:
    """The default model with its real weights."""
    return standard_registry().load(DEFAULT_MODEL, torch.device("cpu"))


@pytest.fixture(scope="session")
def registry(lite0: LoadedModel) -> ModelRegistry:
    """Two tiny models, and the default one without its cost of loading."""
    registry = ModelRegistry()
    registry.register(DEFAULT_MODEL, lambda *_: (lite0.spec, lite0.module))
    registry.register("tiny", lambda *_: (tiny_spec("tiny"), TinyCNN()))
    registry.register("gray", lambda *_: (tiny_spec("gray", 4, 1), TinyCNN(4, 1)))
    return registry


def settings(**given: object) -> Settings:
    """Settings that do not depend on the machine's environment, with a new place for data."""
    if "data_dir" not in given:
        folder = TemporaryDirectory(prefix="seethrough-")
        _FOLDERS.append(folder)  # as long as the tests run
        given["data_dir"] = folder.name
    given.setdefault("allowed_hosts", "testserver,test")  # what test clients call it
    return Settings(_env_file=None, **given)  # type: ignore[call-arg]


_FOLDERS: list[TemporaryDirectory[str]] = []


def wait_until_ready(client: TestClient, engine: Engine) -> None:
    """Models load in the background; a request is refused until they are there."""
    for _ in range(2000):
        if engine.bridge.state is State.READY:
            return
        client.get("/health/live")
        time.sleep(0.02)  # a busy machine loads slowly
    raise AssertionError(f"the engine is still {engine.bridge.state}")


@pytest.fixture(scope="session")
def client(registry: ModelRegistry) -> Iterator[TestClient]:
    """The application with three models."""
    chosen = settings(models=f"{DEFAULT_MODEL},tiny,gray")
    engine = Engine(chosen.engine_config(), registry)
    with TestClient(create_app(chosen, engine)) as client:
        wait_until_ready(client, engine)
        yield client
