"""`python -m benchmarks.page`: what the web page takes, in headless Chromium on loopback. Leave the machine alone.

Prints first paint and what was sent for it, the maps of ResNet-20 in Look, the longest task while a thousand pictures
are dropped in Teach, and what a hundred open pages cost training jobs (`benchmarks/open_pages.py`). Needs
`make .venv/.web`.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import httpx

from app.cli.launch import ServerProcess
from benchmarks.insides import drawn
from benchmarks.machine import processor
from benchmarks.open_pages import VIEWS, measure
from engine.model.model_file import model_bytes

if TYPE_CHECKING:
    from playwright.sync_api import Browser

PAGES = 6
DROPPED = 1000
EPOCHS = (12, 60)
"""Of jobs of about 6 and 30 seconds."""

_PAINT = """() => {
  const paint = performance.getEntriesByName("first-contentful-paint")[0];
  return paint ? paint.startTime : null;
}"""
_MAPS = """async (place) => {
  const begun = performance.now();
  location.hash = place;
  while (document.querySelectorAll("main canvas.map").length < 8) {
    await new Promise((resolve) => requestAnimationFrame(resolve));
  }
  return performance.now() - begun;
}"""
_DROP = """async (number) => {
  const transfer = new DataTransfer();
  const canvas = new OffscreenCanvas(64, 64);
  const context = canvas.getContext("2d");
  for (let at = 0; at < number; at += 1) {
    context.fillStyle = `rgb(${at % 256} ${at >> 8} 90)`;
    context.fillRect(0, 0, 64, 64);
    transfer.items.add(new File([await canvas.convertToBlob()], `${at}.png`, { type: "image/png" }));
  }
  await new Promise((resolve) => setTimeout(resolve, 1000));
  window.longest = 0;
  new PerformanceObserver((list) => {
    for (const one of list.getEntries()) window.longest = Math.max(window.longest, one.duration);
  }).observe({ type: "longtask" });
  window.begun = performance.now();
  const column = document.querySelector(".column .drop");
  column.dispatchEvent(new DragEvent("drop", { dataTransfer: transfer, bubbles: true, cancelable: true }));
}"""


def main() -> None:
    """Print what was measured."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.page", description=__doc__)
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--rounds", type=int, default=3, help="of training jobs, with open pages and without")
    parser.add_argument("--epochs", type=int, nargs="+", default=list(EPOCHS), help="of these jobs")
    parser.add_argument("--views", nargs="+", choices=VIEWS, default=list(VIEWS), help="that pages show")
    parser.add_argument("--pages", type=int, default=PAGES, help="real ones, whose calls the others play")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    options = parser.parse_args()
    print(f"{processor()}, headless Chromium")
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        server = ServerProcess(folder / "data", folder / "log", {"CORES": "1"})
        with server as url, chromium() as browser:
            if "paint" in options.parts:
                print(first_paint(browser, url, options.repeats))
            if "maps" in options.parts:
                print(maps(browser, url, options.repeats))
            if "drop" in options.parts:
                print(drop(browser, url))
            if "pages" in options.parts:
                for line in measure(
                    browser, server, url, options.views, options.pages, options.epochs, options.rounds
                ):
                    print(line, flush=True)


PARTS = ("paint", "maps", "drop", "pages")


@contextmanager
def chromium() -> Iterator[Browser]:
    """Start the browser."""
    from playwright.sync_api import sync_playwright  # noqa: PLC0415 - `--help` does without

    programs = filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome")))
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=next(programs), args=["--no-sandbox"])
        yield browser
        browser.close()


def first_paint(browser: Browser, url: str, repeats: int) -> str:
    """Open the page with nothing in the cache, each time."""
    taken: list[float] = []
    sent = 0
    for _ in range(repeats + 1):
        context = browser.new_context()
        page = context.new_page()
        sizes: list[int] = []
        session = context.new_cdp_session(page)
        session.send("Network.enable")
        session.on(
            "Network.loadingFinished", lambda one, sizes=sizes: sizes.append(int(one["encodedDataLength"]))
        )
        page.goto(f"{url}/")
        page.locator(".column").first.wait_for()
        while (paint := page.evaluate(_PAINT)) is None:
            page.wait_for_timeout(10)
        taken.append(paint)
        page.wait_for_timeout(500)
        sent = sum(sizes)
        context.close()
    return f"first paint {_spread(taken[1:])} (target 100 ms), {sent / 1000:.0f} kB from the server (target 200 kB)"


def maps(browser: Browser, url: str, repeats: int) -> str:
    """Go to a model and a picture in Look, whose files are there already, until maps are drawn."""
    with httpx.Client(base_url=url, timeout=60, trust_env=False) as client:
        file = {"file": ("model.safetensors", model_bytes(drawn("resnet-20")))}
        answer = client.post("/v1/models/import", files=file, data={"name": "resnet-20"}).raise_for_status()
    model = answer.json()["id"]
    taken: list[float] = []
    page = browser.new_page()
    page.goto(f"{url}/#/look?model=model_example")
    for number in range(repeats + 1):
        page.locator("main canvas.map").nth(7).wait_for()
        page.evaluate("location.hash = '#/watch'")
        page.get_by_role("heading", name="Watch", exact=True).wait_for()
        taken.append(page.evaluate(_MAPS, f"#/look?model={model}&dataset=digits&number={number}"))
    page.close()
    return f"maps of ResNet-20 {_spread(taken[1:])} (target 500 ms)"


def drop(browser: Browser, url: str) -> str:
    """Drop pictures on a class, until all are there."""
    page = browser.new_page()
    page.set_default_timeout(300_000)
    page.goto(f"{url}/#/teach")
    page.locator(".column .drop").first.wait_for()
    page.evaluate(_DROP, DROPPED)
    page.get_by_text(f"{DROPPED:,} pictures", exact=True).first.wait_for()
    seconds, longest = page.evaluate("[(performance.now() - window.begun) / 1000, window.longest]")
    page.close()
    said = f"longest task {longest:.0f} ms" if longest else "no task of 50 ms or more"
    return f"{DROPPED:,} pictures dropped: {said}, all there after {seconds:.1f} s"


def _spread(taken: Sequence[float], unit: str = "ms") -> str:
    digits = 0 if unit == "ms" else 2
    return (
        f"{statistics.median(taken):.{digits}f} {unit} ({min(taken):.{digits}f} to {max(taken):.{digits}f})"
    )


if __name__ == "__main__":
    main()
