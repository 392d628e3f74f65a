"""What a page asks of the service while jobs begin, go on and end: nothing. A hundred may be open."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import httpx

from app.cli.launch import ServerProcess
from tests.web.test_watch import DONE_MS, Open, watch

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

BREATH_MS = 2000
"""Longer than a page waits at most until it asks for what has happened."""
LINEAR = {"input_shape": [28, 28, 1], "layers": [{"type": "flatten"}, {"type": "dense", "units": 10}]}

_SEEN = """(seen) => {
  Object.defineProperty(document, "hidden", { configurable: true, get: () => !seen });
  document.dispatchEvent(new Event("visibilitychange"));
}"""


def epoch_of(row: Locator) -> int:
    """Return the epoch that a row says the job is in."""
    found = re.search(r"Epoch (\d+) of", row.inner_text())
    assert found is not None
    return int(found[1])


def test_epochs_are_told_and_not_asked_for(tmp_path: Path, open_page: Open) -> None:
    with ServerProcess(tmp_path / "data", tmp_path / "log", {"CORES": "1"}) as url:
        page = watch(open_page, url)
        page.locator("tr", has_text="lenet-5-digits").first.wait_for()
        body = {"architecture": LINEAR, "dataset": "digits", "name": "linear", "epochs": 10_000}
        job = httpx.post(f"{url}/v1/training-jobs", json=body, trust_env=False).json()["id"]
        row = page.locator("tr", has_text="linear")
        row.get_by_text(re.compile("^Epoch ")).wait_for(timeout=DONE_MS)
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        first = epoch_of(row)
        page.wait_for_function(
            "epoch => [...document.querySelectorAll('tr')].some((row) =>"
            " Number(row.innerText.match(/linear[^]*Epoch (\\d+) of/)?.[1]) > epoch)",
            arg=first + 40,
            timeout=DONE_MS,
        )
        # the figures of the epochs are there all the same
        row.get_by_text(re.compile(r"^\d+\.\d % right$")).wait_for()
        # the stream may have begun a moment ago, and then a page looks once for what it did not hear
        calls = len(asked)
        assert calls <= 4, asked
        httpx.post(f"{url}/v1/training-jobs/{job}/cancel", trust_env=False)
        row.get_by_text(re.compile("^Stopped after")).wait_for(timeout=DONE_MS)
        page.wait_for_timeout(BREATH_MS)
        assert asked[calls:] == []
        page.close()


def test_what_changes_is_told(tmp_path: Path, open_page: Open) -> None:
    """Of a job to its end: in the list, in the rail, by itself, and in the list of those that run."""
    with ServerProcess(tmp_path / "data", tmp_path / "log", {"CORES": "1"}) as url:
        pages = [watch(open_page, url, place) for place in ("", "?status=running", "?tab=models")]
        every, running, models = pages
        every.locator("tr", has_text="lenet-5-digits").first.wait_for()
        running.get_by_text("No job is like that.").wait_for()
        models.locator("tr").first.wait_for()
        every.wait_for_timeout(BREATH_MS)
        asked: dict[Page, list[str]] = {page: [] for page in pages}
        for page in pages:
            page.on("request", lambda request, page=page: asked[page].append(request.url))
        body = {"architecture": LINEAR, "dataset": "digits", "name": "linear", "epochs": 3}
        with httpx.Client(base_url=url, trust_env=False, timeout=60) as http:
            job = http.post("/v1/training-jobs", json={**body, "epochs": 100_000}).json()["id"]
            later = http.post("/v1/training-jobs", json=body).json()["id"]
            # one runs and one waits
            every.locator("tr", has_text="linear").get_by_text(re.compile("^Epoch ")).wait_for(
                timeout=DONE_MS
            )
            every.locator("tr", has_text="linear").get_by_text("next in the line").wait_for()
            running.locator("tr", has_text="linear").get_by_text(re.compile("^Epoch ")).wait_for()
            for page in pages:
                page.get_by_text("1 job running, 1 waiting").wait_for()
            # what is opened while it goes on follows it to its end
            every.evaluate(f"location.hash = '#/watch?job={job}'")
            every.get_by_text(re.compile("^Epoch ")).wait_for(timeout=DONE_MS)
            every.wait_for_timeout(BREATH_MS)
            assert not [one for one in asked[every] if one.endswith("/log")]
            every.get_by_role("region", name="Log").scroll_into_view_if_needed()
            every.get_by_role("log").filter(has_text="INFO attempt").wait_for(timeout=DONE_MS)
            every.wait_for_timeout(BREATH_MS)
            before = len(asked[every])
            http.post(f"/v1/training-jobs/{job}/cancel")
            every.get_by_text(re.compile("^Stopped after")).wait_for(timeout=DONE_MS)
            every.get_by_role("log").filter(has_text="INFO cancelled").wait_for(timeout=DONE_MS)
            assert {one.rpartition("/")[2] for one in asked[every][before:]} == {"log"}
            http.get(f"/v1/training-jobs/{later}/events").raise_for_status()  # to its end
            for page in pages:
                page.get_by_text("No job running").wait_for()
            running.get_by_text("No job is like that.").wait_for()
            models.locator("tr", has_text="linear").wait_for()
            # what the list that was put away asks for when it is shown again is as it is now
            every.evaluate("location.hash = '#/watch'")
            every.locator("tr", has_text="linear").get_by_text("Done in").wait_for()
        assert asked[running] == []
        # a model is there that was not, and perhaps an alias of its name
        lists = [one for one in asked[models] if not one.endswith("/aliases")]
        assert len(lists) == 1, asked[models]
        for page in pages:
            page.close()


def test_a_page_that_nobody_sees_asks_nothing_until_it_is_looked_at(tmp_path: Path, open_page: Open) -> None:
    with ServerProcess(tmp_path / "data", tmp_path / "log", {"CORES": "1"}) as url:
        page = watch(open_page, url, "?tab=models")
        page.locator("tr").first.wait_for()
        page.wait_for_timeout(BREATH_MS)
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.evaluate(_SEEN, False)
        httpx.patch(f"{url}/v1/models/model_example", json={"description": "Reads."}, trust_env=False)
        page.wait_for_timeout(2 * BREATH_MS)
        assert asked == []
        page.evaluate(_SEEN, True)
        page.wait_for_timeout(200)
        assert len(asked) == 1
        page.close()
