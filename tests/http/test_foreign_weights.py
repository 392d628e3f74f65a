"""Weights of torchvision and timm over HTTP: what is said beside the file, what comes of it, and what is refused."""

from __future__ import annotations

import base64
import io
import json
import os
import pickle
import zipfile
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from safetensors.numpy import save

from benchmarks.foreign_arrays import draw
from tests.engine.test_foreign import shapes

IMPORT = "/v1/models/import"
PHOTO = Path(__file__).parents[1] / "data" / "photos" / "coffee.jpg"
JPEG = {"Content-Type": "image/jpeg"}
GIVEN = Path(os.environ.get("TEST_DATA", "absent")) / "pretrained"
CLASSES = [f"kind {number}" for number in range(10)]


@pytest.fixture(scope="module")
def squeezenet() -> bytes:
    content: bytes = save(draw(shapes("squeezenet-1.1 torchvision")))
    return content


def account(library: str, mapped: int, unused: list[str]) -> dict[str, Any]:
    return {
        "format": library,
        "mapped": mapped,
        "folded": [],
        "assumed": [],
        "unused": unused,
        "missing": [],
    }


def post(http: httpx.Client, file: bytes, **fields: Any) -> httpx.Response:
    data = {name: value if isinstance(value, str) else json.dumps(value) for name, value in fields.items()}
    return http.post(IMPORT, files={"file": ("weights.safetensors", file)}, data=data)


def test_what_the_file_does_not_say_is_as_for_imagenet(http: httpx.Client, squeezenet: bytes) -> None:
    answer = post(http, squeezenet, preset="squeezenet-1.1")
    assert answer.status_code == 201, answer.text
    model = answer.json()
    assert model.pop("import") == {
        "format": "torchvision",
        "mapped": 52,
        "folded": [],
        "assumed": [],
        "unused": [],
        "missing": [],
    }
    assert http.get(answer.headers["location"]).json() == model
    assert (model["name"], model["input_shape"]) == ("squeezenet-1.1", [224, 224, 3])
    assert model["classes"] == [str(number) for number in range(10)]
    builtin = http.get("/v1/models/mobilenet-v2-imagenet").json()
    assert model["preprocessing"] == builtin["preprocessing"]
    assert model["provenance"]["origin"] == {"preset": "squeezenet-1.1", "format": "torchvision"}
    file = http.get(f"/v1/models/{model['id']}/weights").content
    again = post(http, file).json()
    assert (again["import"]["format"], again["sha256"]) == ("convserve", model["sha256"])


def test_what_is_said_is_kept(http: httpx.Client, squeezenet: bytes) -> None:
    preprocessing = {
        "mean": [0.5, 0.4, 0.3],
        "deviation": [0.1, 0.2, 0.3],
        "picture": {"fit": "stretch", "background": "black"},
    }
    said = {"classes": CLASSES, "input_shape": [64, 48, 3], "preprocessing": preprocessing}
    model = post(http, squeezenet, preset="squeezenet-1.1", name="mine", **said).json()
    assert (model["name"], model["classes"], model["input_shape"]) == ("mine", CLASSES, [64, 48, 3])
    picture = {
        "image_shape": [64, 48, 3],
        "fit": "stretch",
        "resize": None,
        "background": "#000000",
        "invert": False,
    }
    assert model["preprocessing"] == preprocessing | {"picture": picture}
    seen = http.post(f"/v1/models/{model['id']}/predict", content=PHOTO.read_bytes(), headers=JPEG)
    assert seen.json()["data"][0]["label"] in CLASSES
    # the same in JSON, as far as a file is small enough for that
    small = base64.b64encode(b"no file").decode()
    answer = http.post(IMPORT, json={"file": small, "preset": "squeezenet-1.1", **said, "classes": []})
    assert answer.json()["errors"][0]["pointer"] == "/classes"


def test_names_of_timm_are_recognised(http: httpx.Client) -> None:
    arrays = draw(shapes("mobilenet-v2 timm"))
    model = post(http, save(arrays), preset="mobilenet-v2", input_shape=[64, 64, 3]).json()
    counters = sorted(name for name in arrays if name.endswith("num_batches_tracked"))
    assert model["import"] == {
        "format": "timm",
        "mapped": 262,
        "folded": [],
        "assumed": [],
        "unused": counters,
        "missing": [],
    }


