"""Swagger UI and ReDoc, without internet."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.service.live import LiveServer

pytestmark = pytest.mark.browser


@pytest.fixture(autouse=True)
def _within_the_policy(page: Page) -> Iterator[None]:
    """What the page's policy forbids appears in the console."""
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    yield
    assert [each for each in said if "Content Security Policy" in each] == []


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
