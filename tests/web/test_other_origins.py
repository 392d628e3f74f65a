"""A page that is served elsewhere calls the service, where the operator allows it."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

from app.cli.launch import ServerProcess

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

KEY = "a-long-random-key"
CALLS = """
async ([service, key]) => {
  const headers = { Authorization: `Bearer ${key}` };
  const said = {};
  const started = await fetch(`${service}/v1/training-jobs`, {
    method: "POST",
    headers: { ...headers, "Content-Type": "application/json", "Idempotency-Key": crypto.randomUUID() },
    body: JSON.stringify({ architecture: { preset: "lenet-5" }, dataset: "digits", epochs: 1 }),
  });
  said.started = started.status;
  said.location = started.headers.get("Location");
  said.request = started.headers.get("X-Request-Id");
  const job = await started.json();
  const stream = await fetch(`${service}/v1/training-jobs/${job.id}/events`, { headers });
  const reader = stream.body.getReader();
  said.events = new TextDecoder().decode((await reader.read()).value);
  await reader.cancel();
  said.job = (await (await fetch(service + said.location, { headers })).json()).id === job.id;
  await fetch(`${service}/v1/training-jobs/${job.id}/cancel`, { method: "POST", headers });
  const picture = await (await fetch(`${service}/v1/datasets/digits/images/17`, { headers })).blob();
  const form = new FormData();
  form.append("files", picture, "picture.png");
  const predicted = await fetch(`${service}/v1/models/model_example/predict`, { method: "POST", headers, body: form });
  said.label = (await predicted.json()).data[0].label;
  const wrong = await fetch(`${service}/v1/models`, { headers: { Authorization: "Bearer wrong" } });
  said.wrong = (await wrong.json()).type;
  return said;
}
"""


SIGNED = """
async ([service, key]) => {
  const signed = async (path) => {
    const answer = await fetch(`${service}/v1/signed-addresses`, {
      method: "POST",
      headers: { Authorization: `Bearer ${key}`, "Content-Type": "application/json" },
      body: JSON.stringify({ path, seconds: 60 }),
    });
    return service + (await answer.json()).address;
  };
  const said = {};
  const picture = new Image();
  picture.src = await signed("/v1/datasets/digits/images/17");
  await picture.decode();
  said.width = picture.naturalWidth;
  const events = new EventSource(await signed("/v1/training-jobs/job_example/events"));
  said.end = await new Promise((resolve, reject) => {
    events.addEventListener("end", (event) => resolve(JSON.parse(event.data).status));
    events.addEventListener("error", () => reject(new Error("no events")));
  });
  events.close();
  return said;
}
"""


@pytest.fixture(scope="module")
def elsewhere() -> Iterator[str]:
    """The origin of an empty page."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(b"<!doctype html><title>elsewhere</title>")

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://localhost:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


@pytest.fixture
def page(chromium: Browser, elsewhere: str) -> Iterator[Page]:
    context = chromium.new_context()
    page = context.new_page()
    page.goto(elsewhere)
    yield page
    context.close()


def test_a_page_that_is_allowed_predicts_reads_and_streams(
    page: Page, elsewhere: str, start: Callable[..., ServerProcess]
) -> None:
    with start(API_KEY=KEY, ALLOWED_ORIGINS=elsewhere) as service:
        said: dict[str, Any] = page.evaluate(CALLS, [service, KEY])
    assert said["started"] == 202
    assert said["location"].startswith("/v1/training-jobs/")
    assert said["request"]
    assert said["job"] is True
    assert said["events"].startswith("retry:")
    assert said["label"]
    assert said["wrong"] == "/problems/unauthorized"


def test_pictures_and_event_sources_need_no_key_where_their_address_is_signed(
    page: Page, elsewhere: str, start: Callable[..., ServerProcess]
) -> None:
    with start(API_KEY=KEY, ALLOWED_ORIGINS=elsewhere) as service:
        assert page.evaluate(SIGNED, [service, KEY]) == {"width": 28, "end": "succeeded"}


def test_one_that_is_not_allowed_gets_nowhere(
    page: Page, elsewhere: str, start: Callable[..., ServerProcess]
) -> None:
    with start(API_KEY=KEY, ALLOWED_ORIGINS=elsewhere.replace("localhost", "app.example")) as service:
        outcome = page.evaluate(f"given => ({CALLS})(given).catch((error) => error.message)", [service, KEY])
    assert outcome == "Failed to fetch"
