"""`python -m examples.page_pictures`: pictures of the views of the page for the documentation.

Each is taken light and dark, wide and narrow.
A server of its own learns to tell parts of two photographs apart (tests/data/photos, which may be copied freely) and
beside them has what every installation has. Writes docs/figures/page.
"""

from __future__ import annotations

import io
import shutil
import sys
import tempfile
from collections.abc import Callable, Mapping
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import numpy as np
from PIL import Image

from app.cli.launch import ServerProcess

if TYPE_CHECKING:
    from playwright.sync_api import Page

ROOT = Path(__file__).parents[1]
PHOTOS = ROOT / "tests" / "data" / "photos"
FIGURES = ROOT / "docs" / "figures" / "page"
SIZES: Mapping[str, tuple[int, int]] = {"wide": (1280, 800), "narrow": (390, 800)}
COLOURS = 256
CLASSES: Mapping[str, str] = {"cat": "chelsea.jpg", "coffee": "coffee.jpg"}
EACH = 12
MINUTE = 60_000


def main() -> None:
    """Write the pictures anew."""
    from playwright.sync_api import sync_playwright  # noqa: PLC0415 - only this script wants it

    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if program is None:
        sys.exit("There is no Chromium: apt-get install chromium")
    FIGURES.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as place, sync_playwright() as playwright:
        folder = Path(place)
        for name, photo in CLASSES.items():
            crops(folder / "things" / name, PHOTOS / photo)
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        with ServerProcess(folder / "data", folder / "log") as url:
            train(url)
            page = browser.new_page(reduced_motion="reduce")
            page.set_default_timeout(5 * MINUTE)
            for view, show in VIEWS.items():
                page.set_viewport_size({"width": 1280, "height": 800})
                page.emulate_media(color_scheme="light")
                show(page, url, folder)
                for scheme, size in product(("light", "dark"), SIZES):
                    take(page, scheme, size, TOPS.get(view, "body"), FIGURES / f"{view}-{scheme}-{size}.png")
        browser.close()
    print(f"{sum(file.stat().st_size for file in FIGURES.iterdir()) / 1e6:.2f} MB in {FIGURES}")


def crops(folder: Path, photo: Path) -> None:
    """Write square parts of a photograph."""
    folder.mkdir(parents=True)
    draw = np.random.default_rng(0)
    with Image.open(photo) as image:
        side = min(image.size)
        for number in range(EACH):
            part = int(draw.uniform(0.6, 0.95) * side)
            left, top = (int(draw.uniform(0, length - part)) for length in image.size)
            image.convert("RGB").crop((left, top, left + part, top + part)).resize((160, 160)).save(
                folder / f"{number}.jpg"
            )


def train(url: str) -> None:
    """Let two small networks learn the digits, so that there is something to watch."""
    with httpx.Client(base_url=url, timeout=60, trust_env=False) as client:
        for name, preset, epochs in (("lenet", "lenet-5", 4), ("lenet, more epochs", "lenet-5", 8)):
            body = {"architecture": {"preset": preset}, "dataset": "digits", "name": name, "epochs": epochs}
            job = client.post("/v1/training-jobs", json=body).raise_for_status().json()["id"]
            client.get(f"/v1/training-jobs/{job}/events", timeout=600).raise_for_status()
        body = {"model": "model_example", "dataset": "digits"}
        client.post("/v1/evaluations", json=body).raise_for_status()


def take(page: Page, scheme: str, size: str, top: str, file: Path) -> None:
    """Write what the window shows, in few colours."""
    width, height = SIZES[size]
    page.set_viewport_size({"width": width, "height": height})
    page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    page.wait_for_timeout(1500)
    page.evaluate("top => (document.querySelector(top) ?? document.body).scrollIntoView()", top)
    page.wait_for_timeout(200)
    with Image.open(io.BytesIO(page.screenshot())) as image:
        image.convert("RGB").quantize(COLOURS, kmeans=1, dither=Image.Dither.NONE).save(file, optimize=True)


def teach(page: Page, url: str, folder: Path) -> None:
    page.goto(f"{url}/#/teach")
    page.locator("input[webkitdirectory]").first.set_input_files(folder / "things")
    page.get_by_role("button", name="Teach", exact=True).and_(page.locator(":enabled")).click()
    page.locator(".say").wait_for()
    tried = page.locator("section[aria-label='Try it']")
    tried.locator("input[type=file]").first.set_input_files(PHOTOS / "chelsea.jpg")
    page.locator(".verdict b").wait_for()
    page.get_by_label("Show what it looked at").check()
    page.locator("canvas.seen").wait_for()


def build(page: Page, url: str, _: Path) -> None:
    page.goto(f"{url}/#/build?preset=lenet-5")
    page.get_by_text("61,706").first.wait_for()


def look(page: Page, url: str, _: Path) -> None:
    page.goto(f"{url}/#/look?model=model_example")
    page.locator("main canvas").nth(6).wait_for()


def learn(page: Page, url: str, _: Path) -> None:
    page.goto(f"{url}/#/learn")
    page.get_by_text("⌊(6 + 2 · 0 - 3) / 1 + 1⌋ = 4").first.wait_for()


def watch(page: Page, url: str, _: Path) -> None:
    page.goto(f"{url}/#/watch")
    page.get_by_text("lenet, more epochs").first.wait_for()


VIEWS: Mapping[str, Callable[[Page, str, Path], None]] = {
    "teach": teach,
    "build": build,
    "look": look,
    "learn": learn,
    "watch": watch,
}

TOPS: Mapping[str, str] = {"look": "[role=tablist]"}
"""What is at the top of a picture, where it is not the top of the page: the maps are further down."""

if __name__ == "__main__":
    main()
