"""The view Look in a real browser, on real weights and photos."""

import io
import urllib.request
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from core.explain.methods import METHODS
from tests.service.live import LiveServer
from tests.service.pages.explorer import SAMPLES, SLOW_MS, sample, see

pytestmark = pytest.mark.browser

PIXELS = """canvas => Array.from(
    canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data)"""


def test_look_says_what_it_is_and_why(
    page: Page, server: LiveServer, foreign: list[str], photo: Path
) -> None:
    see(page, server, "look")
    page.set_input_files("#file", photo)
    expect(page.locator(".prediction")).to_have_count(5)
    expect(page.locator(".prediction").first).to_contain_text("espresso")
    expect(page.locator("#facts")).to_contain_text("JPEG")
    expect(page.locator(".explanation")).to_have_count(len(METHODS))
    expect(page.get_by_label("Download occlusion as PNG")).to_be_visible(timeout=SLOW_MS)
    expect(page.locator(".figures").first).to_contain_text("insertion", timeout=SLOW_MS)
    assert foreign == []


def test_look_explains_the_class_that_is_clicked(
    page: Page, server: LiveServer, foreign: list[str]
) -> None:
    see(page, server, "look")
    sample(page)
    page.locator(".prediction").nth(1).click()
    expect(page.locator(".prediction").nth(1)).to_have_attribute("aria-pressed", "true")
    assert "target=" in page.url
    page.get_by_label("Search all classes").fill("teapot")
    page.get_by_role("button", name="teapot").click()
    assert "target=849" in page.url
    assert foreign == []


def test_look_draws_maps_as_chosen_without_asking_again(
    page: Page, server: LiveServer, foreign: list[str]
) -> None:
    see(page, server, "look")
    sample(page, "rocket")
    canvas = page.get_by_label("Grad-CAM", exact=True).locator("canvas")
    expect(page.get_by_label("Download occlusion as PNG")).to_be_visible(timeout=SLOW_MS)
    expect(page.locator(".figures").last).to_contain_text("insertion", timeout=SLOW_MS)
    expect(page.locator(".figures").first).to_contain_text("insertion", timeout=SLOW_MS)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    before = canvas.screenshot()
    page.get_by_label("Opacity").fill("0.9")
    stronger = canvas.screenshot()
    page.get_by_label("Style").select_option("mask")
    mask = canvas.screenshot()
    assert len({before, stronger, mask}) == 3
    assert asked == []
    assert foreign == []


def test_look_asks_for_each_map_once(page: Page, server: LiveServer) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    see(page, server, "look")
    sample(page)
    expect(page.locator(".figures").nth(len(METHODS) - 1)).to_contain_text(
        "insertion", timeout=SLOW_MS
    )
    for name in METHODS:
        expect(page.get_by_label(f"Download {name} as PNG")).to_be_visible(timeout=SLOW_MS)
        assert sum(f"/v1/explain/{name}?" in url for url in asked) == 1
    assert sum("/v1/view" in url for url in asked) == 1


@pytest.mark.parametrize("method", ["grad-cam", "integrated-gradients"])
def test_look_draws_what_the_services_picture_shows(
    page: Page, server: LiveServer, method: str
) -> None:
    see(page, server, "look", sample="coffee", target="504")
    expect(page.get_by_label(f"Download {method} as PNG")).to_be_visible(timeout=SLOW_MS)
    photo = (SAMPLES / "coffee.jpg").read_bytes()
    canvas = page.locator("section.explanation", has=page.get_by_label(f"Download {method} as PNG"))
    for style in ("overlay", "mask", "cutout"):
        page.get_by_label("Style").select_option(style)
        drawn = canvas.locator("canvas").evaluate(PIXELS)
        query = f"target=504&format=png&style={style}"
        request = urllib.request.Request(
            f"{server.url}/v1/explain/{method}?{query}",
            data=photo,
            headers={"Content-Type": "image/jpeg"},
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            theirs = np.asarray(Image.open(io.BytesIO(answer.read())), dtype=int)
        ours = np.array(drawn, dtype=int).reshape(224, 224, 4)[..., :3]
        assert np.mean(np.abs(ours - theirs).max(2) <= 2) > 0.999, style


def test_look_shows_what_hiding_a_part_does(page: Page, server: LiveServer) -> None:
    see(page, server, "look")
    sample(page)
    canvas = page.get_by_label("Occlusion", exact=True).locator("canvas")
    expect(page.get_by_label("Download occlusion as PNG")).to_be_visible(timeout=SLOW_MS)
    canvas.focus()
    note = page.locator(".explanation").first.locator(".note")
    expect(note).to_contain_text("instead of")
    first = note.inner_text()
    for _ in range(4):
        page.keyboard.press("ArrowLeft")
    assert note.inner_text() != first
    expect(page.locator(".outline").first).to_be_visible()


def test_a_file_that_is_no_picture_is_named(page: Page, server: LiveServer, tmp_path: Path) -> None:
    bad = tmp_path / "bad.jpg"
    bad.write_text("text")
    see(page, server, "look")
    page.set_input_files("#file", bad)
    expect(page.locator("#status")).to_contain_text("not a picture we take")
