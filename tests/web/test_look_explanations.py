"""The view Look: what speaks for a class, by one method or two, and their options."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING

import httpx

from tests.web.test_look import MODEL

if TYPE_CHECKING:
    from playwright.sync_api import Page

    OpenPage = Callable[..., Page]


def test_options_of_explanations_are_behind_a_fold(server: str, open_page: OpenPage) -> None:
    page = open_page(f"{server}/#/look?number=26&tab=why&other=grad_cam", expected=("422",))
    page.get_by_text("It weighs the maps of max_pool2d_2.").wait_for()
    page.get_by_text("Options", exact=True).nth(1).click()
    node = page.get_by_role("combobox", name="node")
    node.locator("option", has_text="conv2d_2/activation").wait_for(state="attached")
    node.select_option("conv2d_2/activation")
    page.get_by_text("It weighs the maps of conv2d_2/activation.").wait_for()
    page.get_by_text("Options", exact=True).click()
    steps = page.get_by_label("steps")
    steps.fill("7")
    steps.press("Enter")
    page.get_by_text(re.compile("(complete after|After) 7 steps")).wait_for()
    # both stand in the address
    page.reload()
    page.get_by_text(re.compile("(complete after|After) 7 steps")).wait_for()
    page.get_by_text("It weighs the maps of conv2d_2/activation.").wait_for()
    page.get_by_text("Options, 1 of your own").first.click()
    steps.fill("9999")
    steps.press("Enter")
    page.get_by_role("alert").get_by_text("use 512 or less").wait_for()
    assert steps.get_attribute("aria-invalid") == "true"
    page.get_by_role("button", name="As usual").click()
    page.get_by_text("The sum is complete after").wait_for()


def test_explanations_can_be_compared(server: str, http: httpx.Client, open_page: OpenPage) -> None:
    page = open_page(f"{server}/#/look?number=26&tab=why")
    page.get_by_text("The sum is complete after").wait_for()
    page.get_by_role("combobox", name="Beside it").select_option("grad_cam")
    page.get_by_text("It weighs the maps of max_pool2d_2.").wait_for()
    assert page.locator(".overlay canvas").count() == 2
    page.get_by_label("How much of the map").fill("0.25")
    assert page.locator(".laid").first.evaluate("one => getComputedStyle(one).opacity") == "0.25"
    page.get_by_role("combobox", name="What speaks for").select_option("8")
    picture = http.get("/v1/datasets/digits/images/26").content
    answer = http.post(
        f"{MODEL}/explain",
        params={"method": "gradient", "class": "8", "relative": True},
        content=picture,
        headers={"Content-Type": "image/png"},
    )
    score = answer.json()["score"]
    where = "below" if score < 0 else "above"
    page.get_by_text(f"Its score is {abs(score):.3f} {where} the mean of all classes.").first.wait_for()
