"""The view Watch: what a page asks of the service while a job goes on. A hundred may be open."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import httpx

from app.cli.launch import ServerProcess
from tests.web.test_watch import DONE_MS, Open, watch

if TYPE_CHECKING:
    from playwright.sync_api import Locator

LINEAR = {"input_shape": [28, 28, 1], "layers": [{"type": "flatten"}, {"type": "dense", "units": 10}]}


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
        # one kind of jobs is other than before, and the others are not asked for
        assert not [
            url for url in asked[calls:] if "/v1/evaluations" in url or "/v1/batch-predictions" in url
        ]
        page.close()
