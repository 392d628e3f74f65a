"""What the view Teach keeps in the browser: over a reload, in two tabs, and when it cannot."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest

from tests.crops import crops
from tests.web.teaching import DROP, Open, button, choose_folder, column, teach_page, wait_until_taught

if TYPE_CHECKING:
    from playwright.sync_api import Dialog, Page

RELOAD = """(count) => new MutationObserver(() => {
  const said = document.querySelector(".begin .what").textContent;
  const counted = document.querySelector(".column .count").textContent;
  if (counted !== `${count} pictures` || said.startsWith("Looking at")) return;
  if (!sessionStorage.getItem("reloaded")) {
    sessionStorage.setItem("reloaded", "yes");
    location.reload();
  }
}).observe(document.body, {subtree: true, childList: true, characterData: true})"""
"""Reload the page in the moment in which it says that all pictures were looked at."""


@pytest.fixture(scope="module")
def things(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Class folders with a few parts of photos."""
    folder = tmp_path_factory.mktemp("pictures") / "things"
    for photo in ("chelsea.jpg", "coffee.jpg"):
        crops(folder / photo.removesuffix(".jpg"), photo, 4)
    return folder


def drop(page: Page, count: int) -> None:
    transfer = page.evaluate_handle(DROP, [count, 0])
    page.locator(".column").first.dispatch_event("drop", {"dataTransfer": transfer})


def test_what_was_looked_at_is_there_after_a_reload_at_once(server: str, open_page: Open) -> None:
    page = teach_page(open_page, server)
    page.evaluate(RELOAD, 60)
    with page.expect_navigation():
        drop(page, 60)
    column(page, "Class 1").get_by_text("60 pictures").wait_for()
    assert page.get_by_text("Looking at").count() == 0


def test_leaving_while_pictures_are_looked_at_asks_and_keeps_the_rest(server: str, open_page: Open) -> None:
    page = teach_page(open_page, server)
    asked: list[str] = []

    def answer(dialog: Dialog) -> None:
        asked.append(dialog.type)
        dialog.accept()

    page.on("dialog", answer)
    # a browser asks only where somebody has done something
    page.locator("h1").click()
    page.evaluate("window.requestIdleCallback = (then) => window.goOn = then")
    drop(page, 60)
    page.get_by_text("Looking at 45 pictures more").wait_for()
    page.reload()
    assert asked == ["beforeunload"]
    column(page, "Class 1").get_by_text("16 pictures").wait_for()


def test_what_cannot_be_read_is_said_and_not_written_over(server: str, open_page: Open, things: Path) -> None:
    page = teach_page(open_page, server)
    choose_folder(page, things)
    button(page, "Teach").and_(page.locator(":enabled")).wait_for()
    page.evaluate("sessionStorage.setItem('broken', 'yes')")
    page.add_init_script(
        """if (sessionStorage.getItem("broken")) IDBObjectStore.prototype.getAll = () => {
             throw new Error("it is damaged");
           };"""
    )
    page.reload()
    page.get_by_text("cannot be read (it is damaged)").wait_for()
    drop(page, 3)
    column(page, "Class 1").get_by_text("3 pictures").wait_for()
    page.get_by_text("Looking at").wait_for(state="hidden")
    page.evaluate("sessionStorage.clear()")
    page.reload()
    column(page, "coffee").get_by_text("4 pictures").wait_for()
    assert column(page, "Class 1").count() == 0


def test_a_browser_without_room_says_what_is_not_kept(server: str, open_page: Open) -> None:
    page = teach_page(open_page, server)
    drop(page, 5)
    column(page, "Class 1").get_by_text("5 pictures").wait_for()
    page.get_by_text("Looking at").wait_for(state="hidden")
    # a write that fails as one does for which there is no room: later, and as a whole
    page.evaluate(
        """() => {
          const put = IDBObjectStore.prototype.put;
          IDBObjectStore.prototype.put = function (value, key) {
            const request = put.call(this, value, key);
            if (value instanceof Blob) this.add(value, key);
            return request;
          };
        }"""
    )
    transfer = page.evaluate_handle(DROP, [9, 0])
    page.locator(".column").nth(1).dispatch_event("drop", {"dataTransfer": transfer})
    page.get_by_text("This browser has no more room.").wait_for()
    page.locator(".column").nth(1).get_by_text("4 pictures").wait_for()
    page.get_by_label("Name of the class").nth(1).fill("kept all the same")
    page.get_by_text("Looking at").wait_for(state="hidden")
    page.reload()
    column(page, "kept all the same").get_by_text("0 pictures").wait_for()
    assert page.locator(".column .count").all_inner_texts() == ["5 pictures", "0 pictures"]


