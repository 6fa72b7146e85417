"""The explorer as a whole in a real browser: address, errors, keys, screens, screen readers."""

import urllib.request
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from tests.service.live import LiveServer, running
from tests.service.pages.explorer import SLOW_MS, sample, see

pytestmark = pytest.mark.browser

AXE = Path(__file__).parent.parent.parent / "assets" / "axe.min.js"


def test_a_picture_chosen_while_the_models_load_is_kept(
    page: Page, server: LiveServer, photo: Path
) -> None:
    waiting: list[Route] = []
    page.route("**/v1/models", lambda route: waiting.append(route))
    page.goto(f"{server.url}/")
    page.set_input_files("#file", photo)
    expect(page.locator("#preview")).to_be_visible()
    waiting[0].continue_()
    expect(page.locator(".prediction").first).to_contain_text("espresso")


def test_a_view_is_shared_by_its_address(page: Page, server: LiveServer) -> None:
    see(page, server, "look", sample="coffee", target="504")
    expect(page.locator(".prediction").first).to_contain_text("espresso")
    expect(page.get_by_label("Download grad-cam as PNG")).to_be_visible(timeout=SLOW_MS)
    assert "target=504" in page.url


def test_a_stopped_service_is_said_and_a_slow_one_waited_for(
    page: Page, server: LiveServer
) -> None:
    see(page, server, "look")
    page.route("**/v1/classify*", lambda route: route.abort())
    sample(page)
    expect(page.locator("#status")).to_contain_text("does not answer")
    page.unroute("**/v1/classify*")

    def later(route: Route) -> None:
        page.wait_for_timeout(1500)
        route.continue_()

    page.route("**/v1/classify*", later)
    sample(page, "chelsea")
    expect(page.locator("#status")).to_contain_text("Classifying")
    page.locator("#theme").click()  # the page goes on
    expect(page.locator(".prediction")).to_have_count(5)


def test_a_view_that_is_left_gives_up_what_it_asked(
    page: Page, server: LiveServer, stored: str
) -> None:
    see(page, server, "look")
    page.route("**/v1/classify*", lambda route: None)  # no answer ever
    with page.expect_event("requestfailed") as given_up:
        sample(page)
        expect(page.locator("#status")).to_have_text("Classifying…")
        page.get_by_role("link", name="Gallery").click()
    assert "/v1/classify" in given_up.value.url
    expect(page.get_by_label("Collection", exact=True)).to_have_value(stored)
    expect(page.locator("#status")).to_have_text("")


def test_a_view_that_there_is_not_is_the_first_one(
    page: Page, server: LiveServer, foreign: list[str]
) -> None:
    page.goto(f"{server.url}/#view=constructor")
    expect(page.locator("#views a[aria-current]")).to_have_text("Look")
    expect(page.get_by_text("No picture yet")).to_be_visible()
    assert foreign == []


@pytest.mark.parametrize("named", ["", "&model=unknown"])
def test_an_address_without_a_model_that_is_served_means_the_default(
    page: Page, server: LiveServer, foreign: list[str], named: str
) -> None:
    see(page, server, "look")
    page.goto(f"{server.url}/#view=inside{named}")  # in the page that is open
    expect(page.locator(".layers button")).to_have_count(191)
    expect(page.locator("#model")).to_have_value("efficientnet-lite0")
    assert "model=efficientnet-lite0" in page.url
    assert foreign == []


@pytest.mark.parametrize("view", ["look", "inside", "gallery", "map"])
def test_a_view_fits_a_narrow_screen(
    browser: Browser, server: LiveServer, stored: str, view: str
) -> None:
    context = browser.new_context(viewport={"width": 400, "height": 800})
    page = context.new_page()
    see(page, server, view, sample="coffee")
    page.wait_for_timeout(1500)
    assert page.evaluate("document.documentElement.scrollWidth") <= 400
    context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("view", ["look", "inside", "gallery", "map"])
def test_axe_finds_no_serious_violation(
    browser: Browser, server: LiveServer, stored: str, view: str, scheme: Any
) -> None:
    context = browser.new_context(color_scheme=scheme)
    page = context.new_page()
    see(page, server, view, sample="coffee")
    page.wait_for_timeout(2500)
    page.evaluate(AXE.read_text())
    found = page.evaluate("axe.run()")
    serious = [
        (each["id"], [node["html"] for node in each["nodes"]][:3])
        for each in found["violations"]
        if each["impact"] in ("serious", "critical")
    ]
    assert serious == []
    context.close()


def test_a_key_is_asked_for_and_used(browser: Browser, tmp_path: Path) -> None:
    with (tmp_path / "log").open("w") as log, running(log, api_keys="secret") as server:
        context = browser.new_context()
        page = context.new_page()
        page.goto(server.url)
        page.locator("#key-text").fill("secret")
        page.get_by_role("button", name="Use it").click()
        sample(page)
        expect(page.locator(".prediction")).to_have_count(5)
        context.close()


def test_the_policy_allows_nothing_from_elsewhere(server: LiveServer) -> None:
    with urllib.request.urlopen(server.url, timeout=30) as answer:
        policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "http" not in policy
