"""The explorer in a real browser: four views on real weights and photos."""

import io
import urllib.request
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, Route, expect

from core.explain.methods import METHODS
from tests.pictures import NAMES, encode, jpeg, photo
from tests.service.live import LiveServer, running

pytestmark = pytest.mark.browser

AXE = Path(__file__).parent.parent.parent / "assets" / "axe.min.js"
SLOW_MS = 60_000
SAMPLES = Path(__file__).parents[3] / "service" / "explorer" / "samples"
PIXELS = """canvas => Array.from(
    canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data)"""


@pytest.fixture(scope="module")
def stored(server: LiveServer) -> str:
    """The default collection with twelve pictures."""
    for name in NAMES:
        for index in range(2):
            part = np.ascontiguousarray(photo(name)[30 * index :, 20 * index :])
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


def see(page: Page, server: LiveServer, view: str, **state: str) -> None:
    query = "&".join(f"{name}={value}" for name, value in {"view": view, **state}.items())
    page.goto(f"{server.url}/#{query}")
    expect(page.locator("#views a[aria-current]")).to_have_text(view.capitalize())


def sample(page: Page, name: str = "coffee") -> None:
    page.get_by_role("button", name=f"Sample: {name}").click()


# ---- Look ----


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


# ---- Inside ----


def test_inside_opens_a_layer_and_one_unit(
    page: Page, server: LiveServer, foreign: list[str]
) -> None:
    see(page, server, "inside", sample="chelsea")
    expect(page.locator(".layers button")).to_have_count(191)
    page.get_by_label("Filter layers").fill("blocks.1.0.conv_pw")
    page.locator(".layers button").first.click()
    expect(page.locator(".tiles canvas")).to_have_count(16)
    expect(page.locator("img.filters")).to_be_visible()
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


# ---- Gallery ----


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


# ---- Map ----


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
          const told = { hover() {}, pick() {}, select() {} };
          const real = HTMLCanvasElement.prototype.getContext;
          HTMLCanvasElement.prototype.getContext = function (kind, ...rest) {
            return kind === "webgl" ? null : real.call(this, kind, ...rest);
          };
          const plot = new Scatter(host, told);
          HTMLCanvasElement.prototype.getContext = real;
          plot.show([[0, 0, 0], [1, 2, 3], [3, 1, 2]], ["#d55e00", "#0072b2", "#009e73"]);
          plot.paintNow();
          const { width, height } = plot.canvas;
          const pixels = plot.pen.getImageData(0, 0, width, height).data;
          const before = plot.onScreen(1).map((share) => share.toFixed(3)).join();
          plot.turn = [1.5, 0.5];
          return { accelerated: plot.accelerated, painted: pixels.some((value) => value > 0),
            turned: plot.onScreen(1).map((share) => share.toFixed(3)).join() !== before };
        }"""
    )
    assert drawn == {"accelerated": False, "painted": True, "turned": True}


# ---- for everybody ----


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
