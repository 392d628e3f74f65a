"""The view Build: a network as blocks."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import httpx
import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page, Route


def cards(page: Page) -> Locator:
    return page.get_by_role("list", name="the network", exact=True).locator("> li")


def begin(page: Page, what: str) -> None:
    page.get_by_label("begin with").select_option(what)


def totals(page: Page) -> Locator:
    return page.get_by_role("region", name="What it comes to")


def test_a_layer_is_added_changed_moved_and_undone(server: str, open_page: Callable[..., Page]) -> None:
    page = open_page(f"{server}/#/build", expected=("422",))
    totals(page).get_by_text("61,706 numbers").wait_for()
    assert cards(page).count() == 8
    page.get_by_label("Add a layer to the network").select_option("dropout")
    cards(page).nth(8).get_by_text("dropout").first.wait_for()
    page.get_by_role("button", name="Move up").click()
    cards(page).nth(7).get_by_role("button", name="dropout").wait_for()
    cards(page).nth(0).get_by_role("button", name="conv2d").click()
    page.get_by_label("filters").fill("8")
    page.get_by_label("filters").press("Enter")
    cards(page).nth(0).get_by_text("28 × 28 × 8").wait_for()
    page.get_by_label("kernel size").fill("31")
    page.get_by_label("kernel size").press("Enter")
    page.get_by_label("padding").fill("valid")
    page.get_by_label("padding").press("Enter")
    fault = cards(page).nth(0).get_by_role("alert")
    fault.filter(has_text="a 31x31 window does not fit a 28x28 input").wait_for()
    # what it came to before the fault stays, and is not trained
    page.get_by_text("What stands below is the network before it.").wait_for()
    page.get_by_role("heading", name="What it came to, before the fault").wait_for()
    assert page.get_by_role("button", name="Train", exact=True).is_disabled()
    for _ in range(3):
        page.get_by_role("button", name="Undo").click()
    cards(page).nth(0).get_by_text("28 × 28 × 6").wait_for()
    page.reload()
    cards(page).nth(7).get_by_role("button", name="dropout").wait_for()


def test_answers_that_come_while_somebody_types_change_nothing_in_the_field(
    server: str, open_page: Callable[..., Page]
) -> None:
    page = open_page(f"{server}/#/build?preset=lenet-5", expected=("422",))
    totals(page).get_by_text("61,706 numbers").wait_for()
    cards(page).nth(0).get_by_role("button", name="conv2d").click()
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)

    def answer(number: int) -> None:
        waited = 0
        while len(held) < number:
            waited += 1
            assert waited < 1000, f"no call number {number} came"
            page.wait_for_timeout(10)
        held[number - 1].continue_()

    page.route("**/v1/architectures/summary", hold)
    page.get_by_label("filters").fill("8")
    page.get_by_label("filters").press("Enter")
    page.get_by_label("kernel size").fill("31, 5")
    answer(1)
    cards(page).nth(0).get_by_text("28 × 28 × 8").wait_for()
    assert page.get_by_label("kernel size").input_value() == "31, 5"
    page.get_by_label("kernel size").press("Enter")
    # the next edit is made before that answer comes, and only the newest answer counts
    page.get_by_label("padding").fill("valid")
    page.get_by_label("height").fill("64")
    page.get_by_label("height").press("Enter")
    cards(page).nth(0).get_by_role("button", name="kernel size 31×5, padding valid").wait_for()
    # those for the kernel, for the padding, and for the height
    answer(4)
    cards(page).nth(0).get_by_text("34 × 24 × 8").wait_for()
    page.unroute("**/v1/architectures/summary")
    for _ in range(2):
        page.get_by_role("button", name="Undo").click()
    cards(page).nth(0).get_by_role("button", name="kernel size 31×5").wait_for()


def test_keys_alone_build_and_train_a_network(
    server: str, http: httpx.Client, open_page: Callable[..., Page]
) -> None:
    page = open_page(f"{server}/#/build?preset=tiny-vgg")
    cards(page).nth(3).wait_for()
    first = cards(page).nth(0).locator("> button")
    first.focus()
    page.keyboard.press("Enter")
    page.get_by_label("filters").focus()
    page.keyboard.press("Control+A")
    page.keyboard.type("4")
    page.keyboard.press("Tab")
    cards(page).nth(0).get_by_text("× 4").wait_for()
    first.focus()
    page.keyboard.press("Alt+ArrowDown")
    cards(page).nth(1).get_by_role("button", name="filters 4").wait_for()
    page.get_by_role("button", name="Undo").focus()
    page.keyboard.press("Enter")
    begin(page, "preset:lenet-5")
    totals(page).get_by_text("61,706 numbers").wait_for()
    page.get_by_label("Epochs").focus()
    page.keyboard.type("1")
    page.keyboard.press("Enter")
    page.wait_for_url("**/#/watch?job=job_*")
    job = page.url.rpartition("=")[2]
    answer = http.get(f"/v1/training-jobs/{job}").json()
    assert (answer["dataset"], answer["epochs"]) == ("digits", 1)
    http.post(f"/v1/training-jobs/{job}/cancel")


def test_blocks_open_and_what_is_inside_is_edited(server: str, open_page: Callable[..., Page]) -> None:
    page = open_page(f"{server}/#/build?preset=resnet-20", expected=("422",))
    totals(page).get_by_text("272,282 numbers").wait_for()
    block = cards(page).nth(2)
    block.get_by_text("4 layers inside").click()
    inner = block.get_by_role("list", name="layers")
    inner.get_by_role("button", name="conv2d").nth(1).click()
    inner.get_by_label("filters").fill("9")
    inner.get_by_label("filters").press("Enter")
    block.get_by_role("alert").first.wait_for()
    page.get_by_role("heading", name="What it came to, before the fault").wait_for()
    page.get_by_text("272,282 numbers").wait_for()
    # nothing is known of it before: what there is is up to the fault
    page.reload()
    page.get_by_role("heading", name="Up to the fault").wait_for()


def test_a_data_set_that_does_not_fit_is_said_before_it_is_trained(
    server: str, open_page: Callable[..., Page]
) -> None:
    page = open_page(f"{server}/#/build?preset=vgg-small")
    train = page.get_by_role("button", name="Train", exact=True)
    page.get_by_label("Data set").select_option("digits")
    page.get_by_text("digits has pictures of 28 × 28 × 1, the network takes 32 × 32 × 3.").wait_for()
    assert train.is_disabled()
    page.get_by_role("button", name="Make it take 28 × 28 × 1").click()
    train.and_(page.locator(":enabled")).wait_for()
    assert page.get_by_label("height").input_value() == "28"
    begin(page, "preset:lenet-5")
    # a hint is said once, at its layer
    totals(page).get_by_role("button", name="dense_1").click()
    assert page.get_by_text("it holds 48,120 of 61,706 parameters").count() == 1
    cards(page).last.get_by_role("button", name="dense").click()
    page.get_by_label("units").fill("7")
    page.get_by_label("units").press("Enter")
    page.get_by_text("digits has 10 classes, the network ends in 7 numbers").wait_for()
    assert train.is_disabled()


def test_two_networks_side_by_side_and_kept(
    server: str, http: httpx.Client, open_page: Callable[..., Page]
) -> None:
    page = open_page(f"{server}/#/build?preset=lenet-5")
    page.get_by_label("compare with").select_option("vgg-small")
    differences = page.get_by_role("group", name="differences")
    differences.get_by_text("591,274").first.wait_for()
    page.get_by_text("Diagram", exact=True).click()
    page.get_by_alt_text("the network as a diagram").wait_for()
    page.get_by_label("name to keep it under").fill("<img src=x onerror=alert(1)>")
    page.get_by_role("button", name="Keep", exact=True).click()
    link = page.get_by_role("link", name="<img src=x onerror=alert(1)>")
    link.wait_for()
    identifier = str(link.get_attribute("href")).rpartition("=")[2]
    link.click()
    totals(page).get_by_text("61,706 numbers").wait_for()
    assert http.get(f"/v1/architectures/{identifier}").json()["summary"]["totals"]["parameters"] == 61706


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [360, 1280])
def test_axe_finds_nothing(
    server: str, open_page: Callable[..., Page], axe: Callable[[Page], list[str]], width: int, dark: bool
) -> None:
    page = open_page(f"{server}/#/build?preset=lenet-5", width=width, dark=dark)
    totals(page).get_by_text("61,706 numbers").wait_for()
    cards(page).nth(0).get_by_role("button", name="conv2d").click()
    page.get_by_label("kernel size").wait_for()
    assert axe(page) == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), (
        "nothing reaches beyond the window"
    )
