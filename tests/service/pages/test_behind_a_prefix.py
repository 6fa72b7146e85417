"""The pages in a browser, behind a real proxy that publishes the service below /vision."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.service.live import LiveServer
from tests.service.proxy import published

pytestmark = pytest.mark.browser


@pytest.fixture
def url(server: LiveServer) -> Iterator[str]:
    with published(server.port, "/vision") as url:
        yield url


def test_try_it_out_calls_below_the_prefix(page: Page, url: str, photo: Path) -> None:
    page.goto(f"{url}/docs")
    block = page.locator("#operations-Seeing-classify")
    block.locator("button.opblock-summary-control").click()
    block.locator("button.try-out__btn").click()
    block.locator("input[type=file]").set_input_files(photo)
    block.locator("button.execute").click()
    table = block.locator(".live-responses-table")
    expect(table.locator("tr.response .response-col_status")).to_contain_text("200")
    expect(table).to_contain_text("espresso")
    expect(block.locator(".request-url")).to_contain_text("/vision/v1/classify")


def test_pages_with_a_slash_at_their_end_find_their_assets(page: Page, url: str) -> None:
    for name in ("docs", "redoc"):
        page.goto(f"{url}/{name}/")
        assert page.url == f"{url}/{name}"
        expect(page.get_by_text("Classify a picture").last).to_be_visible()


def test_the_explorer_classifies_below_the_prefix(page: Page, url: str, photo: Path) -> None:
    page.goto(f"{url}/")
    page.set_input_files("#file", photo)
    expect(page.locator(".prediction").first).to_contain_text("espresso")
