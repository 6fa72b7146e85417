"""The view Inside in a real browser: layers, feature maps, one unit."""

import httpx2
import pytest
from playwright.sync_api import Page, expect

from tests.service.live import LiveServer
from tests.service.pages.explorer import SAMPLES, SLOW_MS, see

pytestmark = pytest.mark.browser


def test_inside_opens_a_layer_and_one_unit(
    page: Page, server: LiveServer, foreign: list[str]
) -> None:
    layer, asked = "blocks.1.0.conv_pw", list[str]()
    page.on("request", lambda request: asked.append(request.url))
    see(page, server, "inside", sample="chelsea")
    expect(page.locator(".layers button")).to_have_count(191)
    page.get_by_label("Filter layers").fill(layer)
    page.locator(".layers button").first.click()
    expect(page.locator(".tiles canvas")).to_have_count(16)
    expect(page.locator("img.filters")).to_be_visible()
    assert len([url for url in asked if "/v1/activations?" in url and layer in url]) == 1
    answer = httpx2.post(
        f"{server.url}/v1/activations",
        params={"layer": layer},
        content=(SAMPLES / "chelsea.jpg").read_bytes(),
        headers={"Content-Type": "image/jpeg"},
    )
    most = [f"{each['index']} · mean {each['mean']:.2f}" for each in answer.json()["most_active"]]
    assert page.locator(".tiles figcaption").all_inner_texts() == most
    page.locator(".tiles canvas").first.click(position={"x": 30, "y": 30})
    expect(page.locator(".products div")).to_have_count(16, timeout=SLOW_MS)
    expect(page.locator(".unit")).to_contain_text("the layer put out")
    expect(page.locator(".unit .outline")).to_be_visible()
    assert foreign == []


def test_inside_shows_a_network_of_ones_own(page: Page, server: LiveServer) -> None:
    see(page, server, "inside", sample="chelsea", model="fashion_mnist")
    expect(page.locator(".tiles canvas").first).to_be_visible(timeout=SLOW_MS)
    page.locator(".tiles canvas").first.press("Enter")
    expect(page.locator(".unit")).to_contain_text("the layer put out", timeout=SLOW_MS)


def test_inside_waits_for_the_layer_chosen_last(
    page: Page, server: LiveServer, foreign: list[str]
) -> None:
    page.route("**/v1/activations?*layer=conv_stem*", lambda route: None)  # no answer ever
    see(page, server, "inside", sample="chelsea", layer="conv_stem")
    expect(page.locator("#status")).to_have_text("Looking…")
    page.get_by_label("Filter layers").fill("blocks.1.0.conv_pw")
    page.locator(".layers button").first.click()
    expect(page.locator(".tiles canvas")).to_have_count(16)
    expect(page.get_by_role("heading", name="blocks.1.0.conv_pw")).to_be_visible()
    expect(page.locator("#status")).to_have_text("")
    assert foreign == []
