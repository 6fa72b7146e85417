"""What a person does on the explorer page."""

from pathlib import Path

from playwright.sync_api import Page, expect

from tests.service.live import LiveServer

SLOW_MS = 60_000
SAMPLES = Path(__file__).parents[3] / "service" / "explorer" / "samples"


def see(page: Page, server: LiveServer, view: str, **state: str) -> None:
    query = "&".join(f"{name}={value}" for name, value in {"view": view, **state}.items())
    page.goto(f"{server.url}/#{query}")
    expect(page.locator("#views a[aria-current]")).to_have_text(view.capitalize())


def sample(page: Page, name: str = "coffee") -> None:
    page.get_by_role("button", name=f"Sample: {name}").click()