def test_one_tab_at_a_time_goes_on_with_the_pictures(server: str, open_page: Open, things: Path) -> None:
    first = teach_page(open_page, server)
    choose_folder(first, things)
    button(first, "Teach").and_(first.locator(":enabled")).wait_for()
    second = first.context.new_page()
    second.goto(f"{server}/#/teach")
    second.get_by_text("Teach is open in another tab").wait_for()
    assert second.locator(".column").count() == 0
    # what the first tab says when it has waited for a while comes when the test wants it
    first.evaluate(
        """() => {
          const later = window.setTimeout;
          window.setTimeout = (then, ms) => (ms === 300 ? ((window.late = then), 0) : later(then, ms));
        }"""
    )
    button(second, "Go on here").click()
    column(second, "coffee").get_by_text("4 pictures").wait_for()
    first.get_by_text("Teach is open in another tab").wait_for()
    second.get_by_label("Name of the class").first.fill("cat")
    # while pictures are looked at a tab keeps them
    second.evaluate("window.requestIdleCallback = (then) => window.goOn = then")
    drop(second, 20)
    second.get_by_text("Looking at 5 pictures more").wait_for()
    button(first, "Go on here").click()
    answer = first.get_by_text("The other tab is still looking at pictures")
    answer.wait_for()
    first.evaluate("late()")
    first.evaluate("new Promise((drawn) => requestAnimationFrame(() => setTimeout(drawn)))")
    assert answer.is_visible()
    second.evaluate("goOn()")
    column(second, "cat").get_by_text("24 pictures").wait_for()
    second.get_by_text("Looking at").wait_for(state="hidden")
    # a tab that is closed leaves them to the other
    second.close()
    column(first, "cat").get_by_text("24 pictures").wait_for()
    column(first, "coffee").get_by_text("4 pictures").wait_for()


def test_a_tab_that_does_not_answer_has_to_be_closed(server: str, open_page: Open) -> None:
    first = teach_page(open_page, server)
    first.add_init_script(
        "Object.defineProperty(BroadcastChannel.prototype, 'onmessage', {set: () => {}, get: () => null});"
    )
    first.reload()
    drop(first, 3)
    column(first, "Class 1").get_by_text("3 pictures").wait_for()
    first.get_by_text("Looking at").wait_for(state="hidden")
    second = first.context.new_page()
    second.goto(f"{server}/#/teach")
    button(second, "Go on here").click()
    second.get_by_text("The other tab does not answer.").wait_for()
    first.close()
    column(second, "Class 1").get_by_text("3 pictures").wait_for()


def test_a_run_goes_on_in_the_tab_that_takes_over(
    server: str, open_page: Open, things: Path, http: httpx.Client
) -> None:
    first = teach_page(open_page, server)
    choose_folder(first, things)
    button(first, "Teach").and_(first.locator(":enabled")).wait_for()
    first.get_by_label("Name of the class").first.fill("a cat in two tabs")
    with first.expect_response(lambda answer: answer.url.endswith("/v1/training-jobs") and answer.ok):
        button(first, "Teach").click()
    second = first.context.new_page()
    second.goto(f"{server}/#/teach")
    button(second, "Go on here").click()
    wait_until_taught(second)
    assert "4 pictures" in column(second, "a cat in two tabs").inner_text()
    jobs = http.get("/v1/training-jobs", params={"name": "a cat in two tabs, coffee"}).json()["data"]
    assert len(jobs) == 1


def test_without_locks_a_tab_is_told_that_another_has_changed_the_pictures(
    server: str, open_page: Open, things: Path
) -> None:
    first = teach_page(open_page, server)
    first.context.add_init_script("Object.defineProperty(navigator, 'locks', {value: undefined})")
    first.reload()
    first.locator(".column").first.wait_for()
    second = first.context.new_page()
    second.goto(f"{server}/#/teach")
    second.locator(".column").first.wait_for()
    first.bring_to_front()
    choose_folder(first, things)
    column(first, "coffee").get_by_text("4 pictures").wait_for()
    first.get_by_text("Looking at").wait_for(state="hidden")
    second.bring_to_front()
    second.get_by_label("Name of the class").first.fill("mine")
    second.get_by_text("Another tab has changed these pictures since.").wait_for()
    second.reload()
    column(second, "coffee").get_by_text("4 pictures").wait_for()
    assert column(second, "mine").count() == 0
