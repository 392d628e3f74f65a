"""Diagrams of architectures over HTTP: SVG, or PNG for who asks for it."""

import io
from typing import Any
from xml.etree import ElementTree as ET

import httpx
from PIL import Image

URL = "/v1/architectures"
BODY = {
    "input_shape": [8, 8, 3],
    "layers": [
        {
            "type": "residual",
            "layers": [{"type": "conv2d", "filters": 3, "padding": "same", "activation": "relu"}],
        },
        {"type": "flatten"},
        {"type": "dense", "units": 2},
    ],
}


def words(answer: httpx.Response) -> set[str | None]:
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("image/svg+xml")
    root = ET.fromstring(answer.text)  # noqa: S314 - our own
    return {text.text for text in root.iter("{http://www.w3.org/2000/svg}text")}


def test_svg_by_default(http: httpx.Client) -> None:
    found = words(http.post(f"{URL}/diagram", json=BODY))
    assert {"input", "8x8x3", "residual_1", "body/conv2d_1", "conv2d 3, 3x3, padding same"} <= found
    assert "+ relu" in found
    apart = words(http.post(f"{URL}/diagram", json=BODY, params={"folded": False}))
    assert "body/conv2d_1/activation" in apart


def test_a_preset_is_drawn(http: httpx.Client) -> None:
    found = words(http.post(f"{URL}/diagram", json={"preset": "lenet-5", "classes": 26}))
    assert {"dense_3", "28x28x1"} <= found


def test_png_on_request(http: httpx.Client) -> None:
    answer = http.post(f"{URL}/diagram", json=BODY, headers={"Accept": "image/png"})
    assert answer.headers["content-type"] == "image/png"
    assert answer.headers["vary"] == "Accept"
    svg = http.post(f"{URL}/diagram", json=BODY).text
    with Image.open(io.BytesIO(answer.content)) as image:
        assert f'width="{image.width}" height="{image.height}"' in svg
        assert len(image.getcolors(1 << 20) or ()) > 5


def test_a_stored_architecture_is_drawn_like_a_posted_one(http: httpx.Client) -> None:
    created = http.post(URL, json=BODY | {"name": "drawn"}).json()
    stored = http.get(f"{URL}/{created['id']}/diagram")
    assert stored.text == http.post(f"{URL}/diagram", json=BODY).text
    assert http.delete(f"{URL}/{created['id']}").status_code == 204
    assert http.get(f"{URL}/{created['id']}/diagram").status_code == 404


def refused(answer: httpx.Response) -> dict[str, Any]:
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    problem: dict[str, Any] = answer.json()
    return problem


def test_what_cannot_be_built_or_drawn_is_refused(http: httpx.Client) -> None:
    wrong = {"input_shape": [4, 4, 1], "layers": [{"type": "conv2d", "filters": 2, "kernel_size": 7}]}
    problem = refused(http.post(f"{URL}/diagram", json=wrong))
    assert problem["errors"][0]["pointer"] == "/layers/0/kernel_size"
    many = {"input_shape": [1, 1, 1], "layers": [{"type": "conv2d", "filters": 1, "kernel_size": 1}] * 2_000}
    assert "2,001 boxes" in refused(http.post(f"{URL}/diagram", json=many))["detail"]
    wide = [[{"type": "conv2d", "filters": 1, "kernel_size": 1}]] * 1_900
    body = {"input_shape": [1, 1, 1], "layers": [{"type": "parallel", "branches": wide}]}
    assert http.post(f"{URL}/diagram", json=body).status_code == 200
    problem = refused(http.post(f"{URL}/diagram", json=body, headers={"Accept": "image/png"}))
    assert "ask for SVG" in problem["detail"]
