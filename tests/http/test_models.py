"""Models over HTTP: what they show and what they see."""

import base64
import io
from collections.abc import Callable
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from tests.digits import load_digits

MODEL = "/v1/models/model_example"
PREDICT = f"{MODEL}/predict"


def encoded(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


@pytest.fixture(scope="module")
def digits() -> list[tuple[Image.Image, str]]:
    """One test picture of each digit, with its label."""
    data = load_digits()
    test = np.flatnonzero(data.splits == 2)
    firsts = [test[np.flatnonzero(data.labels[test] == label)[0]] for label in range(10)]
    return [(Image.fromarray(data.images[index][..., 0]), str(label)) for label, index in enumerate(firsts)]


def test_a_model_says_what_it_is(http: httpx.Client) -> None:
    model = http.get(MODEL).json()
    assert model["id"] == "model_example"
    assert model["classes"] == list("0123456789")
    assert model["input_shape"] == [28, 28, 1]
    assert model["training_job_id"] == "job_example"
    assert model["metrics"]["test_accuracy"] > 0.9
    assert model["preprocessing"]["picture"]["image_shape"] == [28, 28, 1]
    assert model["builtin"] is True
    assert http.get(MODEL).json() == model, "what is kept in memory says the same"
    listed = http.get("/v1/models", params={"limit": 200}).json()["data"]
    alone = ("architecture", "computed_by", "provenance")
    entry = {name: value for name, value in model.items() if name not in alone}
    assert entry in listed


def test_files_and_base64_give_the_same(http: httpx.Client, digits: list[tuple[Image.Image, str]]) -> None:
    files = [("files", (f"{label}.png", encoded(image))) for image, label in digits]
    uploaded = http.post(PREDICT, files=files, params={"top_k": 10}).json()
    images = [base64.b64encode(encoded(image)).decode() for image, _ in digits]
    posted = http.post(PREDICT, json={"images": images}, params={"top_k": 10}).json()
    assert uploaded["model_id"] == posted["model_id"] == "model_example"
    assert [item["filename"] for item in uploaded["data"]] == [f"{label}.png" for _, label in digits]
    assert [item["filename"] for item in posted["data"]] == [None] * 10
    for one, other in zip(uploaded["data"], posted["data"], strict=True):
        assert one | {"filename": None} == other
    right = [item["label"] == label for item, (_, label) in zip(uploaded["data"], digits, strict=True)]
    assert sum(right) >= 9
    for item in uploaded["data"]:
        probabilities = [candidate["probability"] for candidate in item["top"]]
        assert probabilities == sorted(probabilities, reverse=True)
        assert sum(probabilities) == pytest.approx(1, abs=1e-4)
        assert sorted(candidate["class_index"] for candidate in item["top"]) == list(range(10))
        assert {name: item[name] for name in ("label", "class_index", "probability")} == item["top"][0]


def test_top_k_is_how_many_are_named(http: httpx.Client, digits: list[tuple[Image.Image, str]]) -> None:
    file = {"files": ("digit.png", encoded(digits[4][0]))}
    for asked, named in ((None, 3), (1, 1), (10, 10), (1000, 10)):
        params = {} if asked is None else {"top_k": asked}
        (item,) = http.post(PREDICT, files=file, params=params).json()["data"]
        assert len(item["top"]) == named


def test_size_mode_and_format_do_not_matter(
    http: httpx.Client, digits: list[tuple[Image.Image, str]]
) -> None:
    image, label = digits[7]
    large = image.resize((280, 280), Image.Resampling.BICUBIC)
    versions = {
        "large.png": encoded(large),
        "colour.png": encoded(image.convert("RGB")),
        "colour.jpg": encoded(large.convert("RGB"), "JPEG", quality=90),
        "clear.png": encoded(image.convert("RGBA")),
        "palette.gif": encoded(image.convert("P"), "GIF"),
        "with no ending": encoded(image, "BMP"),
    }
    answer = http.post(PREDICT, files=[("files", version) for version in versions.items()])
    assert answer.status_code == 200, answer.text
    assert [item["label"] for item in answer.json()["data"]] == [label] * len(versions)


def test_a_data_url_is_fine(http: httpx.Client, digits: list[tuple[Image.Image, str]]) -> None:
    image, label = digits[2]
    url = "data:image/png;base64," + base64.b64encode(encoded(image)).decode()
    assert http.post(PREDICT, json={"images": [url]}).json()["data"][0]["label"] == label


def test_one_bad_file_among_good_ones_is_named(
    http: httpx.Client, digits: list[tuple[Image.Image, str]]
) -> None:
    good = encoded(digits[0][0])
    files = [("files", ("good.png", good)), ("files", ("bad.png", good[:60])), ("files", ("last.png", good))]
    problem = http.post(PREDICT, files=files).json()
    assert problem["status"] == 422
    (fault,) = problem["errors"]
    assert fault["parameter"] == "files"
    assert fault["detail"].startswith("bad.png: ")


def test_json_may_be_larger_here_than_elsewhere(http: httpx.Client) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (1200, 1200), np.uint8)
    content = encoded(Image.fromarray(noise))
    assert len(content) > 1 << 20
    images = [base64.b64encode(content).decode()]
    assert http.post(PREDICT, json={"images": images}).status_code == 200
    assert http.post("/v1/architectures/summary", json={"images": images}).status_code == 413


def test_a_deleted_model_is_gone_with_its_file(
    http: httpx.Client,
    finished: Callable[[httpx.Client, str], dict[str, Any]],
    digits: list[tuple[Image.Image, str]],
) -> None:
    layers = [{"type": "max_pool2d", "pool_size": 4}, {"type": "flatten"}, {"type": "dense", "units": 10}]
    body = {"architecture": {"input_shape": [28, 28, 1], "layers": layers}, "dataset": "digits", "epochs": 1}
    ids = []
    for _ in range(2):
        job = finished(
            http, http.post("/v1/training-jobs", json={"name": "soon deleted", **body}).json()["id"]
        )
        assert job["status"] == "succeeded", job
        ids.append(job["model_id"])
    first, second = (http.get(f"/v1/models/{model_id}").json() for model_id in ids)
    assert (first["version"], second["version"]) == (1, 2)
    assert first["sha256"] == second["sha256"]
    file = {"files": ("digit.png", encoded(digits[1][0]))}
    before = http.post(f"/v1/models/{first['id']}/predict", files=file)
    assert before.status_code == 200
    assert http.delete(f"/v1/models/{first['id']}").status_code == 204
    assert http.get(f"/v1/models/{first['id']}").status_code == 404
    assert http.post(f"/v1/models/{first['id']}/predict", files=file).status_code == 404
    after = http.post(f"/v1/models/{second['id']}/predict", files=file)
    assert after.json()["data"] == before.json()["data"]


def test_a_model_takes_the_longest_tag_that_its_job_may_have(http: httpx.Client) -> None:
    content = http.get("/v1/models/model_example/weights").content
    model = http.post("/v1/models/import", files={"file": ("m", content)}).headers["Location"]
    longest = {"tags": ["x" * 100]}
    assert http.patch(model, json=longest).json()["tags"] == longest["tags"]
    refused = [
        http.post("/v1/training-jobs", json={"tags": ["x" * 101]}).json(),
        http.patch(model, json={"tags": ["x" * 101]}).json(),
    ]
    assert all("/tags/0" in [error["pointer"] for error in answer["errors"]] for answer in refused)
    assert http.delete(model).status_code == 204
