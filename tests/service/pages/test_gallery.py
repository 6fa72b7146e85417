"""The view Gallery in a real browser: pictures stored, found and deleted."""

from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.pictures import jpeg
from tests.service.live import LiveServer
from tests.service.pages.explorer import see

pytestmark = pytest.mark.browser


def test_gallery_shows_neighbors_in_both_spaces(
    page: Page, server: LiveServer, foreign: list[str], stored: str
) -> None:
    see(page, server, "gallery", sample="coffee", collection=stored)
    sides = page.locator(".sides > div")
    expect(sides).to_have_count(2)
    expect(sides.first.locator(".item").first).to_contain_text("coffee")
    expect(page.locator(".items").last.locator("img[src^='blob:']").first).to_be_visible()
    page.get_by_label("What is near rocket-0").click()
    expect(page.get_by_role("heading", name="Near rocket-0")).to_be_visible()
    expect(sides.first.locator(".item").first).to_contain_text("rocket")
    page.go_back()
    expect(page.get_by_role("heading", name="Near coffee.jpg")).to_be_visible()
    assert foreign == []


def test_gallery_stores_many_and_lists_what_failed(
    page: Page, server: LiveServer, tmp_path: Path
) -> None:
    files = []
    for name in ("china", "flower"):
        files.append(tmp_path / f"{name}.jpg")
        files[-1].write_bytes(jpeg(name))
    files.append(tmp_path / "broken.jpg")
    files[-1].write_bytes(b"nothing")
    page.on("dialog", lambda dialog: dialog.accept("from-the-page"))
    see(page, server, "gallery")
    page.get_by_role("button", name="New…").click()
    expect(page.get_by_label("Collection", exact=True)).to_have_value("from-the-page")
    page.locator("main input[type=file]").set_input_files(files)
    expect(page.locator("#status")).to_contain_text("2 of 3 pictures stored")
    expect(page.locator("main li.bad")).to_contain_text("broken.jpg: not a picture we take")
    expect(page.locator(".items").last.locator(".item")).to_have_count(2)
    page.locator(".item").last.get_by_role("button", name="Delete").click()
    expect(page.locator(".items").last.locator(".item")).to_have_count(1)
    page.get_by_role("button", name="Delete…").click()
    expect(page.get_by_label("Collection", exact=True)).not_to_have_value("from-the-page")
