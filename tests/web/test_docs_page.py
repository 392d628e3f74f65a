"""The page with all calls in a real browser."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from app.cli.launch import ServerProcess
from tests.conftest import Guarded
from tests.proxy import proxied

if TYPE_CHECKING:
    from playwright.sync_api import Page

CALLS = ".opblock"
SECTIONS = ".opblock-tag"


def calls(document: dict[str, Any]) -> list[dict[str, Any]]:
    return [call for item in document["paths"].values() for call in item.values()]


def sections(document: dict[str, Any]) -> set[str]:
    return {tag for call in calls(document) for tag in call["tags"]}


def wait_for(page: Page, selector: str, number: int) -> None:
    page.wait_for_function("([s, n]) => document.querySelectorAll(s).length === n", arg=[selector, number])


def test_a_browser_asks_for_the_key_and_shows_every_call(
    guarded_server: Guarded, open_page: Callable[..., Page]
) -> None:
    headers = {"Authorization": f"Bearer {guarded_server.key}"}
    document = httpx.get(f"{guarded_server.url}/openapi.json", headers=headers, timeout=60).json()
    assert (
        httpx.get(f"{guarded_server.url}/docs/openapi.json", timeout=60).status_code
        == httpx.codes.UNAUTHORIZED
    )
    password = {"username": "anybody", "password": guarded_server.key}
    page = open_page(f"{guarded_server.url}/docs", http_credentials=password)
    wait_for(page, SECTIONS, len(sections(document)))
    for name in sections(document):
        page.click(f'{SECTIONS}[data-tag="{name}"]')
    wait_for(page, CALLS, len(calls(document)))


def test_a_call_can_be_executed_on_the_page(server: str, open_page: Callable[..., Page]) -> None:
    assert '"model_example"' in executed(open_page(f"{server}/docs"))


@pytest.mark.parametrize("strips", [True, False])
def test_it_can_below_another_path(
    start: Callable[..., ServerProcess], open_page: Callable[..., Page], strips: bool
) -> None:
    # the page has no host of its own: it calls below the path that the document says
    with start(ROOT_PATH="/below/here") as url, proxied(url, "/below/here", strips=strips) as address:
        page = open_page("about:blank")
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.goto(f"{address}/docs")
        assert '"model_example"' in executed(page)
        assert f"{address}/v1/models/model_example" in asked
        assert [one for one in asked if not one.startswith((f"{address}/", "data:"))] == []


def executed(page: Page) -> str:
    """Execute a call on the page, and return what it shows of the answer."""
    page.click(f'{SECTIONS}[data-tag="models"]')
    open_call(page, "get", "/v1/models/{model_id}")
    # the page fills it in after it has drawn the button, and sends nothing before
    # a function, and no expression: that would be evaluated on the page again and again, which its policy forbids
    example = "() => document.querySelector('.opblock.is-open .parameters input')?.value === 'model_example'"
    page.wait_for_function(example)
    page.click(".opblock.is-open .execute")
    shown = "() => document.querySelector('.live-responses-table .microlight, .live-responses-table pre')?.innerText"
    return str(page.wait_for_function(shown).json_value())


@pytest.mark.parametrize("path", ["/v1/training-jobs", "/v1/operations/conv2d", "/v1/operations/residual"])
def test_what_the_page_draws_for_a_call_is_little(
    server: str,
    open_page: Callable[..., Page],
    processor_seconds: Callable[[Page], float],
    path: str,
    record_property: Callable[[str, object], None],
) -> None:
    """Time is not held against a limit, other programs run beside; what there is to draw is."""
    document = httpx.get(f"{server}/docs/openapi.json", timeout=60)
    # every layer is a call: what there is of each is bounded, not how many there are
    assert len(document.content) < 5500 * len(document.json()["paths"])
    page = open_page("about:blank")
    processor_seconds(page)
    page.goto(f"{server}/docs")
    wait_for(page, SECTIONS, len(sections(document.json())))
    before = processor_seconds(page)
    record_property("opening the page, seconds", before)
    assert page.evaluate("document.querySelectorAll('*').length") < 500
    (section,) = document.json()["paths"][path]["post"]["tags"]
    page.click(f'{SECTIONS}[data-tag="{section}"]')
    open_call(page, "post", path)
    page.wait_for_selector(".opblock.is-open .responses-inner")
    record_property("opening a call, seconds", processor_seconds(page) - before)
    sys.stdout.write(f"{path}: page {before:.2f} s, call {processor_seconds(page) - before:.2f} s\n")
    assert page.evaluate("document.querySelector('.opblock.is-open').querySelectorAll('*').length") < 1500
    assert page.locator(".opblock.is-open .response").count()
    texts = page.locator(".opblock.is-open .response .example").all_inner_texts()
    assert len(texts) == len(set(texts)), "each answer has an example of its own"


def open_call(page: Page, method: str, path: str) -> None:
    page.click(f'.opblock-{method}:has([data-path="{path}"]) .opblock-summary-control')
