"""Networks that have learnt something learn other classes, from few pictures."""

import io
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import load

from tests.http.colour_models import colour_model, imported
from tests.http.drawn_pictures import ingested, png

PHOTOS = Path(__file__).parents[1] / "data" / "photos"
JOBS = "/v1/training-jobs"
KINDS = {"warm": (220, 60, 30), "cold": (30, 90, 220), "green": (40, 200, 60)}

Finished = Callable[[httpx.Client, str], dict[str, Any]]


def coloured(name: str, seed: int, size: int) -> bytes:
    """Return a picture of noise around the colour of a class."""
    draw = np.random.default_rng(seed)
    noise = draw.normal(0, 40, (size, size, 3))
    return png(np.clip(np.array(KINDS[name]) + noise, 0, 255).astype(np.uint8))


def folders(size: int = 24, **counts: int) -> bytes:
    """Return an archive of class folders with so many pictures each."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, count in counts.items():
            for number in range(count):
                archive.writestr(f"{name}/{number}.png", coloured(name, number, size))
    return buffer.getvalue()


@pytest.fixture(scope="module")
def pets(http: httpx.Client, wait_for: Callable[..., Any]) -> dict[str, Any]:
    """A data set of few pictures, of a size that no model was trained on."""
    content = folders(warm=20, cold=20, green=20)
    fields = {"name": "three colours", "image_size": "24", "channels": "3", "split": "0.6,0.2,0.2"}
    dataset: dict[str, Any] = ingested(http, content, wait_for, **fields)
    return dataset


@pytest.fixture(scope="module")
def colours(http: httpx.Client) -> dict[str, Any]:
    """A model that knows red, green and blue."""
    model: dict[str, Any] = http.get(f"/v1/models/{imported(http, colour_model())}").json()
    return model


def submit(http: httpx.Client, **body: Any) -> dict[str, Any]:
    answer = http.post(JOBS, json=body)
    assert answer.status_code == 202, answer.text
    job: dict[str, Any] = answer.json()
    return job


def weights(http: httpx.Client, model_id: str) -> dict[str, np.ndarray]:
    return load(http.get(f"/v1/models/{model_id}/weights").content)


def test_a_model_and_a_data_set_are_enough(
    http: httpx.Client, finished: Finished, pets: dict[str, Any], colours: dict[str, Any]
) -> None:
    job = submit(http, initial_weights=colours["id"], dataset=pets["id"])
    assert (job["train"], job["name"]) == ("head", pets["name"])
    assert job["architecture_source"] == {"model": colours["id"]}
    assert job["architecture"]["input_shape"] == [24, 24, 3]
    assert job["freeze"] == ["colours"]
    assert job["loss"]["label_smoothing"] == 0.1
    assert job["schedule"]["type"] == "cosine"
    assert job["epochs"] > 5
    assert job["features_cached"] is True
    job = finished(http, job["id"])
    assert job["status"] == "succeeded", job["error"]
    model = http.get(f"/v1/models/{job['model_id']}").json()
    assert model["classes"] == [entry["name"] for entry in pets["classes"]]
    assert model["metrics"]["test_accuracy"] == 1.0
    assert model["provenance"]["initial_weights"] == {
        "model": f"colours@{colours['version']}",
        "train": "head",
    }
    # one whole model: the trunk is the old one, the head is new
    old, new = weights(http, colours["id"]), weights(http, job["model_id"])
    np.testing.assert_array_equal(new["colours/weight"], old["colours/weight"])
    assert set(new) == set(old)
    assert not np.isclose(new["scores/weight"], old["scores/weight"]).any()
    for name in KINDS:
        files = {"files": ("picture.png", coloured(name, 99, 40))}
        predicted = http.post(f"/v1/models/{job['model_id']}/predict", files=files).json()["data"][0]
        assert predicted["label"] == name
    explained = http.post(
        f"/v1/models/{job['model_id']}/explain",
        params={"method": "grad_cam"},
        files={"files": ("picture.png", coloured("warm", 98, 24))},
        headers={"Accept": "application/json"},
    )
    assert explained.status_code == 200, explained.text
    evaluation = http.post("/v1/evaluations", json={"model": pets["name"], "dataset": pets["name"]})
    assert evaluation.status_code == 202, evaluation.text
    assert evaluation.json()["model_id"] == job["model_id"]


@pytest.fixture(scope="module")
def photos(http: httpx.Client, wait_for: Callable[..., Any]) -> dict[str, Any]:
    """Six pieces of each of three photographs, 96x96."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for path in sorted(PHOTOS.glob("*.jpg")):
            with Image.open(path) as photo:
                width, height = photo.size
                side = min(width, height) * 3 // 4
                for number in range(6):
                    left, top = (width - side) * number // 5, (height - side) * (number % 3) // 2
                    piece = np.asarray(photo.convert("RGB").crop((left, top, left + side, top + side)))
                    archive.writestr(f"{path.stem}/{number}.png", png(piece))
    fields = {"name": "three photos", "image_size": "96", "channels": "3", "split": "0.5,0.25,0.25"}
    dataset: dict[str, Any] = ingested(http, buffer.getvalue(), wait_for, **fields)
    return dataset


