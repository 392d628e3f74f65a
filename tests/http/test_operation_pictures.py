"""Operations on pictures: files in, pictures and figures out."""

from __future__ import annotations

import base64
import io
import json
from typing import Any
from xml.etree import ElementTree

import httpx
import numpy as np
import pytest
from PIL import Image

EDGE = [[10, 10, 10, 0, 0, 0] for _ in range(6)]
SIX = [
    [3, 0, 1, 2, 7, 4],
    [1, 5, 8, 9, 3, 1],
    [2, 7, 2, 5, 1, 3],
    [0, 1, 3, 1, 7, 8],
    [4, 2, 1, 6, 2, 8],
    [2, 4, 5, 2, 3, 9],
]
PNG, SVG, NPZ = "image/png", "image/svg+xml", "application/x-npz"


def file(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(3).integers(0, 256, shape, np.uint8)


def send(
    http: httpx.Client, operation: str, picture: bytes, accept: str = PNG, **fields: Any
) -> httpx.Response:
    """Send a picture as a form: `accept` and `range` as such, the other fields as JSON."""
    params = {"range": fields.pop("range")} if "range" in fields else {}
    answer = http.post(
        f"/v1/operations/{operation}",
        params=params,
        files={"file": ("photo.png", picture, PNG)},
        data={name: value if isinstance(value, str) else json.dumps(value) for name, value in fields.items()},
        headers={"Accept": accept},
    )
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].partition(";")[0] == accept
    return answer


def pixels(answer: httpx.Response) -> np.ndarray:
    return np.array(Image.open(io.BytesIO(answer.content)))


