"""The view Learn: the article to be tried, with the service's own arithmetic."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from tests.digits import load_digits
from tests.http.drawn_pictures import png

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page


def lesson(page: Page, name: str) -> Locator:
    found = page.locator(f"#learn-{name}")
    found.scroll_into_view_if_needed()
    return found


def slide(part: Locator, name: str, to: int) -> None:
    part.get_by_role("slider", name=name).fill(str(to))


def rows(part: Locator, name: str) -> list[list[str]]:
    table = part.get_by_role("table", name=name, exact=True)
    return [row.locator("td").all_inner_texts() for row in table.locator("tr").all()]


def test_the_numbers_of_the_article_come_out(server: str, open_page: Callable[..., Page]) -> None:
    page = open_page(f"{server}/#/learn")
    part = lesson(page, "convolution")
    part.get_by_text("⌊(6 + 2 · 0 - 3) / 1 + 1⌋ = 4").first.wait_for()
    assert rows(part, "the output") == [["0", "30", "30", "0"]] * 4
    part.get_by_role("button", name="row 1, column 1: 30").click()
    part.get_by_text("sum of 9 products 30 + bias 0 = 30").wait_for()
    slide(part, "Padding", 1)
    part.get_by_text("⌊(6 + 2 · 1 - 3) / 1 + 1⌋ = 6").first.wait_for()
    part.get_by_text("Same: p = (f - 1) / 2").wait_for()
    slide(part, "Stride", 3)
    part.get_by_text("⌊(6 + 2 · 1 - 3) / 3 + 1⌋ = 2").first.wait_for()
    # letter by letter: a minus alone is no number yet
    cell = part.get_by_role("table", name="the image").get_by_label("row 1, column 2", exact=True)
    cell.press("Control+A")
    cell.press_sequentially("-7")
    part.get_by_role("button", name="row 0, column 0: -3").wait_for()


def test_a_number_is_chosen_by_arrow_keys(server: str, open_page: Callable[..., Page]) -> None:
    page = open_page(f"{server}/#/learn")
    part = lesson(page, "pooling")
    part.get_by_role("button", name="row 0, column 0: 6").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowDown")
    assert part.get_by_role("button", name="row 1, column 1: 4").get_attribute("aria-pressed") == "true"
    part.get_by_text("max(1, 0, 2, 4) = 4").wait_for()


def test_every_lesson_answers(server: str, open_page: Callable[..., Page]) -> None:
    page = open_page(f"{server}/#/learn")
    filters = lesson(page, "filters")
    filters.get_by_text("⌊(28 + 2 · 1 - 3) / 1 + 1⌋ = 28").first.wait_for()
    filters.get_by_role("combobox", name="Filter").select_option("sobel_x")
    filters.locator("input[type=file]").set_input_files(
        {"name": "three.png", "mimeType": "image/png", "buffer": png(load_digits().images[0, :, :, 0])}
    )
    slide(filters, "Stride", 2)
    filters.get_by_text("= 14").first.wait_for()
    volumes = lesson(page, "volumes")
    slide(volumes, "Filters", 4)
    volumes.get_by_text("(3 × 3 × 3 + 1) × 4 = 112").wait_for()
    dense = lesson(page, "dense")
    slide(dense, "Output numbers", 3)
    dense.get_by_text("6 × 3 weights + 3 biases = 21").wait_for()
    why = lesson(page, "why")
    why.get_by_text("156 instead of 2.7 million").wait_for()
    network = lesson(page, "network")
    network.get_by_text("61,706 numbers to learn").wait_for()
    training = lesson(page, "training")
    training.get_by_text("On these eight pictures the loss is").wait_for()
    slide(training, "Learning rate", 7)
    training.get_by_text("The step was too long").wait_for()
    residual = lesson(page, "residual")
    residual.get_by_text("it has learnt to do nothing").wait_for()
    assert rows(residual, "output of the block")[0] == ["1", "2", "3", "2"]
    lesson(page, "inception").get_by_text("times fewer multiplications").wait_for()
    assert page.get_by_role("alert").count() == 0


def test_a_picture_that_is_none_is_said_in_the_words_of_the_service(
    server: str, open_page: Callable[..., Page]
) -> None:
    page = open_page(f"{server}/#/learn", expected=("422",))
    part = lesson(page, "filters")
    part.get_by_text("= 28").first.wait_for()
    part.locator("input[type=file]").set_input_files(
        {"name": "<b>x</b>.png", "mimeType": "image/png", "buffer": b"no picture"}
    )
    part.get_by_role("alert").wait_for()


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [360, 1280])
def test_axe_finds_nothing(
    server: str, open_page: Callable[..., Page], axe: Callable[[Page], list[str]], width: int, dark: bool
) -> None:
    page = open_page(f"{server}/#/learn", width=width, dark=dark)
    lesson(page, "inception").get_by_text("times fewer multiplications").wait_for()
    lesson(page, "training").get_by_text("On these eight pictures the loss is").wait_for()
    assert axe(page) == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), (
        "nothing reaches beyond the window"
    )