@pytest.mark.slow
def test_a_network_that_has_seen_the_world_tells_photographs_apart(
    http: httpx.Client, finished: Finished, photos: dict[str, Any]
) -> None:
    job = submit(http, initial_weights="mobilenet-v2-imagenet", dataset="three photos")
    assert job["dataset"] == photos["id"]
    assert job["architecture"]["input_shape"] == [96, 96, 3]
    job = finished(http, job["id"])
    assert job["status"] == "succeeded", job["error"]
    for path in sorted(PHOTOS.glob("*.jpg")):
        files = {"files": (path.name, path.read_bytes())}
        predicted = http.post("/v1/models/three photos/predict", files=files).json()["data"][0]
        assert predicted["label"] == path.stem
    # under which terms the weights are is known of what has learned from them, too
    made = http.get(f"/v1/models/{job['model_id']}").json()["provenance"]
    assert made["initial_weights"] == {"model": "mobilenet-v2-imagenet@1", "train": "head"}
    before = http.get("/v1/models/mobilenet-v2-imagenet").json()["provenance"]
    assert made["origin"] == before["origin"]
    assert made["origin"]


@pytest.mark.slow
def test_only_pictures_that_are_new_are_looked_at(
    http: httpx.Client, finished: Finished, wait_for: Callable[..., Any], colours: dict[str, Any]
) -> None:
    dataset = ingested(http, folders(warm=6, cold=6), wait_for, image_size="24", channels="3")

    def computed() -> str:
        job = finished(
            http, submit(http, initial_weights=colours["id"], dataset=dataset["id"], epochs=2)["id"]
        )
        assert job["status"] == "succeeded", job["error"]
        log = http.get(f"{JOBS}/{job['id']}/log").text
        return next(line.rpartition("features of ")[2] for line in log.splitlines() if "features of" in line)

    assert computed() == "12 pictures, 12 of them computed"
    files = {"file": ("more.zip", folders(green=0, cold=9))}
    added = http.post(f"/v1/datasets/{dataset['id']}/images", files=files)
    assert added.status_code in (200, 202), added.text
    grown = wait_for(
        lambda: (found := http.get(f"/v1/datasets/{dataset['id']}").json())["images"] > 12 and found, "more"
    )
    more = grown["images"] - 12
    assert computed() == f"{12 + more} pictures, {more} of them computed"
    assert computed() == f"{12 + more} pictures, 0 of them computed"


def test_unequal_classes_are_weighted(
    http: httpx.Client, wait_for: Callable[..., Any], colours: dict[str, Any]
) -> None:
    unequal = ingested(http, folders(warm=20, cold=5), wait_for, image_size="24", channels="3")
    job = submit(http, initial_weights=colours["id"], dataset=unequal["id"], epochs=1)
    heavier = dict(
        zip([entry["name"] for entry in unequal["classes"]], job["loss"]["class_weights"], strict=True)
    )
    assert heavier == {"warm": 0.625, "cold": 2.5}
    asked = {"type": "softmax_cross_entropy"}
    job = submit(http, initial_weights=colours["id"], dataset=unequal["id"], epochs=1, loss=asked)
    assert (job["loss"]["class_weights"], job["loss"]["label_smoothing"]) == (None, 0.0)


