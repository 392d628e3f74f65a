"""The page as a whole: its frame, its key, its one stream of events, and what it asks of the server."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import httpx
import pytest

from app.cli.launch import ServerProcess
from tests.conftest import Guarded
from tests.proxy import proxied

if TYPE_CHECKING:
    from playwright.sync_api import Page, Request, Route

Open = Callable[..., "Page"]
TABS = 10
FIRST_VIEW = 150_000
"""Bytes, as they are sent, that the page may take until its first view stands."""

FOLLOW = """async (id) => {
  const { followJob } = await import("./page/lib/jobs.js");
  followJob("training-jobs", id, (shown) => (window.shown = shown));
}"""
"""What views do with a job, in a page that has no other use for it."""


MOVING = """() => [...document.querySelectorAll("*")].filter((one) => {
  const style = getComputedStyle(one);
  return style.transitionDuration !== "0s" || style.animationName !== "none";
}).length"""

STYLES = """() => [...document.styleSheets].filter((one) => !one.disabled && one.href.includes("/views/"))
  .map((one) => one.href.split("/").pop())"""

BOTTOM = """() => {
  scrollTo(0, document.documentElement.scrollHeight);
  return document.querySelector("main").getBoundingClientRect().bottom;
}"""

INJECTED = """() => {
  const script = document.createElement("script");
  script.textContent = "window.ran = 'script'";
  document.body.append(script);
  const picture = document.createElement("div");
  picture.innerHTML = "<img src='data:,' onerror='window.ran = 1'>";
  document.body.append(picture);
  return new Promise((resolve) => picture.firstChild.addEventListener("error", () => resolve(window.ran ?? null)));
}"""


def views(page: Page) -> list[str]:
    return [name.lower() for name in page.locator(".rail > a").all_inner_texts()]


def shown(page: Page, view: str) -> None:
    """Wait for a view."""
    from playwright.sync_api import expect  # noqa: PLC0415 - only where there is a browser

    # it is in the title as soon as its files are there
    expect(page).to_have_title(f"{view.capitalize()} - convserve", timeout=60_000)
    page.locator(".rail > a[aria-current]").get_by_text(view.capitalize(), exact=True).wait_for()
    page.get_by_role("heading", level=1).wait_for()


def modules(asked: list[str]) -> set[str]:
    """Return the views whose files are among addresses."""
    parts = [urlsplit(address).path.partition("/page/views/")[2] for address in asked]
    return {part.partition("/")[0].partition(".")[0] for part in parts if part}


def begin_long_job(url: str) -> str:
    """Let a job train that does not end by itself."""
    body = {"architecture": {"preset": "lenet-5"}, "dataset": "digits", "epochs": 10000, "batch_size": 500}
    answer = httpx.post(f"{url}/v1/training-jobs", json=body, timeout=60, trust_env=False)
    assert answer.status_code == 202, answer.text
    return str(answer.json()["id"])


@contextmanager
def long_job(url: str) -> Iterator[str]:
    """Let a job train until the end of the block."""
    job = begin_long_job(url)
    try:
        yield job
    finally:
        httpx.post(f"{url}/v1/training-jobs/{job}/cancel", timeout=60, trust_env=False)


def test_ten_tabs_show_a_job_over_one_connection(
    server: str, open_page: Open, wait_for: Callable[..., Any]
) -> None:
    tabs = [open_page(f"{server}/#/watch")]
    streams: list[str] = []
    calls: list[str] = []

    def asked(request: Request) -> None:
        if "/v1/events" in request.url:
            streams.append(request.url)
        # of the job itself: the list that Watch shows is loaded anew when it has changed
        if "/v1/training-jobs/" in request.url:
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


def test_the_first_view_is_small_and_others_come_when_they_are_opened(server: str, open_page: Open) -> None:
    page = open_page("about:blank")
    finished: list[Request] = []

    def took(request: Request) -> None:
        finished.append(request)

    page.on("requestfinished", took)
    page.goto(f"{server}/")
    shown(page, "teach")
    page.get_by_role("region", name="Class 1").wait_for()
    files = [one for one in finished if "/v1/" not in one.url]
    assert sum(one.sizes()["responseBodySize"] for one in files) < FIRST_VIEW
    assert modules([one.url for one in files]) == {"teach"}
    for view in views(page)[1:]:
        page.locator(".rail > a").get_by_text(view.capitalize(), exact=True).click()
        shown(page, view)
        assert view in modules([one.url for one in finished])
        assert page.evaluate(STYLES) == [f"{view}.css"], "the styles of one view do not reach another"
    assert modules([one.url for one in finished]) == set(views(page))
    # what was opened stays when the page is loaded again, and who goes back comes to the view before
    page.reload()
    shown(page, views(page)[-1])
    page.go_back()
    shown(page, views(page)[-2])


def test_a_key_is_asked_for_once_and_kept_for_the_tab(guarded_server: Guarded, open_page: Open) -> None:
    page = open_page(f"{guarded_server.url}/#/watch", expected=("401",))
    question = page.get_by_role("dialog", name="This service asks for a key")
    question.get_by_label("Key").fill("not-the-key-at-all")
    page.keyboard.press("Enter")
    question.get_by_text("The service does not take that key.").wait_for()
    question.get_by_label("Key").fill(guarded_server.key)
    question.get_by_role("button", name="Go on").click()
    question.wait_for(state="detached")
    for view in (*views(page), "watch"):
        page.goto(f"{guarded_server.url}/#/{view}")
        shown(page, view)
    page.reload()
    page.goto(f"{guarded_server.url}/#/learn")
    page.get_by_text("⌊(6 + 2 · 0 - 3) / 1 + 1⌋ = 4").first.wait_for()
    assert question.count() == 0
    assert page.get_by_role("alert").count() == 0
    # no other tab has it, and no address
    other = page.context.new_page()
    other.goto(page.url)
    other.get_by_role("dialog", name="This service asks for a key").wait_for()
    assert guarded_server.key not in page.url
    assert page.evaluate("JSON.stringify(localStorage) + document.cookie") == "{}"


@pytest.mark.parametrize(
    ("scope", "view", "missing"), [("read", "look", "predict"), ("predict", "watch", "read")]
)
def test_what_a_key_does_not_allow_is_said_in_the_words_of_the_service(
    guarded_server: Guarded,
    open_page: Open,
    connect: Callable[..., httpx.Client],
    scope: str,
    view: str,
    missing: str,
) -> None:
    with connect(guarded_server.url, Authorization=f"Bearer {guarded_server.key}") as admin:
        made = admin.post("/v1/keys", json={"name": f"page-{scope}", "scopes": [scope]}).json()
        page = open_page(f"{guarded_server.url}/#/{view}?dataset=digits&number=26", expected=("401", "403"))
        question = page.get_by_role("dialog", name="This service asks for a key")
        question.get_by_label("Key").fill(made["key"])
        page.keyboard.press("Enter")
        question.wait_for(state="detached")
        page.get_by_role("alert").get_by_text(f"this call needs the scope {missing}").first.wait_for()
        assert question.count() == 0
        admin.delete(f"/v1/keys/page-{scope}")


@pytest.mark.parametrize("start", ["#/watch", "#/nowhere", ""])
def test_a_link_that_is_followed_before_the_page_listens_counts(
    server: str, open_page: Open, start: str
) -> None:
    page = open_page("about:blank")
    page.add_init_script(
        """
        const listen = window.addEventListener;
        window.addEventListener = function (kind, ...rest) {
          if (kind === "hashchange") history.replaceState(null, "", "#/learn");
          return listen.call(this, kind, ...rest);
        };
        """
    )
    page.goto(f"{server}/{start}")
    shown(page, "learn")


def test_who_has_gone_elsewhere_is_not_called_back_by_what_has_ended(server: str, open_page: Open) -> None:
    page = open_page(f"{server}/#/watch?dataset=digits")
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)

    page.route("**/v1/training-jobs", hold)
    with page.expect_request("**/v1/training-jobs"):
        page.get_by_role("button", name="Teach on it").click()
    page.goto(f"{server}/#/learn")
    shown(page, "learn")
    with page.expect_response("**/v1/training-jobs"):
        held[0].fulfill(status=202, json={"id": "job_elsewhere"})
    # a call that began later has been answered, so the page knows of that one
    page.evaluate("fetch('v1/models/model_example').then((answer) => answer.json())")
    shown(page, "learn")


def test_who_narrows_a_list_meanwhile_is_called_to_what_has_begun(server: str, open_page: Open) -> None:
    page = open_page(f"{server}/#/watch?tab=evaluations", expected=("evaluation_elsewhere",))
    held: list[Route] = []
    page.route(
        "**/v1/evaluations",
        lambda route: held.append(route) if route.request.method == "POST" else route.continue_(),
    )
    for place, there in (("#/watch?tab=evaluations&of=model_example", False), (None, True)):
        button = page.get_by_role("button", name="Evaluate", exact=True)
        with page.expect_request("**/v1/evaluations"):
            button.click()
        if place:
            page.evaluate("place => { location.hash = place; }", place)
        page.get_by_label("Status").select_option("failed")
        page.wait_for_function("location.hash.includes('status=failed')")
        held.pop().fulfill(status=202, json={"id": "evaluation_elsewhere"})
        if there:
            page.wait_for_function("location.hash === '#/watch?evaluation=evaluation_elsewhere'")
        else:
            # who has gone elsewhere stays there, and can begin another one
            page.wait_for_function("document.querySelector('form.start button').disabled === false")
            assert "of=model_example" in page.evaluate("location.hash")


def test_below_another_path_every_view_works(server: str, open_page: Open) -> None:
    with proxied(server, "/below/here") as address:
        page = open_page("about:blank")
        asked: list[str] = []
        wrong: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.on("response", lambda answer: wrong.append(answer.url) if answer.status >= 400 else None)
        page.goto(f"{address}/")
        for view in views(page):
            page.goto(f"{address}/#/{view}")
            shown(page, view)
            page.wait_for_timeout(500)
        assert page.get_by_role("alert").count() == 0
        assert [one for one in asked if not one.startswith((f"{address}/", "blob:", "data:"))] == []
        assert wrong == []
        assert any("/v1/" in one for one in asked)


def test_the_page_goes_on_when_its_server_starts_again(
    start: Callable[..., ServerProcess], open_page: Open, wait_for: Callable[..., Any]
) -> None:
    process = start()
    url = process.start()
    page = open_page(f"{url}/#/watch", expected=("Failed to load", "ERR_"))
    shown(page, "watch")
    page.evaluate(FOLLOW, begin_long_job(url))
    wait_for(lambda: page.evaluate("window.shown?.metrics.length > 0"), "an epoch")
    process.kill()
    wait_for(lambda: page.evaluate("window.shown.lost"), "the loss to be seen")
    # a view that was not opened before cannot be had, and says what can be done
    page.goto(f"{url}/#/learn")
    page.get_by_text("This view could not be loaded.").wait_for()
    epochs = page.evaluate("window.shown.metrics.length")
    port = int(url.rpartition(":")[2])
    with ServerProcess(process.data_dir, process.log, port=port):
        wait_for(lambda: not page.evaluate("window.shown.lost"), "the server to be seen")
        wait_for(lambda: page.evaluate("window.shown.metrics.length") > epochs, "more epochs")
        seen = page.evaluate("window.shown.metrics.map((one) => one.epoch)")
        assert seen == list(range(1, len(seen) + 1))
        page.get_by_role("button", name="Try again").click()
        shown(page, "learn")


def test_a_view_that_there_is_not_leads_to_the_first(server: str, open_page: Open) -> None:
    page = open_page(f"{server}/#/../v1/<b>nothing</b>?x=%00")
    shown(page, "teach")
    assert page.url == f"{server}/#/teach"


def test_what_is_put_into_the_page_does_not_run(server: str, open_page: Open) -> None:
    page = open_page(f"{server}/", expected=("Content Security Policy",))
    shown(page, "teach")
    assert page.evaluate(INJECTED) is None


def test_nothing_moves_for_those_who_want_it_so(server: str, open_page: Open) -> None:
    page = open_page(f"{server}/")
    for view in views(page):
        page.goto(f"{server}/#/{view}")
        shown(page, view)
        assert page.evaluate(MOVING) == 0, view
    page.emulate_media(reduced_motion="no-preference")
    assert page.evaluate(MOVING) > 0


def test_the_frame_works_by_keyboard(server: str, open_page: Open) -> None:
    page = open_page(f"{server}/")
    shown(page, "teach")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    assert page.locator(".skip").bounding_box()["y"] >= 0  # type: ignore[index] - it is seen
    for view in views(page):
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.textContent").lower() == view
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Enter")
    shown(page, views(page)[-2])
    page.locator(".skip").focus()
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "view"
    shown(page, views(page)[-2])


@pytest.mark.parametrize("width", [360, 390])
def test_on_a_phone_the_rail_is_at_the_bottom_and_nothing_is_cut(
    server: str, open_page: Open, wait_for: Callable[..., Any], width: int
) -> None:
    page = open_page(f"{server}/", width=width, height=800, has_touch=True, is_mobile=True)
    for view in views(page):
        page.locator(".rail > a").get_by_text(view.capitalize(), exact=True).tap()
        shown(page, view)
        rail = page.locator(".rail").bounding_box()
        assert rail is not None
        assert (rail["x"], rail["width"], rail["y"] + rail["height"]) == (0, width, 800)
        assert rail["height"] < 80
        assert page.evaluate("document.documentElement.scrollWidth") <= width, view
        # the end of the content can be brought above it, also of what grows while it is read
        wait_for(lambda: page.evaluate(BOTTOM) <= rail["y"] + 1, f"the end of {view}")  # noqa: B023
