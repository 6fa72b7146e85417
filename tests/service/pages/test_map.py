"""The view Map in a real browser: a collection laid out, and its plot by itself."""

import io

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from tests.pictures import NAMES
from tests.service.live import LiveServer
from tests.service.pages.explorer import SLOW_MS, sample, see

pytestmark = pytest.mark.browser


def test_map_is_made_followed_and_looked_into(
    page: Page, server: LiveServer, foreign: list[str], stored: str
) -> None:
    see(page, server, "map", collection=stored)
    page.get_by_label("New map: PCA 2-D").click()
    expect(page.locator(".legend span")).to_have_count(len(NAMES), timeout=SLOW_MS)
    expect(page.locator("main")).to_contain_text("trustworthiness")
    assert _colors(page) > 20
    sample(page)
    page.get_by_role("button", name="Place the current picture").click()
    expect(page.locator("#status")).to_contain_text("falls near coffee")
    box = page.locator(".plot").bounding_box()
    assert box is not None
    page.keyboard.down("Shift")
    page.mouse.move(box["x"] + 2, box["y"] + 2)
    page.mouse.down()
    for x, y in ((0.99, 0.01), (0.99, 0.99), (0.01, 0.99)):
        page.mouse.move(box["x"] + x * box["width"], box["y"] + y * box["height"])
    page.mouse.up()
    page.keyboard.up("Shift")
    expect(page.locator("#status")).to_contain_text("12 pictures selected")
    page.get_by_label("Colors").select_option("preserved")
    expect(page.locator(".legend span")).to_have_count(2)
    assert [each for each in foreign if "GPU stall" not in each] == []


def test_map_is_made_with_the_parameters_of_its_method(
    page: Page, server: LiveServer, stored: str
) -> None:
    see(page, server, "map", collection=stored)
    page.get_by_text("Parameters", exact=True).click()
    page.get_by_label("perplexity").fill("2")
    page.get_by_label("early iterations").fill("20")
    page.get_by_label("metric").select_option("cosine")
    with page.expect_request(lambda request: request.method == "POST") as asked:
        page.get_by_label("New map: t-SNE 3-D").click()
    assert asked.value.post_data_json == {
        "method": "tsne", "dims": 3, "perplexity": 2, "early_iterations": 20, "metric": "cosine",
    }  # fmt: skip
    expect(page.locator("main")).to_contain_text("trustworthiness", timeout=SLOW_MS)


def _colors(page: Page) -> int:
    page.wait_for_timeout(300)
    with Image.open(io.BytesIO(page.locator(".plot").screenshot())) as image:
        return len(np.unique(np.asarray(image.convert("RGB")).reshape(-1, 3), axis=0))


def test_map_draws_a_hundred_thousand_points(page: Page, server: LiveServer) -> None:
    see(page, server, "look")
    drawn = page.evaluate(
        """async () => {
          const { Scatter } = await import("./assets/explorer/scatter.js");
          const host = document.createElement("div");
          host.style.height = "400px";
          document.getElementById("content").append(host);
          const plot = new Scatter(host, { hover() {}, pick() {}, select() {} });
          const points = Array.from({ length: 100000 }, () => [Math.random(), Math.random()]);
          plot.show(points, points.map(() => "#0072b2"));
          plot.paintNow();
          return { count: plot.count, near: plot.nearest([0.5, 0.5]) !== null };
        }"""
    )
    assert drawn == {"count": 100_000, "near": True}


def test_map_is_drawn_without_webgl_and_turned_in_three_dimensions(
    page: Page, server: LiveServer
) -> None:
    see(page, server, "look")
    drawn = page.evaluate(
        """async () => {
          const { Scatter } = await import("./assets/explorer/scatter.js");
          const host = document.createElement("div");
          host.style.height = "300px";
          document.getElementById("content").append(host);
          const listener = { hover() {}, pick() {}, select() {} };
          const real = HTMLCanvasElement.prototype.getContext;
          HTMLCanvasElement.prototype.getContext = function (kind, ...rest) {
            return kind === "webgl" ? null : real.call(this, kind, ...rest);
          };
          const plot = new Scatter(host, listener);
          HTMLCanvasElement.prototype.getContext = real;
          plot.show([[0, 0, 0], [1, 2, 3], [3, 1, 2]], ["#d55e00", "#0072b2", "#009e73"]);
          plot.paintNow();
          const { width, height } = plot.canvas;
          const pixels = plot.pen.getImageData(0, 0, width, height).data;
          const before = plot.onScreen(1).map((share) => share.toFixed(3)).join();
          plot.rotation = [1.5, 0.5];
          return { accelerated: plot.accelerated, painted: pixels.some((value) => value > 0),
            turned: plot.onScreen(1).map((share) => share.toFixed(3)).join() !== before };
        }"""
    )
    assert drawn == {"accelerated": False, "painted": True, "turned": True}