@pytest.mark.parametrize("train", [pytest.param("all", marks=pytest.mark.slow), {"from": "colours"}])
def test_the_head_first_and_then_the_rest(
    http: httpx.Client, finished: Finished, pets: dict[str, Any], colours: dict[str, Any], train: Any
) -> None:
    job = submit(
        http, initial_weights=colours["id"], dataset=pets["id"], train=train, epochs=8, head_epochs=6
    )
    assert (job["train"], job["epochs"], job["head_epochs"]) == (train, 8, 6)
    assert (job["freeze"], job["learning_rate_factors"]) == ([], {"colours": 0.1})
    assert job["early_stopping"]["patience"] >= 1
    assert job["features_cached"] is True
    job = finished(http, job["id"])
    assert job["status"] == "succeeded", job["error"]
    figures = http.get(f"{JOBS}/{job['id']}/metrics").json()["data"]
    assert [row["epoch"] for row in figures] == list(range(1, len(figures) + 1))
    assert len(figures) > 6
    norms = http.get(f"{JOBS}/{job['id']}/norms").json()
    first = {node["name"]: node["gradient"][0] for node in norms["nodes"]}
    assert first["colours"] is None
    assert first["scores"] > 0
    model = http.get(f"/v1/models/{job['model_id']}").json()
    best = min(figures, key=lambda row: row["dev_loss"])
    assert model["metrics"]["kept_epoch"] == best["epoch"]


def test_how_long_the_head_learns_is_chosen(
    http: httpx.Client, pets: dict[str, Any], colours: dict[str, Any]
) -> None:
    both = {"initial_weights": colours["id"], "dataset": pets["id"]}
    jobs = [
        submit(http, **both, **options)
        for options in ({"train": "all"}, {"train": "all", "epochs": 8}, {"train": {"from": "scores"}})
    ]
    for job in jobs:
        http.post(f"{JOBS}/{job['id']}/cancel")
    given, quarter, head = jobs
    assert 0 < given["head_epochs"] < given["epochs"]
    assert (quarter["head_epochs"], quarter["epochs"]) == (2, 8)
    assert (head["head_epochs"], head["freeze"]) == (0, ["colours"])


def test_what_cannot_be_transferred(
    http: httpx.Client, pets: dict[str, Any], colours: dict[str, Any]
) -> None:
    both = {"initial_weights": colours["id"], "dataset": pets["id"]}
    for body, pointer, hint in (
        ({"train": "head", "dataset": "digits"}, "/initial_weights", "name a model"),
        (
            {**both, "architecture": {"preset": "lenet-5"}, "train": "head"},
            "/train",
            "leave `architecture` out",
        ),
        ({**both, "train": "tail"}, "/train", "head"),
        ({**both, "train": {"from": "conv9"}}, "/train/from", "colours, means, scores"),
        ({**both, "train": {"form": "colours"}}, "/train/from", ""),
        ({**both, "head_epochs": 2}, "/head_epochs", '"train": "all"'),
        ({**both, "train": "all", "epochs": 3, "head_epochs": 3}, "/head_epochs", "fewer than 3"),
        (
            {"dataset": "digits", "architecture": {"preset": "lenet-5"}, "head_epochs": 1},
            "/head_epochs",
            "leave",
        ),
        ({**both, "initial_weights": "lenet-5-digits"}, "/dataset", "image_size [28, 28], channels 1"),
        ({**both, "dataset": "digits"}, "/dataset", "channels 3"),
    ):
        answer = http.post(JOBS, json=body)
        assert answer.status_code == 422, answer.text
        fault = answer.json()["errors"][0]
        assert fault["pointer"] == pointer, fault
        assert hint in (fault["hint"] or "") + fault["detail"], fault
