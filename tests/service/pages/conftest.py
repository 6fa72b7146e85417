"""A real browser that can reach nothing but this server."""

import shutil
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests import pictures
from tests.pictures import NAMES, encode, jpeg
from tests.service.live import LiveServer, running

ROOT = Path(__file__).parent.parent.parent.parent
_PATIENCE_MS = 30_000  # a busy machine draws slowly
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
_ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--enable-unsafe-swiftshader",  # WebGL without a GPU
]


@pytest.fixture(scope="package")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    with (
        (tmp_path_factory.mktemp("pages") / "log").open("w") as log,
        running(log, models_dir=str(ROOT / "examples")) as server,
    ):
        yield server


# Not for the whole session: Playwright's event loop runs in this thread until it is closed, and
# tests of commands start one of their own.
@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        path = CHROMIUM or playwright.chromium.executable_path
        if not Path(path).exists():
            pytest.skip("no Chromium on this machine: make install-browser")
        browser = playwright.chromium.launch(executable_path=path, args=_ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    expect.set_options(timeout=_PATIENCE_MS)
    context = browser.new_context(viewport={"width": 1200, "height": 1000})
    yield context.new_page()
    context.close()


@pytest.fixture(scope="package")
def stored(server: LiveServer) -> str:
    """The default collection with twelve pictures."""
    for name in NAMES:
        for index in range(2):
            part = np.ascontiguousarray(pictures.photo(name)[30 * index :, 20 * index :])
            path = f"/v1/collections/default/items/{name}-{index}?label={name}"
            request = urllib.request.Request(
                server.url + path,
                data=encode(part),
                headers={"Content-Type": "image/jpeg"},
                method="PUT",
            )
            with urllib.request.urlopen(request, timeout=30) as answer:
                assert answer.status in (200, 201)
    return "default"


@pytest.fixture
def foreign(page: Page, server: LiveServer) -> list[str]:
    """Addresses outside this server that the page asked for, and errors it logged."""
    seen: list[str] = []

    def note(request: object) -> None:
        url = request.url  # type: ignore[attr-defined]
        if not url.startswith((server.url, "data:", "blob:")):
            seen.append(url)

    page.on("request", note)
    page.on("pageerror", lambda error: seen.append(str(error)))
    page.on("console", lambda said: seen.append(said.text) if said.type == "error" else None)
    return seen


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    file = tmp_path / "cup.jpg"
    file.write_bytes(jpeg("coffee"))
    return file
