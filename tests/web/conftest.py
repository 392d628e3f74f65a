"""Chromium for the tests of the pages, driven by Playwright."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from importlib import resources
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page

PROGRAM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
SECONDS = 60.0
"""How long a page may take for anything: other programs run beside."""

CAMERA = ("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what uses the browser."""
    for item in items:
        if {"chromium", "open_page"} & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.web)


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """A browser without windows, with a camera that shows a test picture."""
    if PROGRAM is None:
        pytest.skip("there is no Chromium: apt-get install chromium")
    from playwright.sync_api import sync_playwright  # noqa: PLC0415

    with sync_playwright() as playwright:
        options = ["--no-sandbox", "--disable-dev-shm-usage", *CAMERA]
        browser = playwright.chromium.launch(executable_path=PROGRAM, args=options)
        yield browser
        browser.close()


class Opened:
    """What the pages of one test have done, and may do."""

    def __init__(self) -> None:
        self.complaints: list[str] = []
        self.left: list[str] = []
        self.expected: tuple[str, ...] = ()

    def watch(self, page: Page) -> None:
        """Write down complaints, and requests that leave the server that was asked first."""
        hosts: list[str] = []

        def asked(url: str) -> None:
            parts = urlsplit(url)
            if parts.scheme in {"http", "https", "ws", "wss"}:
                hosts.append(parts.netloc)
                if parts.netloc != hosts[0]:
                    self.left.append(url)

        def said(text: str) -> None:
            if not any(part in text for part in self.expected):
                self.complaints.append(text)

        page.on("request", lambda request: asked(request.url))

        def heard(message: ConsoleMessage) -> None:
            if message.type == "error":
                said(f"{message.text} {message.location.get('url', '')}".rstrip())

        page.on("console", heard)
        page.on("pageerror", lambda error: said(str(error)))


@pytest.fixture
def open_page(chromium: Browser) -> Iterator[Callable[..., Page]]:
    """Open pages, each in a profile of its own: `open_page(url, width=1280, height=900, dark=False, expected=())`.

    At the end no page may have complained of anything (but for texts with a part that is `expected`), and no request
    may have left the server. Other options are those of Playwright's `new_context`.
    """
    contexts: list[BrowserContext] = []
    opened = Opened()

    def open_one(
        url: str,
        *,
        width: int = 1280,
        height: int = 900,
        dark: bool = False,
        expected: tuple[str, ...] = (),
        **options: Any,
    ) -> Page:
        opened.expected += expected
        context = chromium.new_context(
            viewport={"width": width, "height": height},
            color_scheme="dark" if dark else "light",
            reduced_motion="reduce",
            **options,
        )
        contexts.append(context)
        context.set_default_timeout(SECONDS * 1000)
        context.on("page", opened.watch)
        page = context.new_page()
        page.goto(url)
        return page

    yield open_one
    for context in contexts:
        context.close()
    assert opened.complaints == []
    assert opened.left == [], "requests have left the server"


@pytest.fixture(scope="session")
def axe() -> Callable[[Page], list[str]]:
    """What axe-core finds on a page, a line for each element: rules of WCAG 2.2 A and AA, and its best practices."""
    package = pytest.importorskip("axe_playwright_python")
    script = resources.files(package).joinpath("axe.min.js").read_text(encoding="utf-8")

    def find(page: Page) -> list[str]:
        page.evaluate(f"{script}; undefined")
        result = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
        return [
            f"{each['id']}: {node['html'][:200]} ({node.get('failureSummary', '')})"
            for each in result["violations"]
            for node in each["nodes"]
        ]

    return find


@pytest.fixture(scope="session")
def processor_seconds() -> Callable[[Page], float]:
    """The seconds of the processor that a page's own thread has taken."""
    sessions: dict[int, Any] = {}

    def measure(page: Page) -> float:
        session = sessions.get(id(page))
        if session is None:
            session = sessions[id(page)] = page.context.new_cdp_session(page)
            # of the processor, not of the clock: other programs run beside
            session.send("Performance.enable", {"timeDomain": "threadTicks"})
        metrics = session.send("Performance.getMetrics")["metrics"]
        return next(float(one["value"]) for one in metrics if one["name"] == "TaskDuration")

    return measure
