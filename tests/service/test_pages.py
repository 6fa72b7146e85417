"""The pages in a real browser that can reach nothing but this server."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect, sync_playwright

from tests.pictures import jpeg
from tests.service.live import LiveServer, running

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine"),
]
_ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    with (
        (tmp_path_factory.mktemp("pages") / "log").open("w") as log,
        running(log) as server,
    ):
        yield server


@pytest.fixture(scope="module")
def page(server: LiveServer) -> Iterator[Page]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=_ARGUMENTS)
        page = browser.new_page(viewport={"width": 1200, "height": 1000})
        yield page
        browser.close()


@pytest.fixture
def foreign(page: Page, server: LiveServer) -> Iterator[list[str]]:
    """Addresses outside this server that the page asked for, and errors it logged."""
    seen: list[str] = []

    def note(request: object) -> None:
        url = request.url  # type: ignore[attr-defined]
        if not url.startswith((server.url, "data:", "blob:")):
            seen.append(url)

    page.on("request", note)
    page.on("pageerror", lambda error: seen.append(str(error)))
    yield seen
    page.remove_listener("request", note)


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    file = tmp_path / "cup.jpg"
    file.write_bytes(jpeg("coffee"))
    return file


def test_the_explorer_classifies_a_photo(
    page: Page, server: LiveServer, foreign: list[str], photo: Path
) -> None:
    page.goto(server.url)
    page.set_input_files("#file", photo)
    expect(page.locator("#predictions li")).to_have_count(5)
    expect(page.locator("#predictions li").first).to_contain_text("espresso")
    expect(page.locator("#facts")).to_contain_text("JPEG")
    assert foreign == []


def test_the_explorer_explains_the_class_that_is_clicked(
    page: Page, server: LiveServer, foreign: list[str], photo: Path
) -> None:
    page.goto(server.url)
    page.set_input_files("#file", photo)
    page.select_option("#method", "grad-cam")
    page.locator("#predictions li").nth(1).click()
    expect(page.locator("#map")).to_be_visible()
    expect(page.locator("#why")).to_contain_text("ms")
    expect(page.locator("#curl")).to_contain_text("target=")
    assert foreign == []


def test_the_explorer_shows_why_a_file_was_refused(
    page: Page, server: LiveServer, tmp_path: Path
) -> None:
    bad = tmp_path / "bad.jpg"
    bad.write_text("text")
    page.goto(server.url)
    page.set_input_files("#file", bad)
    expect(page.locator("#status")).to_contain_text("not a picture we take")


def test_swagger_ui_uploads_one_file(
    page: Page, server: LiveServer, foreign: list[str], photo: Path
) -> None:
    page.goto(f"{server.url}/docs")
    block = page.locator("#operations-Seeing-classify")
    block.locator("button.opblock-summary-control").click()
    block.locator("button.try-out__btn").click()
    block.locator("input[type=file]").set_input_files(photo)
    block.locator("button.execute").click()
    expect(block.locator(".live-responses-table tr.response .response-col_status")).to_contain_text(
        "200"
    )
    expect(block.locator(".live-responses-table")).to_contain_text("espresso")
    assert foreign == []


def test_swagger_ui_uploads_many_files(page: Page, server: LiveServer, photo: Path) -> None:
    page.goto(f"{server.url}/docs")
    block = page.locator("#operations-Seeing-classify_many")
    block.locator("button.opblock-summary-control").click()
    block.locator("button.try-out__btn").click()
    for number in range(2):
        block.locator("button.json-schema-form-item-add").click()
        block.locator("input[type=file]").nth(number).set_input_files(photo)
    block.locator("button.execute").click()
    table = block.locator(".live-responses-table")
    expect(table.locator("tr.response .response-col_status")).to_contain_text("200")
    expect(table.locator("tr.response .response-col_description")).to_contain_text('"results"')
    assert table.inner_text().count("espresso") == 2


def test_redoc_works_without_internet(page: Page, server: LiveServer, foreign: list[str]) -> None:
    page.goto(f"{server.url}/redoc")
    expect(page.get_by_role("heading", name="Classify a picture").first).to_be_visible()
    assert foreign == []