BAD_FIELDS: list[tuple[dict[str, Any], str, str]] = [
    ({"preset": "squeezenet-1.2"}, "preset", "squeezenet-1.1"),
    ({"preset": "googlenet"}, "preset", "no counterpart"),
    ({"preset": "squeezenet-1.1", "classes": CLASSES[:9]}, "classes", "10 outputs"),
    ({"preset": "squeezenet-1.1", "classes": [*CLASSES[:9], "kind 0"]}, "classes", "twice"),
    ({"preset": "squeezenet-1.1", "classes": [*CLASSES[:9], "\n"]}, "classes[9]", "printable"),
    ({"preset": "squeezenet-1.1", "classes": "cat, dog"}, "classes", "JSON"),
    ({"preset": "squeezenet-1.1", "input_shape": [224, 224]}, "input_shape[2]", ""),
    ({"preset": "squeezenet-1.1", "preprocessing": {"mean": [0.5]}}, "preprocessing.deviation", ""),
    (
        {"preset": "squeezenet-1.1", "preprocessing": {"mean": [0.5], "deviation": [1, 1, 1]}},
        "preprocessing.mean",
        "3 channels",
    ),
    (
        {
            "preset": "squeezenet-1.1",
            "preprocessing": {"mean": [0, 0, 0], "deviation": [1, 1, 1], "picture": {"fit": "crop"}},
        },
        "preprocessing.picture.fit",
        "",
    ),
    ({"classes": CLASSES}, "preset", "needed with classes"),
]


@pytest.mark.parametrize(("fields", "parameter", "words"), BAD_FIELDS)
def test_bad_fields_are_named(
    http: httpx.Client, squeezenet: bytes, fields: dict[str, Any], parameter: str, words: str
) -> None:
    answer = post(http, squeezenet, **fields)
    assert answer.status_code == 422, answer.text
    errors = answer.json()["errors"]
    assert parameter in [error["parameter"] for error in errors], answer.text
    assert words in answer.text


def test_a_file_of_another_network_names_it(http: httpx.Client, squeezenet: bytes) -> None:
    answer = post(http, squeezenet, preset="squeezenet-1.0")
    assert (answer.status_code, "say that as preset" in answer.text) == (422, True), answer.text
    assert "squeezenet-1.1" in answer.text
    without = post(http, squeezenet)
    assert (without.status_code, "preset" in without.json()["detail"]) == (422, True)
    damaged = draw(shapes("squeezenet-1.1 torchvision"))
    damaged["classifier.1.bias"][3] = np.nan
    assert "not finite" in post(http, save(damaged), preset="squeezenet-1.1").json()["detail"]


def pickled() -> bytes:
    return pickle.dumps({"weight": [1.0]}, protocol=2)


def zipped() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("archive/data.pkl", pickled())
    return buffer.getvalue()


@pytest.mark.parametrize("file", [pickled(), zipped()], ids=["pickle", "zip"])
@pytest.mark.parametrize("fields", [{}, {"preset": "resnet-18"}])
def test_a_pickle_is_refused_with_what_makes_safetensors_of_it(
    http: httpx.Client, file: bytes, fields: dict[str, str]
) -> None:
    answer = post(http, file, **fields)
    assert answer.status_code == 422
    (error,) = answer.json()["errors"]
    assert error["parameter"] == "file"
    assert [line for line in error["hint"].splitlines() if "save_file(" in line]


@pytest.mark.skipif(not GIVEN.is_dir(), reason="TEST_DATA names no folder with pretrained/")
def test_the_built_in_model_is_what_an_import_gives(http: httpx.Client) -> None:
    file = (GIVEN / "mobilenet-v2-torchvision.safetensors").read_bytes()
    classes = (GIVEN / "imagenet-classes.txt").read_text().splitlines()
    imported = post(http, file, preset="mobilenet-v2", classes=classes).json()
    seen, expected = (
        http.post(f"/v1/models/{model}/predict", content=PHOTO.read_bytes(), headers=JPEG).json()["data"][0]
        for model in (imported["id"], "mobilenet-v2-imagenet")
    )
    assert seen["label"] == expected["label"]
    assert seen["probability"] == pytest.approx(expected["probability"], abs=0.01)
