"""Whoever gives only a data set gets everything else chosen to fit it, with reasons."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from typing import Any

import httpx
import numpy as np
import pytest

from tests.http.drawn_pictures import archive_of_shades, archive_of_squares, ingested, png

JOBS = "/v1/training-jobs"


def archive(shape: tuple[int, ...], count: int = 12) -> bytes:
    """Return an archive of pictures that are bright at the left or at the right."""
    draw = np.random.default_rng(0)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as packed:
        for name, side in (("left", 0), ("right", 1)):
            for number in range(count):
                pixels = draw.integers(0, 60, shape, dtype=np.uint8)
                half = shape[1] // 2
                pixels[:, side * half : (side + 1) * half] += 150
                packed.writestr(f"{name}/{number}.png", png(pixels))
    return buffer.getvalue()


@pytest.fixture(scope="module")
def grey(http: httpx.Client, wait_for: Callable[..., Any]) -> dict[str, Any]:
    dataset: dict[str, Any] = ingested(
        http, archive((16, 16, 3), 20), wait_for, name="sides", image_size="16", channels="1"
    )
    return dataset


@pytest.fixture(scope="module")
def colour(http: httpx.Client, wait_for: Callable[..., Any]) -> dict[str, Any]:
    dataset: dict[str, Any] = ingested(http, archive((64, 64, 3)), wait_for, image_size="64", channels="3")
    return dataset


def test_the_size_of_pictures_is_chosen_for_a_transfer(
    http: httpx.Client, wait_for: Callable[..., Any]
) -> None:
    dataset = ingested(http, archive((100, 140, 3)), wait_for, defaults="auto")
    assert dataset["image_shape"] == [128, 128, 3]
    assert dataset["preprocessing"]["fit"] == "cover"
    assert dataset["split"] == {"train": 0.6, "dev": 0.2, "test": 0.2}
    assert chosen(dataset) == {
        "image_size": [128, 128],
        "fit": "cover",
        "split": {"train": 0.6, "dev": 0.2, "test": 0.2},
    }
    assert all(choice["reason"] for choice in dataset["chosen"])


@pytest.mark.parametrize(
    ("target", "drawn", "reason"),
    [
        ("labels", archive_of_squares, "the rarest combination of labels has"),
        ("values", archive_of_shades, "there are 240 pictures, and a tenth"),
    ],
)
def test_reasons_are_about_what_is_known_of_the_pictures(
    http: httpx.Client, wait_for: Callable[..., Any], target: str, drawn: Callable[[], bytes], reason: str
) -> None:
    dataset = ingested(http, drawn(), wait_for, target=target, defaults="auto")
    reasons = {choice["field"]: choice["reason"] for choice in dataset["chosen"]}
    assert reasons["split"].startswith(reason)
    assert not any("class" in text for text in reasons.values())


def test_what_is_given_with_pictures_is_not_chosen(http: httpx.Client, wait_for: Callable[..., Any]) -> None:
    given = {"image_size": "40x30", "split": "0.8,0.1,0.1", "defaults": "auto"}
    dataset = ingested(http, archive((100, 140, 3)), wait_for, **given)
    assert dataset["image_shape"] == [40, 30, 3]
    assert dataset["preprocessing"]["fit"] == "contain"
    assert dataset["chosen"] == []
    # what nobody can read says nothing of sizes, and the pictures say so themselves
    broken = io.BytesIO()
    with zipfile.ZipFile(broken, "w") as packed:
        for name in "ab":
            for number in range(3):
                packed.writestr(f"{name}/{number}.png", b"no picture")
    failed = ingested(http, broken.getvalue(), wait_for, defaults="auto")
    assert failed["error"]["code"] == "empty_class"


def submit(http: httpx.Client, **body: Any) -> dict[str, Any]:
    answer = http.post(JOBS, json=body)
    assert answer.status_code == 202, answer.text
    job: dict[str, Any] = answer.json()
    assert all(choice["reason"] for choice in job["chosen"])
    return job


def chosen(job: dict[str, Any]) -> dict[str, Any]:
    return {choice["field"]: choice["value"] for choice in job["chosen"]}


def test_a_data_set_alone_is_enough(
    http: httpx.Client, finished: Callable[[httpx.Client, str], dict[str, Any]], grey: dict[str, Any]
) -> None:
    job = submit(http, dataset=grey["id"])
    choices = chosen(job)
    assert choices["architecture"] == {"preset": "lenet-5"}
    assert job["architecture_source"] == {"preset": "lenet-5"}
    assert job["architecture"]["input_shape"] == [16, 16, 1]
    for field in ("batch_size", "epochs", "select"):
        assert job[field] == choices[field]
    assert job["schedule"]["type"] == choices["schedule"]["type"] == "cosine"
    assert [each["type"] for each in job["augmentations"]] == ["random_crop", "rotation"]
    assert job["select"] == "accuracy"
    assert job["epochs"] * job["progress"]["steps"] > 100
    assert job["warnings"] == []
    job = finished(http, job["id"])
    assert job["status"] == "succeeded", job["error"]
    assert chosen(job) == choices
    model = http.get(f"/v1/models/{job['model_id']}").json()
    assert model["metrics"]["dev_accuracy"] == 1.0
    on = submit(http, continue_from=job["id"], epochs=1)
    assert on["chosen"] == []
    http.post(f"{JOBS}/{on['id']}/cancel")


def test_photos_are_learned_by_a_trained_network(http: httpx.Client, colour: dict[str, Any]) -> None:
    job = submit(http, dataset=colour["id"], batch_size=4)
    http.post(f"{JOBS}/{job['id']}/cancel")
    choices = chosen(job)
    assert choices["initial_weights"] == job["initial_weights"] == "mobilenet-v2-imagenet"
    assert (job["train"], job["features_cached"]) == ("head", True)
    assert choices["epochs"] == job["epochs"]
    assert choices["optimizer"]["learning_rate"] == job["optimizer"]["learning_rate"]
    # what is given is no choice
    assert "batch_size" not in choices
    assert job["batch_size"] == 4


def test_an_architecture_keeps_the_fixed_defaults_unless_others_are_asked_for(
    http: httpx.Client, grey: dict[str, Any]
) -> None:
    named = {"architecture": {"preset": "lenet-5"}, "dataset": grey["id"]}
    fixed = submit(http, **named)
    auto = submit(http, **named, defaults="auto", epochs=7)
    for job in (fixed, auto):
        http.post(f"{JOBS}/{job['id']}/cancel")
    assert (fixed["epochs"], fixed["batch_size"], fixed["select"]) == (5, 64, "best")
    assert fixed["chosen"] == []
    assert any("steps are too few" in warning for warning in fixed["warnings"])
    assert {"batch_size", "schedule", "augmentations", "loss", "select"} == set(chosen(auto))
    assert (auto["epochs"], auto["batch_size"]) == (7, 16)


def test_what_is_only_about_a_model_needs_one(http: httpx.Client, grey: dict[str, Any]) -> None:
    for field, value in (("train", "all"), ("head_epochs", 2), ("variants", 2)):
        answer = http.post(JOBS, json={"dataset": grey["id"], field: value})
        assert answer.status_code == 422
        (fault,) = answer.json()["errors"]
        assert fault["pointer"] == "/initial_weights"
        assert f"`{field}`" in fault["detail"]
