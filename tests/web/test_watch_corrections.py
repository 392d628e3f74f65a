"""Corrections of a picture that are made faster than the service answers."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import httpx

from tests.http.drawn_pictures import archive_of_squares, ingested

if TYPE_CHECKING:
    from playwright.sync_api import Page, Route


def test_quick_corrections_of_labels_undo_none_of_each_other(
    server: str, http: httpx.Client, wait_for: Callable[..., Any], open_page: Callable[..., Page]
) -> None:
    dataset = ingested(http, archive_of_squares(), wait_for, name="squares", target="labels")["id"]
    page = open_page(f"{server}/#/watch?dataset={dataset}")
    page.get_by_role("list", name="All pictures").get_by_role("button").first.click()
    dialog = page.get_by_role("dialog")
    boxes = dialog.get_by_role("group", name="Labels").get_by_role("checkbox")
    boxes.nth(1).wait_for()
    before = [box.is_checked() for box in boxes.all()]
    held: list[Route] = []

    def hold_the_first(route: Route) -> None:
        if route.request.method == "PATCH" and not held:
            held.append(route)
        else:
            route.continue_()

    page.route("**/v1/datasets/*/images/*", hold_the_first)
    with page.expect_request(lambda request: request.method == "PATCH") as first:
        boxes.nth(0).click()
    boxes.nth(1).click()
    number = first.value.url.rpartition("/")[2]
    with page.expect_response(
        lambda answer: answer.request.method == "PATCH" and answer.request != first.value
    ):
        held[0].continue_()
    listed = http.get(f"/v1/datasets/{dataset}/images", params={"limit": 100}).json()["data"]
    labels = next(one["labels"] for one in listed if str(one["number"]) == number)
    names = [one["name"] for one in http.get(f"/v1/datasets/{dataset}").json()["classes"]]
    now = [name in labels for name in names]
    assert now == [not before[0], not before[1], *before[2:]]
