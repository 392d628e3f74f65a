"""One picture, varied as training varies it."""

from __future__ import annotations

import base64
import io
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image
from pydantic import TypeAdapter

from engine.augmentations import AUGMENTATIONS, AnyAugmentation, Pipeline
from engine.augmentations.base import Mixing

PNG, SVG, NPZ = "image/png", "image/svg+xml", "application/x-npz"
COLOURS = np.random.default_rng(7).integers(0, 256, (10, 12, 3), np.uint8)
GREY = [[0, 50, 100], [150, 200, 250]]


def file(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def post(http: httpx.Client, accept: str = "application/json", **body: Any) -> httpx.Response:
    return http.post("/v1/operations/augment", json=body, headers={"Accept": accept})


@pytest.mark.parametrize("kind", [kind for kind in AUGMENTATIONS if not issubclass(kind, Mixing)])
def test_each_does_what_training_does(http: httpx.Client, kind: type) -> None:
    example = kind.examples[0]
    encoded = base64.b64encode(file(COLOURS)).decode()
    answer = post(http, NPZ, image=encoded, augmentation=example, seed=5, count=3)
    assert answer.status_code == 200, answer.text
    found = np.load(io.BytesIO(answer.content))["outputs"]
    pipeline = Pipeline([TypeAdapter(AnyAugmentation).validate_python(example)], seed=5)
    for epoch, picture in enumerate(found, 1):
        # as the feed of a training job asks for its first picture
        expected, _ = pipeline.apply(COLOURS[None], np.zeros((1, 1), np.float32), np.array([0]), epoch)
        np.testing.assert_allclose(picture, expected[0], atol=0.5001)
    assert len(found) == 3


def test_numbers_come_back_as_numbers(http: httpx.Client) -> None:
    mirrored = {"type": "horizontal_flip", "probability": 1.0}
    answer = post(http, input=GREY, augmentation=mirrored).json()
    assert answer == {"outputs": [[row[::-1] for row in GREY]], "output_shape": [2, 3]}
    turned = [mirrored, {"type": "vertical_flip", "probability": 1.0}]
    assert post(http, input=GREY, augmentation=turned).json()["outputs"] == [
        [row[::-1] for row in GREY[::-1]]
    ]
    coloured = post(http, input=COLOURS.tolist(), augmentation=mirrored).json()
    assert coloured["outputs"] == [COLOURS[:, ::-1].tolist()]


def test_a_form_gets_a_picture_and_several_a_sheet(http: httpx.Client) -> None:
    fields = {"augmentation": '{"type": "inversion", "probability": 1.0}'}
    sent = {"file": ("a.png", file(COLOURS), PNG)}
    address = "/v1/operations/augment"
    answer = http.post(address, files=sent, data=fields, headers={"Accept": PNG})
    assert (np.array(Image.open(io.BytesIO(answer.content))) == 255 - COLOURS).all()
    sheet = http.post(address, files=sent, data={**fields, "count": "4"}, headers={"Accept": PNG})
    assert Image.open(io.BytesIO(sheet.content)).width > 5 * 60


def test_a_figure_shows_before_and_after(http: httpx.Client) -> None:
    answer = post(
        http, SVG, input=GREY, augmentation={"type": "horizontal_flip", "probability": 1.0}, count=2
    )
    assert answer.headers["content-type"].startswith(SVG)
    for words in ("before", "after, epoch 1", "after, epoch 2"):
        assert f">{words}<" in answer.text
    assert answer.text.count(">250<") == 3


FAULTS: list[tuple[dict[str, Any], str, str]] = [
    ({"input": GREY, "augmentation": {"type": "mixup"}}, "/augmentation", "two"),
    ({"input": GREY, "augmentation": [{"type": "inversion"}, {"type": "cutmix"}]}, "/augmentation/1", "two"),
    ({"input": GREY, "augmentation": {"type": "hue", "degrees": 20}}, "/augmentation", "3 channels"),
    ({"input": GREY, "augmentation": [{"type": "hue", "degrees": 20}]}, "/augmentation/0", "3 channels"),
    ({"input": [[1, 256]], "augmentation": {"type": "inversion"}}, "/input/0/1", "256"),
    ({"input": [1, 2], "augmentation": {"type": "inversion"}}, "/input", "axes"),
    ({"input": GREY, "augmentation": {"type": "rotate"}}, "/augmentation/type", "rotat"),
    (
        {"input": GREY, "augmentation": {"type": "rotation", "degrees": -1}},
        "/augmentation/degrees",
        "above 0",
    ),
    ({"input": GREY, "augmentation": []}, "/augmentation", "1 item"),
    ({"input": GREY}, "/augmentation", "required"),
    ({"augmentation": {"type": "inversion"}}, "/input", "nothing"),
    ({"input": GREY, "augmentation": {"type": "inversion"}, "count": 17}, "/count", "16"),
]


@pytest.mark.parametrize(("body", "pointer", "words"), FAULTS)
def test_faults_are_named_where_they_are(
    http: httpx.Client, body: dict[str, Any], pointer: str, words: str
) -> None:
    answer = post(http, **body)
    assert answer.status_code == 422, answer.text
    (fault,) = answer.json()["errors"]
    assert fault["pointer"] == pointer
    assert words in f"{fault['detail']} {fault.get('hint')}"


def test_what_is_too_much_is_refused_before_it_is_done(http: httpx.Client) -> None:
    big = base64.b64encode(file(np.zeros((200, 200, 3), np.uint8))).decode()
    answer = post(http, image=big, augmentation={"type": "inversion"})
    assert answer.status_code == 413
    assert "ask for image/png" in answer.json()["detail"]
    huge = base64.b64encode(file(np.zeros((4000, 4000, 3), np.uint8))).decode()
    answer = post(http, PNG, image=huge, augmentation={"type": "inversion"}, count=16)
    assert answer.status_code == 422
    assert answer.json()["type"] == "/problems/limit-exceeded"


def test_long_work_on_a_large_picture_is_refused(http: httpx.Client) -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (1500, 1500)).save(buffer, "PNG")
    body = {
        "image": base64.b64encode(buffer.getvalue()).decode(),
        "augmentation": [{"type": "rotation", "degrees": 10}] * 32,
    }
    answer = http.post("/v1/operations/augment", json=body, headers={"Accept": "image/png"})
    assert (answer.status_code, answer.json()["type"]) == (422, "/problems/limit-exceeded")
    assert "steps of arithmetic" in answer.json()["errors"][0]["detail"]
