"""The built-in model of ImageNet's classes: what it sees in photos, and that it is a model like any other."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from app.builtin.pretrained import PRETRAINED_FILE
from app.cli.launch import ServerProcess

MODEL = "/v1/models/mobilenet-v2-imagenet"
PHOTOS = Path(__file__).parents[1] / "data" / "photos"
GIVEN = Path(os.environ.get("TEST_DATA", "absent")) / "photos"
given = pytest.mark.skipif(not GIVEN.is_dir(), reason="TEST_DATA names no folder with photos/")
JPEG = {"Content-Type": "image/jpeg"}
SEEN = [
    (PHOTOS / "coffee.jpg", "espresso", 0.93),
    (PHOTOS / "chelsea.jpg", "Egyptian cat", 0.65),
    pytest.param(GIVEN / "koala_1.jpeg", "koala", 0.88, marks=given),
    pytest.param(GIVEN / "panda_1.jpeg", "red panda", 1.00, marks=given),
    pytest.param(GIVEN / "car_1.jpeg", "sports car", 0.97, marks=given),
    pytest.param(GIVEN / "bus_1.jpeg", "moving van", 0.91, marks=given),
]


@pytest.fixture(scope="module")
def coffee() -> bytes:
    return (PHOTOS / "coffee.jpg").read_bytes()


@pytest.mark.parametrize(("photo", "label", "probability"), SEEN)
def test_it_sees_what_is_in_a_photo(http: httpx.Client, photo: Path, label: str, probability: float) -> None:
    answer = http.post(f"{MODEL}/predict", content=photo.read_bytes(), headers=JPEG, params={"top_k": 2})
    assert answer.status_code == 200, answer.text
    seen = answer.json()["data"][0]
    assert seen["label"] == label
    assert seen["probability"] == pytest.approx(probability, abs=0.02)


def test_it_says_where_it_is_from_and_on_what_terms(http: httpx.Client) -> None:
    model = http.get(MODEL).json()
    assert (model["name"], model["version"], model["builtin"]) == ("mobilenet-v2-imagenet", 1, True)
    assert len(model["classes"]) == 1000
    assert model["preprocessing"] == {
        "picture": {
            "image_shape": [224, 224, 3],
            "fit": "cover",
            "resize": 256,
            "background": "#ffffff",
            "invert": False,
        },
        "mean": [0.485, 0.456, 0.406],
        "deviation": [0.229, 0.224, 0.225],
    }
    for text in (model["description"], " ".join(model["provenance"]["origin"].values())):
        assert "BSD-3-Clause" in text
        assert "ImageNet is for non-commercial research" in text
    assert model["provenance"]["dataset"]["name"].startswith("ImageNet")
    assert http.delete(MODEL).status_code == 409


def test_its_file_is_small_and_comes_back(http: httpx.Client) -> None:
    assert PRETRAINED_FILE.stat().st_size <= 7_200_000
    file = http.get(f"{MODEL}/weights").content
    assert file == PRETRAINED_FILE.read_bytes()
    again = http.post("/v1/models/import", files={"file": ("m.safetensors", file)}, data={"name": "again"})
    assert again.status_code == 201, again.text
    assert http.get(f"/v1/models/{again.json()['id']}/weights").content == file


def test_it_is_shown_what_it_sees(http: httpx.Client, coffee: bytes) -> None:
    shown = http.post(f"{MODEL}/preprocess", content=coffee, headers=JPEG)
    image = Image.open(PHOTOS / "coffee.jpg").convert("RGB")
    width, height = (round(256 * side / min(image.size)) for side in image.size)
    left, top = round((width - 224) / 2), round((height - 224) / 2)
    by_hand = image.resize((width, height), Image.Resampling.BILINEAR).crop(
        (left, top, left + 224, top + 224)
    )
    difference = np.asarray(Image.open(io.BytesIO(shown.content))).astype(int) - np.asarray(by_hand)
    assert np.abs(difference).max() <= 1


CALLS: list[tuple[str, dict[str, str], Callable[[Any], bool]]] = [
    (
        "explain",
        {"method": "grad_cam", "class": "espresso"},
        lambda body: np.shape(body["map"]) == (224, 224),
    ),
    ("activations", {}, lambda body: len(body["data"][0]["nodes"]) > 100),
    ("activations", {"node": "conv2d_2"}, lambda body: body["shape"] == [7, 7, 1280]),
    ("embedding", {}, lambda body: len(body["data"][0]["embedding"]) == 1280),
    ("trace", {"node": "dense_1", "position": "967"}, lambda body: "espresso" not in body),
]


@pytest.mark.parametrize(("call", "params", "holds"), CALLS)
def test_it_is_looked_into_like_any_model(
    http: httpx.Client, coffee: bytes, call: str, params: dict[str, str], holds: Callable[[Any], bool]
) -> None:
    headers = JPEG | {"Accept": "application/json"}
    answer = http.post(f"{MODEL}/{call}", content=coffee, headers=headers, params=params)
    assert answer.status_code == 200, answer.text
    assert holds(answer.json()), answer.text[:500]


def test_its_filters_are_shown(http: httpx.Client) -> None:
    answer = http.get(f"{MODEL}/filters", params={"node": "conv2d_1"}, headers={"Accept": "image/png"})
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/png")


@pytest.mark.slow
@pytest.mark.local
def test_a_setting_leaves_it_out(
    start: Callable[..., ServerProcess], connect: Callable[..., httpx.Client]
) -> None:
    def models(process: ServerProcess) -> set[str]:
        with process as url, connect(url) as client:
            return {model["id"] for model in client.get("/v1/models").json()["data"]}

    both = {"model_example", "mobilenet-v2-imagenet"}
    without = {"BUILTIN_MODELS": "false"}
    process = start(**without)
    stored = process.data_dir / "models" / "mobilenet-v2-imagenet.safetensors"
    assert (models(process), stored.exists()) == ({"model_example"}, False)
    assert (models(start()), stored.exists()) == (both, True)
    stored.write_bytes(b"cut short")
    assert (models(start()), stored.stat().st_size) == (both, PRETRAINED_FILE.stat().st_size)
    assert (models(start(**without)), stored.exists()) == ({"model_example"}, False)
