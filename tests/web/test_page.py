"""The page as a whole: its frame, its key, its one stream of events, and what it asks of the server."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import httpx

if TYPE_CHECKING:
    from playwright.sync_api import Page, Request

Open = Callable[..., "Page"]
TABS = 10

FOLLOW = """async (id) => {
  const { followJob } = await import("./page/lib/jobs.js");
  followJob("training-jobs", id, (shown) => (window.shown = shown));
}"""
"""What views do with a job, in a page that has no other use for it."""


@contextmanager
def long_job(url: str) -> Iterator[str]:
    """Let a job train that does not end by itself."""
    with httpx.Client(base_url=url, timeout=60, trust_env=False) as client:
        body = {
            "architecture": {"preset": "lenet-5"},
            "dataset": "digits",
            "epochs": 10000,
            "batch_size": 500,
        }
        answer = client.post("/v1/training-jobs", json=body)
        assert answer.status_code == 202, answer.text
        job = answer.json()["id"]
        try:
            yield job
        finally:
            client.post(f"/v1/training-jobs/{job}/cancel")


def test_ten_tabs_show_a_job_over_one_connection(
    server: str, open_page: Open, wait_for: Callable[..., Any]
) -> None:
    tabs = [open_page(f"{server}/#/watch")]
    streams: list[str] = []
    calls: list[str] = []

    def asked(request: Request) -> None:
        if "/v1/events" in request.url:
            streams.append(request.url)
        if "/v1/training-jobs" in request.url:
            calls.append(request.url)

    tabs[0].context.on("request", asked)
    for _ in range(TABS - 1):
        tabs.append(tabs[0].context.new_page())
        tabs[-1].goto(f"{server}/#/watch")

    def steps() -> list[int]:
        return [tab.evaluate("window.shown?.job?.progress.step ?? 0") for tab in tabs]

    def go_on() -> None:
        before = max(steps())
        wait_for(lambda: min(steps()) > before, "progress in every tab")

    with long_job(server) as job:
        for tab in tabs:
            tab.evaluate(FOLLOW, job)
        wait_for(lambda: min(steps()) > 0, "the job in every tab")
        wait_for(lambda: all(tab.evaluate("window.shown.metrics.length > 1") for tab in tabs), "epochs")
        go_on()
        # a plain call is answered beside them, and they make none
        assert tabs[-1].evaluate("fetch('v1/models/model_example').then((answer) => answer.status)") == 200
        loaded = len(calls)
        go_on()
        go_on()
        assert len(calls) == loaded
        assert len(streams) == 1
        # the tab that reads is closed: another one goes on for all
        tabs.pop(0).close()
        go_on()
        wait_for(lambda: len(streams) == 2, "another reader")
        go_on()
    wait_for(
        lambda: {tab.evaluate("window.shown.job.status") for tab in tabs} == {"cancelled"}, "the end in all"
    )