def slow(picture: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """Slide a kernel over each channel."""
    size = len(kernel)
    high, wide = picture.shape[0] - size + 1, picture.shape[1] - size + 1
    out = np.zeros((high, wide, picture.shape[2]))
    for row in range(high):
        for column in range(wide):
            window = picture[row : row + size, column : column + size].astype(float)
            out[row, column] = (window * kernel[..., None]).sum((0, 1))
    return out


def test_a_filter_is_applied_to_each_channel_of_a_colour_picture(http: httpx.Client) -> None:
    picture = noise(9, 11, 3)
    box = np.full((3, 3), 1 / 9)
    answer = send(http, "convolve", file(picture), kernel="box_blur")
    assert answer.headers["image-range"] == "clip, black 0, white 255"
    assert abs(pixels(answer).astype(float) - slow(picture, box)).max() <= 0.51


def test_edges_are_grey_where_nothing_changes(http: httpx.Client) -> None:
    picture = np.repeat(np.where(np.arange(14) < 7, 200, 50).astype(np.uint8)[None], 14, axis=0)
    answer = send(http, "convolve", file(picture), kernel="vertical_edge")
    assert answer.headers["image-range"] == "signed, black -450, white 450"
    assert set(np.unique(pixels(answer))) == {128, 255}
    clipped = send(http, "convolve", file(picture), kernel="sobel_x", range="clip")
    assert clipped.headers["image-range"] == "clip, black 0, white 255"
    assert (pixels(clipped) == 0).all()
    stretched = send(http, "convolve", file(picture), kernel="vertical_edge", range="stretch")
    assert stretched.headers["image-range"] == "stretch, black 0, white 450"
    assert set(np.unique(pixels(stretched))) == {0, 255}


@pytest.mark.parametrize(
    ("operation", "layer", "said"),
    [
        ("relu", {}, "clip, black 0, white 255"),
        ("max_pool2d", {"pool_size": 2}, "clip, black 0, white 255"),
        ("sigmoid", {}, "stretch"),
        ("instance_norm", {}, "signed"),
    ],
)
def test_what_black_and_white_mean_follows_from_the_numbers(
    http: httpx.Client, operation: str, layer: dict[str, Any], said: str
) -> None:
    answer = send(
        http, operation, file(noise(8, 8, 3)), layer=layer, scale=0.01 if operation == "sigmoid" else 1
    )
    assert answer.headers["image-range"].startswith(said)


def test_a_picture_is_the_same_in_base64_in_a_form_and_as_numbers(http: httpx.Client) -> None:
    picture = noise(7, 6, 3)
    layer = {"filters": 2, "kernel_size": 3, "stride": 2}
    encoded = base64.b64encode(file(picture)).decode()
    address = "/v1/operations/conv2d"
    sent = http.post(address, json={"image": encoded, "layer": layer, "scale": 0.5}).json()
    form = send(http, "conv2d", file(picture), "application/json", layer=layer, scale=0.5).json()
    numbers = http.post(address, json={"input": (picture * 0.5).tolist(), "layer": layer}).json()
    assert sent == form
    assert sent["precision"] == "float32"
    np.testing.assert_allclose(sent["output"], numbers["output"], rtol=1e-4, atol=1e-3)
    arrays = np.load(io.BytesIO(send(http, "conv2d", file(picture), NPZ, layer=layer, scale=0.5).content))
    np.testing.assert_allclose(arrays["output"], sent["output"], rtol=1e-6)


def test_grey_pictures_are_maps_without_an_axis_for_their_channel(http: httpx.Client) -> None:
    picture = noise(5, 4)
    answer = send(http, "convolve", file(picture), "application/json", kernel="identity").json()
    assert answer["output"] == picture[1:-1, 1:-1].tolist()
    coloured = send(http, "relu", file(picture), "application/json", channels=3).json()
    assert coloured["output_shape"] == [5, 4, 3]
    grey = send(http, "relu", file(noise(5, 4, 3)), "application/json", channels=1).json()
    assert grey["output_shape"] == [5, 4]


def test_many_channels_and_vectors_are_drawn(http: httpx.Client) -> None:
    answer = send(http, "conv2d", file(noise(20, 20, 3)), layer={"filters": 5, "kernel_size": 3})
    assert answer.headers["image-range"] == "drawing"
    assert pixels(answer).ndim == 3
    assert send(http, "global_average_pool2d", file(noise(5, 5, 3))).headers["image-range"] == "drawing"


def figure(answer: httpx.Response) -> list[str]:
    """Return the words of a figure."""
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith(SVG)
    root = ElementTree.fromstring(answer.text)  # noqa: S314 - our own answer
    return [text.text or "" for text in root.iter("{http://www.w3.org/2000/svg}text")]


def test_a_figure_has_the_numbers_and_their_arithmetic(http: httpx.Client) -> None:
    answer = http.post(
        "/v1/operations/convolve", json={"input": SIX, "kernel": "vertical_edge"}, headers={"Accept": SVG}
    )
    words = figure(answer)
    assert [words.count(title) for title in ("input", "vertical_edge", "output")] == [1, 1, 1]
    # 36 cells, 9 of the filter and 16 of the output
    assert sum(word.lstrip("-").isdecimal() for word in words) == 36 + 9 + 16
    assert any("3*1 + 0*0 + 1*(-1) + 1*1 + 5*0 + 8*(-1)" in word and "= -5" in word for word in words)
    assert any("floor((6 + 2*0 - 3)/1) + 1 = 4" in word for word in words)


def test_a_figure_shows_the_positions_that_are_asked_for(http: httpx.Client) -> None:
    body = {"input": SIX, "layer": {"pool_size": 2}, "trace": {"positions": [[0, 1], [2, 2]]}}
    words = figure(http.post("/v1/operations/max_pool2d", json=body, headers={"Accept": SVG}))
    assert any("max(1, 2, 8, 9) = 9" in word for word in words)
    assert any("max(2, 8, 3, 9) = 9" in word for word in words)


def test_a_large_picture_is_a_picture_in_its_figure_with_the_window_as_numbers(http: httpx.Client) -> None:
    answer = send(
        http, "convolve", file(noise(40, 50, 3)), SVG, kernel="sobel_x", trace={"positions": [[5, 6, 1]]}
    )
    words = figure(answer)
    root = ElementTree.fromstring(answer.text)  # noqa: S314 - our own answer
    images = list(root.iter("{http://www.w3.org/2000/svg}image"))
    assert len(images) == 2
    assert "the window that is marked" in words
    assert any(word.startswith("pixels of the output: signed") for word in words)
    assert any("[5, 6, 1]" in word for word in words)


def test_traces_of_pictures_are_those_of_their_numbers(http: httpx.Client) -> None:
    picture = noise(12, 10)
    trace = {"positions": [[4, 3]]}
    answer = send(
        http, "convolve", file(picture), "application/json", kernel="vertical_edge", trace=trace
    ).json()
    (found,) = answer["trace"]
    assert found["window"] == picture[4:7, 3:6].tolist()
    assert found["output"] == answer["output"][4][3]


FAULTS: list[tuple[dict[str, Any], int, str]] = [
    ({"kernel": "vertical_egde"}, 422, "kernel"),
    ({"kernel": "[[1, 2]"}, 422, "kernel"),
    ({"kernel": "identity", "padding": "-1"}, 422, "padding"),
    ({"kernel": "identity", "input": "[[1]]"}, 422, "input"),
    ({"kernel": "[[1,1,1,1,1,1,1,1,1]]"}, 422, "kernel"),
    ({"kernel": "identity", "channels": "2"}, 422, "channels"),
]


@pytest.mark.parametrize(("fields", "status", "parameter"), FAULTS)
def test_faults_of_forms_are_named_by_their_parts(
    http: httpx.Client, fields: dict[str, str], status: int, parameter: str
) -> None:
    sent = {"file": ("a.png", file(noise(5, 5)), PNG)}
    answer = http.post("/v1/operations/convolve", files=sent, data=fields)
    assert answer.status_code == status, answer.text
    (fault,) = answer.json()["errors"]
    assert fault["parameter"] == parameter
    assert "pointer" not in fault


def test_what_is_no_picture_is_refused_where_it_stands(http: httpx.Client) -> None:
    for body, pointer in (
        ({"image": "bm8gcGljdHVyZQ==", "kernel": "identity"}, "/image"),
        ({"image": "?", "kernel": "identity"}, "/image"),
        ({"image": "aaaa", "input": [[1]], "kernel": "identity"}, "/image"),
        ({"kernel": "identity"}, "/input"),
    ):
        answer = http.post("/v1/operations/convolve", json=body)
        assert answer.status_code == 422, answer.text
        assert answer.json()["errors"][0]["pointer"] == pointer
    form = {"file": ("a.png", b"no picture", PNG)}
    answer = http.post("/v1/operations/convolve", files=form, data={"kernel": "identity"})
    assert (answer.status_code, answer.json()["errors"][0]["parameter"]) == (422, "file")


def test_a_large_picture_is_not_written_as_numbers(http: httpx.Client) -> None:
    sent = {"file": ("a.png", file(noise(200, 200, 3)), PNG)}
    answer = http.post("/v1/operations/convolve", files=sent, data={"kernel": "identity"})
    assert answer.status_code == 413
    assert "ask for image/png or application/x-npz" in answer.json()["detail"]


def test_other_bodies_are_named(http: httpx.Client) -> None:
    answer = http.post("/v1/operations/relu", content=file(noise(3, 3)), headers={"Content-Type": PNG})
    assert answer.status_code == 415
    assert "file=@" in answer.json()["errors"][0]["hint"]


@pytest.mark.parametrize(
    ("fields", "field"),
    [({"kernel": [[1e300]]}, "kernel"), ({"bias": 1e300}, "bias"), ({"scale": 1e37}, "scale")],
)
def test_numbers_beyond_32_bits_are_refused_with_pictures(
    http: httpx.Client, fields: dict[str, Any], field: str
) -> None:
    image = base64.b64encode(file(noise(3, 3))).decode()
    answer = http.post("/v1/operations/convolve", json={"image": image, "kernel": [[1]], **fields})
    assert answer.status_code == 422, answer.text
    (fault,) = answer.json()["errors"]
    assert (fault["pointer"], "32-bit" in fault["detail"]) == (f"/{field}", True)


def test_a_figure_says_which_number_its_arithmetic_is_of(http: httpx.Client) -> None:
    body = {"input": EDGE, "kernel": "vertical_edge", "trace": {"positions": [[1, 2]]}}
    for extra, begins in (
        ({}, ["output[1, 2]: "]),
        ({"activation": "relu"}, ["before relu[1, 2]: ", "output[1, 2]: "]),
    ):
        answer = http.post("/v1/operations/convolve", json=body | extra, headers={"Accept": SVG})
        texts = [node.text or "" for node in ElementTree.fromstring(answer.text).iter()]  # noqa: S314 - our own
        lines = [text for text in texts if "[1, 2" in text]
        assert [line[: len(begin)] for line, begin in zip(lines, begins, strict=True)] == begins
