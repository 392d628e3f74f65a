"""The view Teach in a real browser, on a real server: from pictures to a model that tells them apart."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import numpy as np
import pytest

from app.cli.launch import ServerProcess
from tests.crops import crops
from tests.http.drawn_pictures import png
from tests.web.teaching import (
    DROP,
    PASTED,
    TAUGHT_MS,
    Open,
    button,
    choose_folder,
    column,
    teach_page,
    wait_until_taught,
)

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page, Route

HOSTILE = "<img src=x onerror=alert(1)>, \"../\u202e; 'pets'"
"""A name of a class; what is not printable in it is left out when it is sent."""


@pytest.fixture(scope="module")
def things(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Class folders with a few parts of photos."""
    folder = tmp_path_factory.mktemp("pictures") / "things"
    for photo in ("chelsea.jpg", "coffee.jpg"):
        crops(folder / photo.removesuffix(".jpg"), photo, 6)
    return folder


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with a picture that lies in the wrong folder."""
    folder = tmp_path_factory.mktemp("pictures") / "mixed"
    crops(folder / "chelsea", "chelsea.jpg", 12)
    crops(folder / "coffee", "coffee.jpg", 13)
    (folder / "coffee" / "12.jpg").rename(folder / "chelsea" / "wrong.jpg")
    return folder


PHOTO = """async () => {
  const { lean } = await import("./page/views/teach/pictures.js");
  const canvas = new OffscreenCanvas(1200, 1600);
  const pixels = new ImageData(1200, 1600);
  for (let at = 0; at < pixels.data.length; at += 1) pixels.data[at] = at % 4 === 3 ? 255 : 255 * Math.random();
  canvas.getContext("2d").putImageData(pixels, 0, 0);
  const photo = await canvas.convertToBlob({ type: "image/jpeg", quality: 1 });
  const dataTransfer = new DataTransfer();
  dataTransfer.items.add(new File([photo], "large.jpg", { type: "image/jpeg" }));
  document.body.dispatchEvent(new DragEvent("drop", { dataTransfer, bubbles: true, cancelable: true }));
  const sent = await createImageBitmap(await lean(photo, ""));
  return [photo.size, sent.width, sent.height, (await lean(photo, 512)).size - photo.size];
}"""


def test_a_folder_becomes_a_classifier_that_shows_why(
    server: str, open_page: Open, mixed: Path, http: httpx.Client, axe: Callable[[Page], list[str]]
) -> None:
    page = teach_page(open_page, server)
    assert "Begin with pictures" in page.locator(".begin").inner_text()
    choose_folder(page, mixed)
    button(page, "Teach").and_(page.locator(":enabled")).wait_for()
    assert page.locator(".column .count").all_inner_texts() == ["13 pictures", "12 pictures"]
    assert axe(page) == []
    posted: list[str] = []
    page.on("request", lambda request: posted.append(request.url) if request.method == "POST" else None)
    button(page, "Teach").click()
    wait_until_taught(page)
    assert "test pictures" in page.locator(".say").inner_text()
    # what it has not seen is recognised, and the map lies over it
    page.locator("section[aria-label='Try it'] input[type=file]").set_input_files(
        Path(__file__).parents[1] / "data" / "photos" / "coffee.jpg"
    )
    page.locator(".verdict b").get_by_text("coffee").wait_for()
    assert page.get_by_label("Show what it looked at").is_checked()
    page.locator("canvas.seen").wait_for()
    assert "what speaks for coffee" in page.locator(".legend").inner_text()
    assert page.get_by_text("It has learned this very picture").count() == 0
    # the view Look takes it along, and on the way back all is as it was
    page.get_by_role("link", name="See its way through the network").click()
    page.get_by_role("heading", level=1, name="Look").wait_for()
    page.go_back()
    page.locator(".verdict b").get_by_text("coffee").wait_for()
    page.locator("canvas.seen").wait_for()
    assert axe(page) == []
    # a picture in the wrong class is found, and one button corrects it
    page.locator(".suspicious img").wait_for()
    button(page, "It is coffee").click()
    page.get_by_text("Put into coffee. Teach again to use it.").wait_for()
    assert page.locator(".column .count").all_inner_texts() == ["12 pictures", "13 pictures"]
    # "wrong?": the picture goes into the other class, and only that is sent
    page.get_by_label("Wrong? Put it into a class").select_option(label="chelsea")
    page.get_by_text("Now in chelsea.").wait_for()
    del posted[:]
    page.locator(".wrong").get_by_role("button", name="Teach again").click()
    page.locator(".say").wait_for(state="hidden")
    wait_until_taught(page)
    assert [re.sub(r"(ds|model)_\w+", r"\1", url.removeprefix(server)) for url in posted[:2]] == [
        "/v1/datasets/ds/images",
        "/v1/training-jobs",
    ]
    jobs = http.get("/v1/training-jobs", params={"name": "chelsea, coffee"}).json()["data"]
    assert [job["dataset_images"] for job in jobs[:2]] == [26, 25]
    assert jobs[0]["dataset"] == jobs[1]["dataset"]
    assert "all of them learned already" in page.locator(".begin").inner_text()
    page.get_by_text("It has learned this very picture").wait_for()
    # by the names that they came with, but for what would be there twice
    found = http.get(f"/v1/datasets/{jobs[0]['dataset']}/images", params={"limit": 100}).json()["data"]
    names = {one["name"] for one in found}
    assert {"0.jpg", "0 (2).jpg", "8.jpg", "wrong.jpg", "coffee.jpg"} <= names
    assert len(names) == 26
    assert [job["dataset_revision"] for job in jobs[:2]] == [1, 0]
    # everything is there after a reload, and at another width in the dark
    page.reload()
    wait_until_taught(page)
    assert page.locator(".column .count").all_inner_texts() == ["13 pictures", "13 pictures"]
    page.emulate_media(color_scheme="dark")
    page.set_viewport_size({"width": 375, "height": 800})
    assert axe(page) == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    button(page, "Start anew").click()
    button(page, "Forget them").click()
    page.get_by_text("0 pictures").nth(1).wait_for()
    page.reload()
    page.get_by_text("Begin with pictures").wait_for()


def test_keys_alone_teach_from_the_camera_and_files(server: str, open_page: Open, things: Path) -> None:
    page = teach_page(open_page, server, permissions=["camera"])
    streams = """() => {
      const ask = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
      window.streams = [];
      navigator.mediaDevices.getUserMedia = (wish) => ask(wish).then((one) => (window.streams.push(one), one));
    }"""
    page.evaluate(streams)

    def tab_to(target: Locator) -> None:
        for _ in range(60):
            if target.evaluate("(one) => one === document.activeElement"):
                return
            page.keyboard.press("Tab")
        raise AssertionError(f"no Tab leads to {target}")

    first, second = page.locator(".column").nth(0), page.locator(".column").nth(1)
    tab_to(first.get_by_label("Name of the class"))
    page.keyboard.type("cat")
    with page.expect_file_chooser() as chooser:
        tab_to(first.get_by_role("button", name="Files ..."))
        page.keyboard.press("Enter")
    chooser.value.set_files(sorted((things / "chelsea").iterdir()))
    column(page, "cat").get_by_text("6 pictures").wait_for()
    tab_to(second.get_by_label("Name of the class"))
    page.keyboard.type("clock")
    tab_to(second.get_by_role("button", name="Hold to record"))
    page.keyboard.down("Space")
    column(page, "clock").get_by_text(re.compile(r"^[5-9] pictures")).wait_for()
    page.keyboard.up("Space")
    column(page, "clock").get_by_role("button", name="Hold to record").wait_for()
    page.locator("video").nth(1).wait_for(state="hidden")
    # a picture is removed by Delete, and the focus stays among the others
    thumbs = column(page, "cat").locator(".teach-thumbs button")
    page.keyboard.press("Shift+Tab")
    while not thumbs.first.evaluate("(one) => one.closest('ul').contains(document.activeElement)"):
        page.keyboard.press("Shift+Tab")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Delete")
    column(page, "cat").get_by_text("5 pictures").wait_for()
    assert thumbs.first.evaluate("(one) => one.closest('ul').contains(document.activeElement)")
    tab_to(button(page, "Teach"))
    page.keyboard.press("Enter")
    wait_until_taught(page)
    # the light goes off a moment after the key was let go
    ended = "streams.length && streams.every((s) => s.getTracks().every((t) => t.readyState === 'ended'))"
    assert page.evaluate(ended)
    tab_to(button(page, "Use the camera"))
    page.keyboard.press("Enter")
    page.locator(".verdict b").get_by_text("clock").wait_for()


def test_a_thousand_pictures_leave_the_page_usable(server: str, open_page: Open) -> None:
    page = teach_page(open_page, server)
    page.evaluate(
        """() => {
          window.said = new Set();
          new MutationObserver(() => said.add(document.querySelector(".begin .what").textContent))
            .observe(document.body, {subtree: true, childList: true, characterData: true});
        }"""
    )
    transfer = page.evaluate_handle(DROP, [1000, 10])
    page.locator(".column").first.dispatch_event("drop", {"dataTransfer": transfer})
    page.locator(".column").first.get_by_text("900 pictures").wait_for()
    page.get_by_text("Looking at").wait_for(state="hidden")
    # it drew, and so could be used, many times in between
    assert page.evaluate("[...said].filter((one) => one.startsWith('Looking at')).length") > 10
    assert page.locator(".teach-thumbs canvas").count() < 50
    page.get_by_role("button", name="+ 885 more").wait_for()
    page.get_by_text("101 files left out").click()
    assert "is there already" in page.locator(".left-out").first.inner_text()
    page.locator(".left-out").first.get_by_text("broken.png").or_(
        page.get_by_text("and 51 more")
    ).first.wait_for()
    page.reload()
    page.get_by_text("900 pictures").wait_for()
    # what is pasted goes to the class that was used last, what is dropped beside the columns too
    page.locator(".column").nth(1).get_by_label("Name of the class").focus()
    page.locator("body").evaluate(
        "(body, clipboardData) => body.dispatchEvent(new ClipboardEvent('paste', {clipboardData, bubbles: true}))",
        page.evaluate_handle(PASTED, 7),
    )
    page.locator(".column").nth(1).get_by_text("1 picture").wait_for()
    page.locator("h1").dispatch_event("drop", {"dataTransfer": page.evaluate_handle(PASTED, 8)})
    page.locator(".column").nth(1).get_by_text("2 pictures").wait_for()
    page.locator(".teach-thumbs").nth(1).locator("button").first.click()
    button(page, "Remove").click()
    page.locator(".column").nth(1).get_by_text("1 picture").wait_for()
    page.locator(".teach-thumbs").nth(1).locator("button").first.click()
    button(page, "Put into Class 1").click()
    page.get_by_text("901 pictures").wait_for()
    # an archive of class folders becomes classes, and takes the column that nobody has used
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("moon", "sun"):
            for number in range(3):
                content = png(np.full((40, 40, 3), (ord(name[0]), 80 * number, 9), np.uint8))
                archive.writestr(f"sky/{name}/{number}.png", content)
    chosen = {"name": "sky.zip", "mimeType": "application/zip", "buffer": packed.getvalue()}
    page.locator(".column").nth(1).locator("input[accept*='.zip']").set_input_files(chosen)
    column(page, "moon").get_by_text("3 pictures").wait_for()
    column(page, "sun").get_by_text("3 pictures").wait_for()
    assert page.locator(".column").count() == 4


def test_hostile_names_and_a_reload_in_the_middle(
    server: str, open_page: Open, things: Path, http: httpx.Client
) -> None:
    page = teach_page(open_page, server)
    page.on("dialog", lambda dialog: pytest.fail(f"a script ran: {dialog.message}"))
    choose_folder(page, things)
    names = page.get_by_label("Name of the class")
    names.nth(1).wait_for()
    button(page, "Teach").and_(page.locator(":enabled")).wait_for()
    names.nth(0).fill(HOSTILE)
    with page.expect_response(lambda answer: answer.url.endswith("/v1/training-jobs") and answer.ok) as begun:
        button(page, "Teach").click()
    job = begun.value.json()
    page.reload()
    wait_until_taught(page)
    dataset = http.get(f"/v1/datasets/{job['dataset']}").json()
    shown = " ".join(HOSTILE.replace("\u202e", " ").split())
    assert sorted(entry["name"] for entry in dataset["classes"]) == sorted([shown, "coffee"])
    page.locator("section[aria-label='Try it'] input[type=file]").set_input_files(
        things / "chelsea" / "0.jpg"
    )
    page.locator(".verdict b").get_by_text(shown).wait_for()
    assert page.locator("img[src='x']").count() == 0


def test_what_fails_is_said_and_can_be_tried_again(server: str, open_page: Open, things: Path) -> None:
    page = teach_page(open_page, server, expected=("Failed to load", "507", "ERR_FAILED"))
    choose_folder(page, things)
    button(page, "Teach").and_(page.locator(":enabled")).wait_for()
    page.route("**/v1/datasets", lambda route: route.abort())
    button(page, "Teach").click()
    page.get_by_text("The server cannot be reached.").first.wait_for()
    page.unroute("**/v1/datasets")
    refusal = {
        "type": "/problems/quota-exceeded",
        "title": "Full",
        "status": 507,
        "detail": "there is no room left",
    }
    page.route("**/v1/datasets", lambda route: route.fulfill(status=507, json=refusal))
    button(page, "Try again").click()
    page.get_by_text("there is no room left").wait_for()
    # nothing that was done on the page is lost by it, and a run can be stopped
    assert page.locator(".column .count").all_inner_texts() == ["6 pictures", "6 pictures"]
    page.unroute("**/v1/datasets")
    page.get_by_text("From scratch, and all options").click()
    page.get_by_label("Network").select_option("vgg-small")
    page.get_by_label("Epochs").fill("2000")
    button(page, "Try again").click()
    page.get_by_text(re.compile("Epoch [0-9]+ of 2000")).wait_for(timeout=TAUGHT_MS)
    button(page, "Cancel").click()
    page.get_by_text("It was stopped.").wait_for()
    assert "learned already" not in page.locator(".begin").inner_text()


def test_a_server_that_starts_again_is_waited_for(
    start: Callable[..., ServerProcess], open_page: Open, things: Path
) -> None:
    process = start()
    url = process.start()
    page = teach_page(open_page, url, expected=("Failed to load", "ERR_"))
    choose_folder(page, things)
    button(page, "Teach").and_(page.locator(":enabled")).wait_for()
    with page.expect_response(lambda answer: answer.url.endswith("/v1/training-jobs") and answer.ok):
        button(page, "Teach").click()
    process.kill()
    page.get_by_text("It goes on by itself").wait_for()
    port = int(url.rpartition(":")[2])
    with ServerProcess(process.data_dir, process.log, port=port):
        wait_until_taught(page)


def test_a_data_set_of_the_service_is_taught_and_tried(
    server: str, open_page: Open, things: Path, http: httpx.Client, axe: Callable[[Page], list[str]]
) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for picture in sorted(things.rglob("*.jpg")):
            archive.write(picture, picture.relative_to(things))
    sent = {"file": ("things.zip", packed.getvalue())}
    dataset = http.post("/v1/datasets", data={"name": "cups and cats", "defaults": "auto"}, files=sent).json()
    page = open_page(f"{server}/#/watch?dataset={dataset['id']}")
    button(page, "Teach on it").click()
    page.wait_for_url("**/#/teach?job=job_*")
    page.get_by_text("On cups and cats: 12 pictures of 2 classes").wait_for()
    wait_until_taught(page)
    page.locator("section[aria-label='Try it'] input[type=file]").set_input_files(
        Path(__file__).parents[1] / "data" / "photos" / "coffee.jpg"
    )
    page.locator(".verdict b").get_by_text("coffee").wait_for()
    page.locator("canvas.seen").wait_for()
    assert axe(page) == []
    page.reload()
    wait_until_taught(page)
    # the pictures of the page are another matter
    page.get_by_role("link", name="drop your own").click()
    page.get_by_text("Begin with pictures").wait_for()


def test_an_answer_that_was_lost_makes_no_second_job(
    server: str, open_page: Open, things: Path, http: httpx.Client
) -> None:
    page = teach_page(open_page, server, expected=("Failed to load", "ERR_"))
    choose_folder(page, things)
    button(page, "Teach").and_(page.locator(":enabled")).wait_for()
    page.get_by_label("Name of the class").first.fill("a cat that is asked for twice")
    jobs: list[str] = []

    def lose_the_first(route: Route) -> None:
        answer = route.fetch()
        jobs.append(answer.json()["id"])
        if len(jobs) == 1:
            route.abort("connectionreset")
        else:
            route.fulfill(response=answer)

    page.route("**/v1/training-jobs", lose_the_first)
    button(page, "Teach").click()
    wait_until_taught(page)
    assert len(jobs) == 2
    assert jobs[0] == jobs[1]


def test_without_a_secure_context_all_but_the_camera_works(
    server: str, open_page: Open, things: Path
) -> None:
    page = teach_page(open_page, server)
    page.add_init_script(
        """Object.defineProperty(window, "isSecureContext", {value: false});
           Object.defineProperty(crypto, "subtle", {value: undefined});"""
    )
    page.reload()
    page.get_by_text("The camera works only on https:// and on localhost").first.wait_for()
    assert page.get_by_role("button", name="Hold to record").count() == 0
    choose_folder(page, things)
    button(page, "Teach").and_(page.locator(":enabled")).wait_for()
    # a camera's photo is sent smaller, unless larger pictures are asked for
    size, width, height, difference = page.evaluate(PHOTO)
    assert size > 1_000_000
    assert (width, height, difference) == (600, 800, 0)
    page.get_by_text("1 photo of more than 1 MB is made 800 pixels high before it is sent").wait_for()
    # the same once more: all are there already
    choose_folder(page, things)
    page.get_by_text("6 files left out").nth(1).wait_for()
