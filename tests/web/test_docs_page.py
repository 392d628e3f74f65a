"""The page with all calls in a real browser."""

from __future__ import annotations

import copy
import functools
import http.server
import json
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.conftest import Guarded
from tests.web.browser import MISSING, PROGRAM, Browser

pytestmark = pytest.mark.skipif(PROGRAM is None, reason=MISSING)

CALLS = "document.querySelectorAll('.opblock').length"
OPERATIONS = 44
"""How many calls the operations of layers will add, one for each layer."""


def calls(document: dict[str, Any]) -> int:
    return sum(len(item) for item in document["paths"].values())


def test_a_browser_asks_for_the_key_and_shows_every_call(guarded_server: Guarded, tmp_path: Path) -> None:
    headers = {"Authorization": f"Bearer {guarded_server.key}"}
    document = httpx.get(f"{guarded_server.url}/openapi.json", headers=headers, timeout=60).json()
    with Browser(tmp_path, password=guarded_server.key) as browser:
        browser.open(f"{guarded_server.url}/docs")
        browser.wait(f"{CALLS} === {calls(document)}", "every call")
        assert browser.asked_for_password
        assert browser.errors == []


def test_a_call_can_be_executed_on_the_page(server: str, tmp_path: Path) -> None:
    with Browser(tmp_path) as browser:
        browser.open(f"{server}/docs")
        browser.wait(CALLS, "the calls")
        open_call(browser, "get", "/v1/models/{model_id}")
        browser.wait("!!document.querySelector('.opblock.is-open .execute')", "the button")
        browser.run("document.querySelector('.opblock.is-open .execute').click()")
        shown = "document.querySelector('.live-responses-table .microlight, .live-responses-table pre')?.innerText"
        assert '"model_example"' in browser.wait(shown, "the answer")
        assert browser.errors == []


@pytest.mark.parametrize("more", [0, OPERATIONS])
def test_what_the_page_draws_for_a_call_is_little(
    server: str, tmp_path: Path, more: int, record_property: Callable[[str, object], None]
) -> None:
    """Time is not held against a limit, other programs run beside; what there is to draw is."""
    document = httpx.get(f"{server}/docs/openapi.json", timeout=60).json()
    add_operations(document, httpx.get(f"{server}/v1/catalog/layers", timeout=60).json()["data"][:more])
    assert len(json.dumps(document, separators=(",", ":"))) < 600_000
    with serving(document, server, tmp_path) as page, Browser(tmp_path / "profile") as browser:
        browser.open(page)
        browser.wait(f"{CALLS} === {calls(document)}", "every call")
        record_property("opening the page, seconds", browser.busy())
        worst = ("POST", "/v1/operations/conv2d") if more else ("POST", "/v1/training-jobs")
        before = browser.busy()
        open_call(browser, worst[0].lower(), worst[1])
        browser.wait("!!document.querySelector('.opblock.is-open .responses-inner')", "the answers")
        record_property("opening a call, seconds", browser.busy() - before)
        sys.stdout.write(f"{more} more calls: page {before:.2f} s, call {browser.busy() - before:.2f} s\n")
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


def add_operations(document: dict[str, Any], layers: list[dict[str, Any]]) -> None:
    """Add a call for each layer, with the layer's own schema in its body, as the calls of operations will have."""
    like = document["paths"]["/v1/architectures/summary"]["post"]
    for layer in layers:
        hyperparameters = copy.deepcopy(layer["hyperparameters"])
        definitions = hyperparameters.pop("$defs", {})
        for name, schema in definitions.items():
            document["components"]["schemas"].setdefault(name, schema)
        body = json.loads(json.dumps(hyperparameters).replace("#/$defs/", "#/components/schemas/"))
        call = copy.deepcopy(like) | {"operationId": f"run_{layer['name']}", "summary": layer["title"]}
        call["requestBody"]["content"] = {
            "application/json": {
                "schema": {"type": "object", **body},
                "examples": {"small": {"value": layer["example"]}},
            }
        }
        document["paths"][f"/v1/operations/{layer['name']}"] = {"post": call}


class serving:  # noqa: N801 - used as a word in `with`
    """The page of a server with another document."""

    def __init__(self, document: dict[str, Any], url: str, folder: Path) -> None:
        page = httpx.get(f"{url}/docs").text.replace("/docs/assets/", f"{url}/docs/assets/")
        self.folder = folder / "site"
        self.folder.mkdir()
        (self.folder / "docs.html").write_text(page, encoding="utf-8")
        (self.folder / "docs").mkdir()
        (self.folder / "docs" / "openapi.json").write_text(json.dumps(document), encoding="utf-8")

    def __enter__(self) -> str:
        handler = functools.partial(_Quiet, directory=str(self.folder))
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{self.server.server_port}/docs.html"

    def __exit__(self, *exception: object) -> None:
        self.server.shutdown()
        self.server.server_close()


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *arguments: Any) -> None:
        """Print nothing."""
