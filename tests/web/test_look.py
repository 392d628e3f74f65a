"""The view that looks into a model, in a real browser."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import parse_qs, urlsplit

import httpx
import numpy as np
from PIL import Image

from tests.http.colour_models import colour_model, imported

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

    OpenPage = Callable[..., Page]

SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
HOSTILE = "<img src=x onerror=document.title='run'>"
MODEL = "/v1/models/model_example"


def parameters(page: Page) -> dict[str, str]:
    """Return what the address of the page says is chosen."""
    query = urlsplit(page.evaluate("location.hash.slice(1)")).query
    return {name: values[0] for name, values in parse_qs(query).items()}


def trace(http: httpx.Client, number: int, node: str, position: str) -> Any:
    """Return the arithmetic of a number for a picture of the digits, as the service tells it."""
    picture = http.get(f"/v1/datasets/digits/images/{number}").content
    answer = http.post(
        f"{MODEL}/trace",
        params={"node": node, "position": position},
        content=picture,
        headers={"Content-Type": "image/png"},
    )
    return answer.json()["data"][0]


def row(page: Page, node: str) -> Locator:
    """Return the row of a node."""
    found = page.locator(".node", has=page.locator("b").get_by_text(node, exact=True)).first
    # maps are drawn when they come near the screen
    found.scroll_into_view_if_needed()
    return found


def test_a_number_is_taken_apart_as_the_article_does(
    server: str, http: httpx.Client, open_page: OpenPage
) -> None:
    page = open_page(f"{server}/#/look?dataset=digits&number=26")
    page.get_by_role("status").get_by_text("lenet-5-digits sees 3").wait_for()
    page.get_by_text("dense_3").wait_for()
    names = page.locator(".node b").all_inner_texts()
    assert names[:3] == ["input", "conv2d_1/activation", "max_pool2d_1"]
    assert names[-1] == "dense_3"
    maps = row(page, "conv2d_1/activation").locator(".mapbutton")
    assert maps.count() == 6
    # the 12th row and 18th column of 28, on a map of 62 pixels
    maps.nth(0).click(position={"x": 17.5 / 28 * 62, "y": 11.5 / 28 * 62})
    heading = page.get_by_role("heading", name="conv2d_1/activation, channel 0, row 11, column 17")
    heading.wait_for()
    assert parameters(page) == {
        "dataset": "digits",
        "number": "26",
        "node": "conv2d_1/activation",
        "at": "11,17,0",
    }
    expect_sum(page, trace(http, 26, "conv2d_1", "11,17,0"))
    tables = page.locator(".equation table")
    assert tables.count() == 3
    assert [table.locator("td").count() for table in tables.all()] == [25, 25, 25]
    # arrow keys go on from there, and the address follows
    page.locator(".points").focus()
    for key in ("ArrowDown", "ArrowLeft", "ArrowLeft", "PageDown"):
        page.keyboard.press(key)
    page.get_by_role(
        "heading", name="conv2d_1/activation, channel 1, row 12, column 15", exact=True
    ).wait_for()
    expect_sum(page, trace(http, 26, "conv2d_1", "12,15,1"))
    page.reload()
    expect_sum(page, trace(http, 26, "conv2d_1", "12,15,1"))


def expect_sum(page: Page, found: Any) -> None:
    """Wait for the sum, the bias and the activation of a number."""
    numbers = found["trace"]
    total = shown(numbers["output"])
    page.locator(".sum").get_by_text(
        f"sum of 25 products {shown(numbers['sum'])} + bias {shown(numbers['bias'])} = {total}; "
        f"a = relu({total}) = {shown(found['through']['trace']['output'])}"
    ).wait_for()


def shown(number: float) -> str:
    """Return a number as sums are written."""
    size = abs(number)
    if not size:
        return "0"
    if size >= 0.1:
        return f"{number:.3f}"
    return f"{number:#.3g}" if size >= 1e-4 else re.sub(r"e([-+])0?", r"e\1", f"{number:.2e}")


def test_channels_pools_and_terms_are_told_apart(
    server: str, http: httpx.Client, open_page: OpenPage
) -> None:
    page = open_page(f"{server}/#/look?number=26&node=conv2d_2&at=4,3,2")
    field = page.get_by_label("Input channel, of 6")
    field.wait_for()
    # the block of the node that the link names is unfolded; folding it closes the number
    row(page, "conv2d_2/activation").get_by_role("button", name="hide conv2d_2").click()
    field.wait_for(state="detached")
    assert parameters(page) == {"number": "26"}
    page.goto(f"{server}/#/look?number=26&node=conv2d_2&at=4,3,2")
    field.wait_for()
    window = np.array(trace(http, 26, "conv2d_2", "4,3,2")["trace"]["products"])
    field.fill("5")
    part = window[:, :, 5].sum()
    page.get_by_text(re.compile(rf"It gives {re.escape(f'{part:.3f}')}")).wait_for()
    row(page, "max_pool2d_1").locator(".mapbutton").nth(3).click()
    page.get_by_text("the largest is in row").wait_for()
    assert page.locator("td.on").count() == 1
    row(page, "dense_3").locator(".strip").click(position={"x": 3.5 * 24, "y": 10})
    page.get_by_role("heading", name="dense_3, number 3, 3").wait_for()
    page.get_by_text("the other 74").wait_for()
    # the terms are numbers of the layer before, and lead there
    page.locator(".parts td button").first.click()
    page.get_by_role("heading", name="dense_2/activation, number").wait_for()


def test_all_maps_and_gradients_are_shown(server: str, open_page: OpenPage) -> None:
    page = open_page(f"{server}/#/look?number=26")
    row(page, "conv2d_2/activation").get_by_role("button", name="All 16 maps").click()
    page.wait_for_function(
        "() => document.querySelectorAll('[aria-label^=\"all maps\"] canvas').length === 16"
    )
    page.get_by_role("combobox", name="Show").select_option("loss")
    page.get_by_role("combobox", name="If it were").select_option("5")
    page.get_by_text(re.compile(r"The loss, were the picture 5, is \d+\.\d+")).wait_for()
    assert parameters(page)["show"] == "loss"
    row(page, "conv2d_1/activation").locator(".mapbutton").nth(2).click()
    page.get_by_text(re.compile("the loss, were it 5, would (grow|fall) by|changes nothing")).wait_for()
    page.get_by_text("How the number itself came about").click()
    page.get_by_text(re.compile("sum of 25 products")).wait_for()


def test_filters_are_pictures(server: str, open_page: OpenPage) -> None:
    page = open_page(f"{server}/#/look?tab=filters")
    page.get_by_label("filter 5, input channel 0").wait_for()
    page.get_by_role("combobox", name="Node").select_option("conv2d_2")
    page.get_by_label("filter 15, input channel 5").wait_for()
    page.get_by_role("combobox", name="Node").select_option("dense_2")
    page.get_by_label("the 120 × 84 weights of dense_2").wait_for()


def test_the_keyboard_is_enough(server: str, open_page: OpenPage) -> None:
    page = open_page(f"{server}/#/look?number=26")
    row(page, "conv2d_1/activation").locator(".mapbutton").first.wait_for()
    page.get_by_role("combobox", name="Colours").focus()
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")  # past the map of the input
    while page.evaluate("document.activeElement.closest('.node')?.innerText.startsWith('input')"):
        page.keyboard.press("Tab")
    if not page.evaluate("document.activeElement.classList.contains('mapbutton')"):
        page.keyboard.press("Tab")  # the button that unfolds the block
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="conv2d_1/activation, channel 1, row").wait_for()
    page.locator(".points").wait_for()
    for _ in range(20):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.classList.contains('points')"):
            break
    column = int(parameters(page)["at"].split(",")[1])
    page.keyboard.press("ArrowLeft" if column else "ArrowRight")
    page.wait_for_function(f"() => !location.hash.includes('%2C{column}%2C')")


def test_names_of_files_and_classes_stay_text(
    server: str, http: httpx.Client, open_page: OpenPage, tmp_path: Path
) -> None:
    model = imported(http, colour_model(classes=(HOSTILE, "green", "blue")))
    pixels = np.zeros((16, 16, 3), np.uint8)
    pixels[..., 0] = 255
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    page = open_page(f"{server}/#/look?model={model}")
    page.locator("input[type=file]").set_input_files(
        {"name": f"{HOSTILE}.png", "mimeType": "image/png", "buffer": buffer.getvalue()}
    )
    page.get_by_role("status").get_by_text(f"sees {HOSTILE}").wait_for()
    page.get_by_text(f"{HOSTILE}.png").wait_for()
    assert page.title() == "Look - convserve"
    # what somebody brought is still there after a reload
    page.reload()
    page.get_by_text(f"{HOSTILE}.png").wait_for()
    page.get_by_role("status").get_by_text(f"sees {HOSTILE}").wait_for()
    assert page.locator("img[src=x]").count() == 0


def test_what_fails_is_told_in_the_words_of_the_service(
    server: str, http: httpx.Client, open_page: OpenPage
) -> None:
    page = open_page(f"{server}/#/look?model=model_gone", expected=("422", "404"))
    page.get_by_text("There is no model model_gone here any more.").wait_for()
    page.get_by_role("combobox", name="Model").select_option("model_example")
    page.get_by_role("status").get_by_text("lenet-5-digits sees").wait_for()
    broken = {"name": "no.png", "mimeType": "image/png", "buffer": b"this is no picture"}
    page.locator("input[type=file]").set_input_files(broken)
    answer = http.post(
        f"{MODEL}/predict", files={"files": ("no.png", b"this is no picture", "image/png")}
    ).json()
    page.get_by_role("alert").get_by_text(answer["errors"][0]["detail"]).first.wait_for()


def test_models_of_labels_and_values_are_looked_into(
    server: str, http: httpx.Client, open_page: OpenPage
) -> None:
    tagger, meter = (imported(http, colour_model(target=target)) for target in ("labels", "values"))
    page = open_page(f"{server}/#/look?model={meter}&show=score")
    page.get_by_role("status").get_by_text("colours says red ").wait_for()
    page.get_by_text("The score of red is").wait_for()
    page.get_by_role("tab", name="What speaks for it").click()
    page.get_by_role("combobox", name="What speaks for").select_option("green")
    page.get_by_text("Orange speaks for green, blue against it.").wait_for()
    page.get_by_role("combobox", name="Model").select_option(tagger)
    page.get_by_role("status").get_by_text("colours sees").wait_for()
    page.get_by_text(re.compile("Its score is [0-9.-]+$")).wait_for()


def test_samples_of_an_inverted_data_set_are_not_inverted_twice(
    server: str, http: httpx.Client, open_page: OpenPage, ready: Callable[..., Any]
) -> None:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        # what becomes red and green when it is inverted, each a little different: the same twice would be left out
        for label, colour in (("red", (0, 255, 255)), ("green", (255, 0, 255))):
            for number in range(3):
                picture = Image.new("RGB", (16, 16), colour)
                picture.putpixel((number, 0), (0, 0, 0))
                buffer = io.BytesIO()
                picture.save(buffer, "PNG")
                file.writestr(f"{label}/{number}.png", buffer.getvalue())
    form = {"name": "inverted", "image_size": "16", "channels": "3", "invert": "true"}
    made = http.post("/v1/datasets", data=form, files={"file": ("two.zip", archive.getvalue())})
    assert made.is_success, made.text
    dataset = ready(http, made.json()["id"])["id"]
    model = imported(http, colour_model(invert=True))
    pictures = http.get(f"/v1/datasets/{dataset}/images").json()["data"]
    page = open_page(server)
    for picture in pictures:
        page.goto(f"{server}/#/look?model={model}&dataset={dataset}&number={picture['number']}")
        page.get_by_text(
            f"picture {picture['number']} of inverted, said to show {picture['label']}"
        ).wait_for()
        page.get_by_role("status").get_by_text(f"colours sees {picture['label']}").wait_for()


def test_the_camera_gives_a_picture(server: str, open_page: OpenPage) -> None:
    page = open_page(f"{server}/#/look", permissions=["camera"])
    page.get_by_role("button", name="Use the camera").click()
    shoot = page.get_by_role("button", name="Take the picture")
    page.wait_for_function("() => document.querySelector('video')?.videoWidth > 0")
    shoot.click()
    page.get_by_text(re.compile(r"^camera .*\.jpg$")).wait_for()
    page.get_by_role("status").get_by_text("lenet-5-digits sees").wait_for()
    assert parameters(page) == {"picture": "own"}


def test_who_leaves_while_a_picture_is_read_is_not_called_back(server: str, open_page: OpenPage) -> None:
    page = open_page("about:blank")
    # reads for ever
    page.add_init_script("FileReader.prototype.readAsDataURL = function () { window.reader = this; };")
    page.goto(f"{server}/#/look")
    picture = io.BytesIO()
    Image.new("L", (28, 28), 255).save(picture, "PNG")
    file = page.locator("input[type=file]").first
    file.set_input_files({"name": "mine.png", "mimeType": "image/png", "buffer": picture.getvalue()})
    page.get_by_text("mine.png").wait_for()
    page.wait_for_function("window.reader !== undefined")
    page.goto(f"{server}/#/learn")
    page.evaluate("window.reader.onload()")
    page.evaluate("fetch('v1/models/model_example').then((answer) => answer.json())")
    assert page.evaluate("location.hash") == "#/learn"


def test_everybody_can_use_it(server: str, open_page: OpenPage, axe: Callable[[Page], list[str]]) -> None:
    place = "#/look?number=26&node=conv2d_1&at=4,3,2"
    page = open_page(f"{server}/{place}")
    overhang = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    signs = {
        "": ".equation",
        "&show=loss&class=5": "[aria-label^='What flows back'] table",
        "&tab=why": ".say",
        "&tab=filters": ".bank",
    }
    for more, sign in signs.items():
        page.evaluate("place => location.hash = place", f"{place}{more}")
        page.locator(sign).first.wait_for()
        if more == "&tab=why":
            page.get_by_text("Options", exact=True).click()
            page.get_by_label("steps").wait_for()
        for width in (375, 1280):
            page.set_viewport_size({"width": width, "height": 900})
            assert page.evaluate(overhang) <= 0
            for scheme in SCHEMES:
                page.emulate_media(color_scheme=scheme)
                assert axe(page) == [], f"{more}, {width} pixels wide, {scheme}"
