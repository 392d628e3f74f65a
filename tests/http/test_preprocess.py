"""What a model sees is what training saw, and can be looked at."""

import base64
import io
import zipfile
from collections.abc import Callable
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image
from starlette.requests import Request

from app.web.answers.negotiation import preferred

PREPROCESS = "/v1/models/model_example/preprocess"
PREDICT = "/v1/models/model_example/predict"
PNG = {"Content-Type": "image/png"}


def pixels(png: bytes) -> Any:
    return np.asarray(Image.open(io.BytesIO(png)))


@pytest.mark.parametrize(
    "fitted", [pytest.param({"fit": "contain"}, marks=pytest.mark.slow), {"fit": "cover", "resize": "11"}]
)
def test_it_equals_the_array_of_ingestion(
    http: httpx.Client, fitted: dict[str, str], ready: Callable[..., Any], finished: Callable[..., Any]
) -> None:
    """The same files, once as a data set that is trained on and once sent to the model."""
    random = np.random.default_rng(0)
    files = {}
    for number in range(12):
        level = (number % 2) * 128
        noise = random.integers(level, level + 100, (11 + number, 31 - number, 4), np.uint8)
        buffer = io.BytesIO()
        Image.fromarray(noise, "RGBA").save(buffer, "PNG")
        files[f"{'dark' if level else 'light'}/{number:02}.png"] = buffer.getvalue()
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as writing:
        for name, content in files.items():
            writing.writestr(name, content)
    options = {"image_size": "9", "channels": "3", "background": "#804020"} | fitted
    dataset = http.post("/v1/datasets", files={"file": ("a.zip", archive.getvalue())}, data=options).json()
    ready(http, dataset["id"])
    layers = [{"type": "flatten"}, {"type": "dense", "units": 2}]
    job = http.post(
        "/v1/training-jobs",
        json={
            "architecture": {"input_shape": [9, 9, 3], "layers": layers},
            "dataset": dataset["id"],
            "epochs": 1,
        },
    ).json()
    model = finished(http, job["id"])["model_id"]
    ingested = {
        http.get(f"/v1/datasets/{dataset['id']}/images/{number}").content for number in range(len(files))
    }
    shown = {
        http.post(f"/v1/models/{model}/preprocess", content=content, headers=PNG).content
        for content in files.values()
    }
    assert len(shown) == len(files)
    assert {pixels(png).tobytes() for png in shown} == {pixels(png).tobytes() for png in ingested}


def test_the_numbers_are_those_of_the_first_layer(http: httpx.Client) -> None:
    digit = http.get("/v1/datasets/digits/images/3").content
    json = http.post(PREPROCESS, content=digit, headers=PNG | {"Accept": "application/json"}).json()
    model = http.get("/v1/models/model_example").json()
    assert json["model_id"] == "model_example"
    assert json["image_shape"] == [28, 28, 1]
    assert np.array_equal(np.array(json["pixels"])[..., 0], pixels(digit))
    mean, deviation = (model["preprocessing"][name][0] for name in ("mean", "deviation"))
    expected = (np.array(json["pixels"]) / 255 - mean) / deviation
    assert np.allclose(json["input"], expected, atol=1e-5)


def test_every_form_of_sending_shows_the_same(http: httpx.Client) -> None:
    digit = http.get("/v1/datasets/digits/images/5").content
    raw = http.post(PREPROCESS, content=digit, headers=PNG)
    assert raw.headers["content-type"] == "image/png"
    assert np.array_equal(pixels(raw.content), pixels(digit))
    assert http.post(PREPROCESS, files={"files": ("d.png", digit)}).content == raw.content
    encoded = {"images": [base64.b64encode(digit).decode()]}
    assert http.post(PREPROCESS, json=encoded).content == raw.content
    two = http.post(PREPROCESS, json={"images": encoded["images"] * 2})
    assert (two.status_code, "one" in two.json()["detail"]) == (422, True)


def test_a_raw_picture_is_predicted_like_a_file(http: httpx.Client) -> None:
    digit = http.get("/v1/datasets/digits/images/5").content
    uploaded = http.post(PREDICT, files={"files": ("d.png", digit)}).json()["data"]
    raw = http.post(PREDICT, content=digit, headers=PNG, params={"top_k": 3}).json()["data"]
    assert raw == [uploaded[0] | {"filename": None}]
    bad = http.post(PREDICT, content=b"no picture", headers={"Content-Type": "image/jpeg"}).json()
    assert (bad["status"], bad["errors"][0]["parameter"]) == (422, "body")
    assert http.post(PREDICT, content=digit, headers={"Content-Type": "text/plain"}).status_code == 415


@pytest.mark.parametrize(
    ("accept", "chosen"),
    [
        ("*/*", "a/x"),
        ("a/y", "a/y"),
        ("a/*;q=0.5, b/z", "b/z"),
        ("a/x;q=0.1, */*;q=0.2", "a/y"),
        ("text/html", "a/x"),
        ("a/y;q=nonsense, b/*", "b/z"),
        ("", "a/x"),
    ],
)
def test_accept_decides(accept: str, chosen: str) -> None:
    request = Request({"type": "http", "headers": [(b"accept", accept.encode())]})
    assert preferred(request, ("a/x", "a/y", "b/z")) == chosen
