"""The page with all calls in a real browser."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.conftest import Guarded
from tests.web.browser import NEEDED, Browser

pytestmark = NEEDED

CALLS = "document.querySelectorAll('.opblock').length"
SECTIONS = "document.querySelectorAll('.opblock-tag').length"


def calls(document: dict[str, Any]) -> list[dict[str, Any]]:
    return [call for item in document["paths"].values() for call in item.values()]


def sections(document: dict[str, Any]) -> set[str]:
    return {tag for call in calls(document) for tag in call["tags"]}


def open_section(browser: Browser, name: str) -> None:
    browser.wait(SECTIONS, "the sections")
    browser.run(f"document.querySelector('.opblock-tag[data-tag={json.dumps(name)}]').click()")


def test_a_browser_asks_for_the_key_and_shows_every_call(guarded_server: Guarded, tmp_path: Path) -> None:
    headers = {"Authorization": f"Bearer {guarded_server.key}"}
    document = httpx.get(f"{guarded_server.url}/openapi.json", headers=headers, timeout=60).json()
    with Browser(tmp_path, password=guarded_server.key) as browser:
        browser.open(f"{guarded_server.url}/docs")
        browser.wait(f"{SECTIONS} === {len(sections(document))}", "every section")
        for name in sections(document):
            open_section(browser, name)
        browser.wait(f"{CALLS} === {len(calls(document))}", "every call")
        assert browser.asked_for_password
        assert browser.errors == []


def test_a_call_can_be_executed_on_the_page(server: str, tmp_path: Path) -> None:
    with Browser(tmp_path) as browser:
        browser.open(f"{server}/docs")
        open_section(browser, "models")
        open_call(browser, "get", "/v1/models/{model_id}")
        # the page fills it in after it has drawn the button, and sends nothing before
        example = "document.querySelector('.opblock.is-open .parameters input')?.value"
        assert browser.wait(example, "the example") == "model_example"
        browser.wait("!!document.querySelector('.opblock.is-open .execute')", "the button")
        browser.run("document.querySelector('.opblock.is-open .execute').click()")
        shown = "document.querySelector('.live-responses-table .microlight, .live-responses-table pre')?.innerText"
        assert '"model_example"' in browser.wait(shown, "the answer")
        assert browser.errors == []


@pytest.mark.parametrize("path", ["/v1/training-jobs", "/v1/operations/conv2d", "/v1/operations/residual"])
def test_what_the_page_draws_for_a_call_is_little(
    server: str, tmp_path: Path, path: str, record_property: Callable[[str, object], None]
) -> None:
    """Time is not held against a limit, other programs run beside; what there is to draw is."""
    document = httpx.get(f"{server}/docs/openapi.json", timeout=60)
    assert len(document.content) < 600_000
    with Browser(tmp_path) as browser:
        browser.open(f"{server}/docs")
        browser.wait(f"{SECTIONS} === {len(sections(document.json()))}", "every section")
        before = browser.busy()
        record_property("opening the page, seconds", before)
        assert browser.run("document.querySelectorAll('*').length") < 500
        (section,) = document.json()["paths"][path]["post"]["tags"]
        open_section(browser, section)
        open_call(browser, "post", path)
        browser.wait("!!document.querySelector('.opblock.is-open .responses-inner')", "the answers")
        record_property("opening a call, seconds", browser.busy() - before)
        sys.stdout.write(f"{path}: page {before:.2f} s, call {browser.busy() - before:.2f} s\n")
        assert browser.run("document.querySelector('.opblock.is-open').querySelectorAll('*').length") < 1500
        boxes = browser.run("document.querySelectorAll('.opblock.is-open .response').length")
        texts = browser.run(
            "[...document.querySelectorAll('.opblock.is-open .response .example')].map(e => e.innerText)"
        )
        assert boxes
        assert len(texts) == len(set(texts)), "each answer has an example of its own"


def open_call(browser: Browser, method: str, path: str) -> None:
    found = (
        f"[...document.querySelectorAll('.opblock-{method}')].find(each => "
        f"each.querySelector('.opblock-summary-path').dataset.path === {json.dumps(path)})"
    )
    browser.wait(f"!!{found}", path)
    browser.run(f"{found}.querySelector('.opblock-summary-control').click()")
