"""The view Look: how gradients at single numbers come about."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import httpx
import numpy as np

from engine.graph.architecture import Architecture
from engine.graph.network import Network
from engine.inputs.preprocessing import Preprocessing
from engine.model.model_file import Model, model_bytes
from engine.recipe.losses import SoftmaxCrossEntropy
from tests.http.colour_models import imported
from tests.web.test_look import MODEL, row, shown

if TYPE_CHECKING:
    from playwright.sync_api import Page

    OpenPage = Callable[..., Page]


def gradient_trace(http: httpx.Client, node: str, position: str, **query: str) -> Any:
    """Return how the gradient at a number for picture 26 of the digits comes about, as the service tells it."""
    picture = http.get("/v1/datasets/digits/images/26").content
    answer = http.post(
        f"{MODEL}/trace",
        params={"node": node, "position": position, **query},
        content=picture,
        headers={"Content-Type": "image/png"},
    )
    return answer.json()["data"][0]


def test_a_gradient_is_taken_apart_as_a_number_is(
    server: str, http: httpx.Client, open_page: OpenPage
) -> None:
    page = open_page(f"{server}/#/look?dataset=digits&number=26&show=loss&class=5&node=max_pool2d_1&at=6,6,3")
    found = gradient_trace(http, "max_pool2d_1", "6,6,3", gradient="loss", **{"class": "5"})
    back = page.get_by_role("group", name="What flows back from conv2d_2")
    back.get_by_text(f"sum of 400 products = {shown(found['gradient'])}").wait_for()
    # gradients, filter and products of the filter that gives most
    products = np.array(found["readers"][0]["products"])
    strongest = int(np.abs(products.sum(axis=(0, 1))).argmax())
    back.get_by_text(f"gradients in conv2d_2, channel {strongest}, 5 × 5").wait_for()
    assert [table.locator("td").count() for table in back.locator(".equation table").all()] == [25, 25, 25]
    part = shown(products[..., strongest].sum())
    back.get_by_text(f"It gives {part} of the sum {shown(found['gradient'])}.").wait_for()
    other = (strongest + 1) % 16
    back.get_by_label("Filter, of 16").fill(str(other))
    back.get_by_text(f"It gives {shown(products[..., other].sum())} of the sum").wait_for()
    # the map that it flows back from leads there, and what follows is a single derivative
    back.get_by_role("button", name="conv2d_2").click()
    page.get_by_role("heading", name=f"conv2d_2, channel {other}, row").wait_for()
    page.get_by_role("group", name="What flows back from conv2d_2/activation").get_by_text(
        "sum of 1 product ="
    ).wait_for()
    # at the scores the way back begins
    row(page, "dense_3").locator(".strip").click(position={"x": 3.5 * 24, "y": 10})
    page.get_by_text("Here the way back begins").wait_for()


def residual_model() -> bytes:
    """Return a model file of a convolution and a residual block that reads it, with weights drawn by chance."""
    convolution = {"type": "conv2d", "filters": 2, "padding": "same"}
    layers = [
        convolution | {"name": "first"},
        {"type": "residual", "name": "block", "layers": [convolution]},
        {"type": "global_average_pool2d"},
        {"type": "dense", "units": 3},
    ]
    architecture = Architecture.model_validate({"input_shape": (28, 28, 1), "layers": layers})
    weights = Network.build(architecture).initial_weights(seed=1)
    preprocessing = Preprocessing(mean=(0.5,), deviation=(0.25,))
    metadata = {"name": "twice", "picture": {"image_shape": [28, 28, 1]}}
    return model_bytes(
        Model(architecture, ("a", "b", "c"), preprocessing, SoftmaxCrossEntropy(), weights, metadata, "class")
    )


def test_a_number_that_is_read_twice_says_so(server: str, http: httpx.Client, open_page: OpenPage) -> None:
    model = imported(http, residual_model())
    page = open_page(f"{server}/#/look?model={model}&dataset=digits&number=26&show=score&node=first&at=2,3,1")
    for reader in ("block/body/conv2d_1", "block/add"):
        page.get_by_role("group", name=f"What flows back from {reader}").wait_for()
    page.get_by_text(re.compile(r"dS/da = \S+ \+ \S+ = \S+, 2 nodes together")).wait_for()
