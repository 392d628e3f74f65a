"""The report of a training job: accuracy with its interval, and what is wrong with the pictures."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from typing import Any

import httpx
import numpy as np
import pytest

from tests.http.colour_models import colour_model, imported
from tests.http.drawn_pictures import ingested, png

JOBS = "/v1/training-jobs"
COLOURS = {"warm": (220, 60, 30), "cold": (30, 90, 220)}
COUNTS = {"train": 20, "dev": 4, "test": 6}

Finished = Callable[[httpx.Client, str], dict[str, Any]]


def picture(colour: str, seed: int) -> np.ndarray:
    """Return coarse noise around a colour."""
    noise = np.random.default_rng(seed).normal(0, 40, (8, 8, 1)).repeat(4, axis=0).repeat(4, axis=1)
    pixels: np.ndarray = np.clip(np.array(COLOURS[colour]) + noise, 0, 255).astype(np.uint8)
    return pixels


@pytest.fixture(scope="module")
def archive() -> bytes:
    """Pictures of two colours; one of them has the wrong label, and one is both in train and, brighter, in test."""
    buffer, seed = io.BytesIO(), 0
    with zipfile.ZipFile(buffer, "w") as packed:
        for split, count in COUNTS.items():
            for name in COLOURS:
                for number in range(count):
                    seed += 1
                    packed.writestr(f"{split}/{name}/{number}.png", png(picture(name, seed)))
        packed.writestr("train/cold/wrong.png", png(picture("warm", 1000)))
        brighter = np.clip(picture("warm", 1).astype(int) + 5, 0, 255).astype(np.uint8)
        packed.writestr("test/warm/again.png", png(brighter))
    return buffer.getvalue()


@pytest.fixture(scope="module")
def dataset(http: httpx.Client, wait_for: Callable[..., Any], archive: bytes) -> dict[str, Any]:
    found: dict[str, Any] = ingested(http, archive, wait_for, image_size="32", channels="3")
    return found


@pytest.mark.slow
def test_a_report_finds_what_is_wrong_with_pictures(
    http: httpx.Client, finished: Finished, dataset: dict[str, Any]
) -> None:
    model = imported(http, colour_model())
    job = http.post(JOBS, json={"initial_weights": model, "dataset": dataset["id"]}).json()
    job = finished(http, job["id"])
    assert job["status"] == "succeeded", job["error"]
    answer = http.get(f"{JOBS}/{job['id']}/report")
    assert answer.status_code == 200, answer.text
    report = answer.json()
    test = http.get(f"/v1/models/{job['model_id']}").json()["metrics"]["test_accuracy"]
    assert (report["split"], report["images"], report["accuracy"]) == ("test", 13, test)
    assert report["interval"]["low"] < test <= report["interval"]["high"]
    assert report["out_of_fold"] is True
    assert report["held_out_images"] == dataset["images"] == 62
    assert [entry["train_images"] for entry in report["classes"]] == [21, 20]
    assert sum(entry["images"] for entry in report["classes"]) == 62
    assert [point["share"] for point in report["learning_curve"]] == [0.25, 0.5, 1.0]
    assert [point["images"] for point in report["learning_curve"]] == [11, 21, 41]
    (pair,) = report["near_duplicates"]
    assert (pair["split"], report["near_duplicate_count"]) == ("test", 1)

    def shown(number: int) -> httpx.Response:
        return http.get(f"/v1/datasets/{dataset['id']}/images/{number}")

    assert [shown(pair[key]).headers["Image-Split"] for key in ("number", "like")] == ["test", "train"]
    suspicious = report["suspicious"][0]
    assert (suspicious["label"], suspicious["predicted"]) == ("cold", "warm")
    assert shown(suspicious["number"]).headers["Image-Label"] == "cold"
    assert shown(suspicious["number"]).headers["Image-Split"] == "train"
    said = " ".join(report["words"])
    assert "test pictures are recognised" in said
    assert f"number {suspicious['number']} ({suspicious['name']})" in said
    assert suspicious["name"] == "train/cold/wrong.png"
    assert (pair["name"], pair["like_name"]) == ("test/warm/again.png", "train/warm/0.png")
    assert f"number {pair['number']} (test/warm/again.png)" in said
    assert http.get(suspicious["image_url"]).content == shown(suspicious["number"]).content
    assert suspicious["corrections"][0]["body"] == {"label": "warm"}


def test_every_job_of_classes_has_one(
    http: httpx.Client, finished: Finished, dataset: dict[str, Any]
) -> None:
    layers = [{"type": "global_average_pool2d"}, {"type": "dense", "units": 2}]
    network = {"input_shape": [32, 32, 3], "layers": layers}
    job = http.post(JOBS, json={"architecture": network, "dataset": dataset["id"], "epochs": 3}).json()
    address = f"{JOBS}/{job['id']}/report"
    early = http.get(address)
    assert early.status_code == 409 or finished(http, job["id"])["status"] == "succeeded"
    finished(http, job["id"])
    report = http.get(address).json()
    assert (report["out_of_fold"], report["learning_curve"]) == (False, [])
    assert report["held_out_images"] == 21
    assert report["near_duplicate_count"] == 1
    example = http.get(f"{JOBS}/job_example/report").json()
    assert (example["verdict"], example["held_out_images"]) == ("enough", 2000)


def test_a_job_that_was_cancelled_has_none(
    http: httpx.Client, finished: Finished, dataset: dict[str, Any]
) -> None:
    layers = [{"type": "global_average_pool2d"}, {"type": "dense", "units": 2}]
    network = {"input_shape": [32, 32, 3], "layers": layers}
    body = {"architecture": network, "dataset": dataset["id"], "epochs": 100_000}
    job = http.post(JOBS, json=body).json()
    assert http.post(f"{JOBS}/{job['id']}/cancel").status_code == 202
    assert finished(http, job["id"])["status"] == "cancelled"
    answer = http.get(f"{JOBS}/{job['id']}/report")
    assert (answer.status_code, answer.json()["type"]) == (409, "/problems/no-report")
